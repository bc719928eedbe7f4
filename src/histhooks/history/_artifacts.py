"""Files and folders of a run, and their bytes: those that were kept, else those that still lie where they were."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, SupportsIndex, overload

from histhooks._base import manifest
from histhooks._base.ids import new_id
from histhooks._host.new_files import give_name
from histhooks._store.kept_files import digest_of, find
from histhooks.errors import QueryError, StoreError
from histhooks.history._copies import asked_by, copies_of, look

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_CHUNK = 1 << 20
NO_COPY = {"kept": False, "lost": False, "elsewhere": False}


class Artifact(dict[str, Any]):
    """A file or a folder that a run read or wrote. The columns below are items; its bytes are in the attributes.

    Bytes come from the copy in ``<store>.files/`` if it was kept, else from where it was. Either way their SHA-256 is
    computed again, and what is not what was recorded is never given.

    Attributes
    ----------
    path : str
        As an item, where it was.
    role : str
        `model`, `checkpoint`, `file`, ...
    direction : str
        `in` or `out`.
    step : int or None
        0-based step at which it was written.
    time : int
        Microseconds UTC.
    sha256 : str
        Of a folder, that of its manifest.
    size_bytes : int
    format : str or None
        By its name; `folder` for a folder.
    kept : bool
        Whether there is a copy beside the store.
    lost : bool
        Whether the run had a copy made that is no longer there.
    elsewhere : bool
        Whether the run had a copy made that lies beside another store: this is the target of a team, a part of a
        history, or was pulled from a database, which holds no files.

    Examples
    --------
    >>> file = run.artifacts["model.pt"]
    >>> file.read_bytes(), file["role"], file["kept"]
    (b'weights', 'model', False)
    >>> file.name.endswith("model.pt"), file.path.name, file.is_folder, len(file.files)
    (True, 'model.pt', False, 1)
    >>> with file.open() as stream:
    ...     stream.read(3)
    b'wei'
    >>> file.save("copy.pt").name
    'copy.pt'
    """

    __slots__ = ("_reader",)

    def __init__(self, row: dict[str, Any], reader: Reader) -> None:
        super().__init__(row)
        self._reader = reader

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, key: Literal["path", "role", "direction", "sha256"], /) -> str: ...
        @overload
        def __getitem__(self, key: Literal["time", "size_bytes"], /) -> int: ...
        @overload
        def __getitem__(self, key: Literal["step"], /) -> int | None: ...
        @overload
        def __getitem__(self, key: Literal["format"], /) -> str | None: ...
        @overload
        def __getitem__(self, key: Literal["kept", "lost", "elsewhere"], /) -> bool: ...
        @overload
        def __getitem__(self, key: str, /) -> Any: ...
        def __getitem__(self, key: str, /) -> Any: ...

    @property
    def name(self) -> str:
        """The last part of its path."""
        return os.path.basename(self["path"].replace("\\", "/").rstrip("/"))

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self["format"] == manifest.FORMAT and bool(self._manifest())

    @property
    def files(self) -> list[Artifact]:
        """The files of a folder, each of which can be read; of a file, itself."""
        if not self.is_folder:
            return [self]
        shared = {name: self[name] for name in ("role", "direction", "step", "time")}
        found = []
        for file in manifest.files_of(self._manifest()):
            row = {**shared, "path": f"{self['path']}/{file.path}", "sha256": file.sha256}
            row |= {"size_bytes": file.size_bytes, "format": os.path.splitext(file.path)[1].lstrip(".").lower() or None}
            row["kept"] = file.sha256 is not None and find(self._reader.beside, file.sha256) is not None
            row |= {name: self[name] and not row["kept"] for name in ("lost", "elsewhere")}
            found.append(Artifact(row, self._reader))
        return found

    @property
    def contents(self) -> list[str | None]:
        """The hash of a file, or of each file of a folder; None of one that was not read."""
        return [each["sha256"] for each in self.files] if self.is_folder else [self["sha256"]]

    @property
    def path(self) -> Path:
        """Where its bytes are now: the kept copy, else the place where it was. They were just verified.

        Raises
        ------
        QueryError
            If it is a folder; :meth:`save` writes one.
        StoreError
            If the bytes are gone, or are not those that were recorded.
        """
        with self.open() as file:
            return Path(file.name)

    def open(self) -> BinaryIO:
        """Open it for reading, once its SHA-256 has been computed again. Errors are those of :attr:`path`."""
        if self.is_folder:
            raise QueryError(f"{self['path']} is a folder; save() writes it, and `files` has what is in it")
        reasons: list[str] = []
        for place in self._places():
            try:
                file = open(place, "rb")  # noqa: SIM115, given to the caller
            except OSError as error:
                reasons.append(f"{place} cannot be read ({error.strerror})")
                continue
            try:
                found = digest_of(file)
                if found == self["sha256"]:
                    file.seek(0)
                    return file
            except OSError as error:
                found = f"none ({error.strerror})"
            except BaseException:
                file.close()
                raise
            file.close()
            reasons.append(f"{place} is not what was recorded: its SHA-256 is {found[:12]}")
        raise StoreError(f"{self._words()}: {'; '.join(reasons) or self._gone()}")

    def read_bytes(self) -> bytes:
        """Its bytes, all in memory. Errors are those of :attr:`path`."""
        with self.open() as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != self["sha256"]:
            raise StoreError(f"{self._words()}: it was written while it was read; try again")
        return data

    def save(self, to: str | os.PathLike[str], *, force: bool = False) -> Path:
        """Write it to a file, or a folder with all that it holds. What was written is verified, then renamed.

        Parameters
        ----------
        to : str or path
            A new path; or a folder that is there, in which a file gets its own name.
        force : bool
            Overwrite a file that is there.

        Returns
        -------
        Path
            What was written.

        Raises
        ------
        QueryError
            If the target is there already.
        StoreError
            If the bytes are gone, are not those that were recorded, or cannot be written.
        """
        with self._prepared(to, force=force) as put:
            return put()

    @contextlib.contextmanager
    def _prepared(self, to: str | os.PathLike[str], *, force: bool) -> Iterator[Callable[[], Path]]:
        """What :meth:`save` writes, verified beside its target; the function that is given puts it there."""
        target = Path(to)
        if target.is_dir() and (not self.is_folder or any(target.iterdir())):
            target /= self.name
        if os.path.lexists(target) and not (force and target.is_file()) and not _is_empty(target):
            hint = "" if target.is_dir() else ", or overwrite it with force=True (--force)"
            raise QueryError(f"{target} is there already; give another path{hint}")
        part = target.with_name(f".{target.name}.{new_id()}")

        def put() -> Path:
            with _words_of(target):
                if target.is_dir():
                    target.rmdir()
                give_name(part, target, replace=force or part.is_dir())
            return target

        try:
            with _words_of(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                self._write(part)
            yield put
        finally:
            with contextlib.suppress(OSError):
                shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)

    def _write(self, part: Path) -> None:
        if self.is_folder:
            if not (files := self.files):
                raise StoreError(f"{self._words()}: its manifest lists no file, or one outside the folder")
            for file in files:
                place = part / file["path"].removeprefix(f"{self['path']}/")
                place.parent.mkdir(parents=True, exist_ok=True)
                file._write(place)
            return
        digest = hashlib.sha256()
        with self.open() as source, open(part, "xb") as out:
            while data := source.read(_CHUNK):
                digest.update(data)
                out.write(data)
            out.flush()
            os.fsync(out.fileno())
        if digest.hexdigest() != self["sha256"]:
            raise StoreError(f"{self._words()}: it was written while it was read; try again")

    # --- inside -----------------------------------------------------------------------------------------------------

    def _places(self) -> Iterator[str]:
        kept = None if self["sha256"] is None else find(self._reader.beside, self["sha256"])
        if kept is not None:
            yield str(kept)
        if self["sha256"] is not None and os.path.isfile(self["path"]):
            yield self["path"]

    def _manifest(self) -> bytes:
        key = ("manifest", self["sha256"])
        if self["format"] != manifest.FORMAT:
            return b""
        if key not in self._reader.remembered:
            rows = self._reader.sql(
                "SELECT encoding, data FROM contents WHERE sha256 = ? AND kind = ?", self["sha256"], manifest.KIND
            )
            self._reader.remembered[key] = b"".join(
                zlib.decompress(row["data"]) if row["encoding"] == "zlib" else bytes(row["data"]) for row in rows
            )
        text: bytes = self._reader.remembered[key]
        return text

    def _words(self) -> str:
        digest = "no hash" if self["sha256"] is None else self["sha256"][:12]
        return f"the bytes of {self['path']} ({digest}) cannot be had"

    def _gone(self) -> str:
        if self["sha256"] is None:
            return "it could not be read, or was written, while its folder was recorded"
        if self["elsewhere"]:
            return f"its copy {copies_of(self._reader)}, and it is not where it was"
        copy = "the kept copy is gone" if self["lost"] else "no copy was kept"
        return f"{copy}, and it is no longer where it was"


class Artifacts(list[Artifact]):
    """The files and folders of a run, in order; also by name: ``run.artifacts["model.pt"]``.

    Examples
    --------
    >>> run.artifacts["model.pt"]["size_bytes"], run.artifacts.find()["role"], len(run.artifacts)
    (7, 'model', 1)
    """

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, key: str | SupportsIndex, /) -> Artifact: ...
        @overload
        def __getitem__(self, key: slice, /) -> list[Artifact]: ...

    def __getitem__(self, key: Any, /) -> Any:
        return self.find(key) if isinstance(key, str) else super().__getitem__(key)

    def find(self, name: str | None = None) -> Artifact:
        """The latest one of a name.

        Parameters
        ----------
        name : str, optional
            A path, the end of one, or the beginning of a SHA-256. A file in a recorded folder has one too. By default
            the latest model that the run wrote, else its latest checkpoint, else its only file.

        Raises
        ------
        QueryError
            If there is none; the message names what there is.
        """
        if name is None:
            found = self._main()
        else:
            wanted = name.replace("\\", "/").rstrip("/")
            found = next((file for file in reversed(self) if _is_called(file, wanted)), None)
            if found is None:
                inside = (each for file in reversed(self) if file.is_folder for each in file.files)
                found = next((each for each in inside if _is_called(each, wanted)), None)
        if found is not None:
            return found
        names = list(dict.fromkeys(file.name for file in self))
        there = f"it has {', '.join(names[:10])}" + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        what = "several files and no model; name one" if name is None and self else f"no file {name!r}"
        what = "no file" if name is None and not self else what
        raise QueryError(f"the run has {what}" + (f"; {there}" if names else ", neither read nor written"))

    def _main(self) -> Artifact | None:
        for role in ("model", "checkpoint"):
            found = [file for file in self if (file["role"], file["direction"]) == (role, "out")]
            if found:
                return found[-1]
        return self[-1] if len({file["path"] for file in self}) == 1 else None


def _is_called(file: Artifact, name: str) -> bool:
    path = file["path"].replace("\\", "/")
    is_hash = len(name) >= 6 and str(file["sha256"]).startswith(name.lower())
    return bool(path == name or path.endswith(f"/{name.removeprefix('./')}") or is_hash)


@contextlib.contextmanager
def _words_of(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{target} cannot be written ({error.strerror})") from error


def prepared(
    file: Artifact, to: str | os.PathLike[str] | None
) -> contextlib.AbstractContextManager[Callable[[], Path | None]]:
    """A file that is written at once and put where it belongs, over what is there, when its function is called.

    Parameters
    ----------
    file : Artifact
    to : str or path or None
        As for :meth:`Artifact.save`; None if nothing is to be written.
    """
    return contextlib.nullcontext(lambda: None) if to is None else file._prepared(to, force=True)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def artifacts_of(reader: Reader, run_id: str) -> Artifacts:
    """The files and folders of a run."""
    rows = reader.sql(
        "SELECT path, role, direction, step, time, a.* FROM run_artifacts JOIN artifacts AS a USING (sha256) "
        "WHERE run_id = ? ORDER BY ordinal",
        run_id,
    )
    asked = asked_by(reader, run_id) if rows else set()
    return Artifacts(_with_copy(row, asked, reader) for row in rows)


def _with_copy(row: dict[str, Any], asked: set[str], reader: Reader) -> Artifact:
    artifact = Artifact({**row, **NO_COPY}, reader)
    artifact.update(look(artifact.contents, reader, lambda: row["sha256"] in asked))
    return artifact


def by_hash(reader: Reader, digits: str) -> Artifact | None:
    """The file or folder whose SHA-256 begins so, by whichever run had it last; None if no run had one.

    Raises
    ------
    QueryError
        If several contents begin so.
    """
    sql = "SELECT DISTINCT sha256 FROM run_artifacts WHERE sha256 >= ? AND sha256 < ? LIMIT 3"
    found = [row["sha256"] for row in reader.sql(sql, digits, f"{digits}g")]
    if len(found) > 1:
        raise QueryError(f"several files have a SHA-256 that begins with {digits}: {', '.join(found)}")
    if not found:
        return None
    rows = reader.sql("SELECT run_id FROM run_artifacts WHERE sha256 = ? ORDER BY time DESC LIMIT 1", found[0])
    return artifacts_of(reader, rows[0]["run_id"]).find(found[0])
