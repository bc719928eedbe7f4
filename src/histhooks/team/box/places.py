"""The files of a drop box: in a folder of this machine, or in a bucket through fsspec.

A file is written under another name and then named, or by one request: others see all of it or nothing. Names are
relative to the box, with slashes.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from histhooks._host.new_files import give_name
from histhooks._store.kept_files import flush_folder
from histhooks.errors import TeamError
from histhooks.team.box.address import DRIVERS, Box

FORM = "histhooks-1"
_PART = ".part-"
_OLD_S = 86_400.0
_AT_ONCE = 64


class Gone(Exception):
    """A file is not there, or cannot be read."""


class Place(Protocol):
    """Where the files are."""

    def files(self, under: str = "") -> dict[str, str]:
        """Names of all files below a folder, each with what changes when it is written anew."""

    def names(self) -> set[str]:
        """Names of all files, without looking at each of them."""

    def read(self, name: str) -> bytes:
        """What is in a file; raises Gone."""

    def read_all(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """What is in some files, None for one that cannot be read."""

    def write(self, name: str, data: bytes, *, replace: bool) -> bool:
        """Write a file; False if there is one, which stays."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def state(self, name: str) -> str:
        """What changes when a file is written anew; empty where there is none."""

    def send(self, path: Path, name: str) -> None:
        """Copy a file of this machine into the box."""

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file of the box onto this machine; raises Gone."""


def place_of(box: Box, *, may_make: bool = False) -> Place:
    """Where the files of a box are.

    Parameters
    ----------
    box : Box
    may_make : bool
        Whether a folder is made where there is none.

    Raises
    ------
    TeamError
        If it cannot be reached, or what reads it is not installed.
    """
    return Folder(box, may_make=may_make) if box.is_folder else Bucket(box)


class Folder:
    """A folder of this machine, or one that is mounted."""

    def __init__(self, box: Box, *, may_make: bool) -> None:
        self._box = box
        root = Path(box.root)
        self._top = root / FORM
        if root.is_dir():
            return
        if root.exists():
            raise TeamError(f"{box.shown} is a file; name a folder")
        # Made where its own folder is: else a share that is not mounted would be filled where it should be.
        if not may_make or not root.parent.is_dir():
            what = f"no folder {root}" if not may_make else f"no folder {root.parent}"
            raise TeamError(f"{box.shown} cannot be reached: {what}; make it, or mount what it is in")
        try:
            root.mkdir(exist_ok=True)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> TeamError:
        return TeamError(f"{self._box.shown} cannot be written ({error.strerror}); free it, or name another target")

    def files(self, under: str = "") -> dict[str, str]:
        """See Place."""
        found = {}
        for name, entry in self._entries(under):
            with contextlib.suppress(OSError):  # removed since it was listed
                found[name] = _state(entry.stat())
        return found

    def names(self) -> set[str]:
        """See Place."""
        return {name for name, _ in self._entries("")}

    def _entries(self, under: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        waiting = [under]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(self._top / folder) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise TeamError(f"{self._box.shown} cannot be read ({error.strerror}: {folder or FORM})") from error
            for entry in found:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.name.startswith("."):
                    continue
                try:  # no link to a folder, which may lead around in a circle; no pipe, which never ends
                    is_folder, is_file = entry.is_dir(follow_symlinks=False), entry.is_file()
                except OSError:
                    continue
                if is_folder:
                    waiting.append(name)
                elif is_file:
                    yield name, entry

    def read(self, name: str) -> bytes:
        """See Place."""
        try:
            return (self._top / name).read_bytes()
        except OSError as error:
            raise Gone(f"{name}: {error.strerror}") from error

    def read_all(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """See Place."""
        for name in names:
            try:
                yield name, self.read(name)
            except Gone:
                yield name, None

    def write(self, name: str, data: bytes, *, replace: bool) -> bool:
        """See Place."""

        def fill(part: Path) -> None:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

        return self._named(name, fill, replace=replace)

    def _named(self, name: str, fill: Any, *, replace: bool) -> bool:
        path = self._top / name
        part = path.with_name(f"{_PART}{uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                fill(part)
                give_name(part, path, replace=replace)
            finally:
                part.unlink(missing_ok=True)
            self._settle(path.parent)
        except FileExistsError:
            return False
        except OSError as error:
            raise self._failed(error) from error
        return True

    @staticmethod
    def _settle(folder: Path) -> None:
        """Have the name survive a power cut too; and remove what a killed writer left a day ago."""
        flush_folder(folder)
        for left in folder.glob(f"{_PART}*"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _OLD_S:
                    left.unlink()

    def remove(self, name: str) -> None:
        """See Place."""
        try:
            (self._top / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(error) from error

    def state(self, name: str) -> str:
        """See Place."""
        try:
            return _state(os.stat(self._top / name))
        except OSError:
            return ""

    def send(self, path: Path, name: str) -> None:
        """See Place."""
        import shutil

        self._named(name, lambda part: shutil.copyfile(path, part), replace=False)

    def fetch(self, name: str, path: Path) -> None:
        """See Place."""
        import shutil

        try:
            shutil.copyfile(self._top / name, path)
        except OSError as error:
            raise Gone(f"{name}: {error.strerror}") from error


def _state(found: os.stat_result) -> str:
    return f"{found.st_size} {found.st_mtime_ns}"


class Bucket:
    """A bucket, or whatever else fsspec reads."""

    def __init__(self, box: Box) -> None:
        self._box = box
        scheme, _, _ = box.root.partition("://")
        self._is_atomic = scheme != "sftp"  # there a file grows while it is written
        try:
            import fsspec
        except ImportError as error:
            raise TeamError(_install(scheme, "fsspec")) from error
        try:
            self._fs, path = fsspec.core.url_to_fs(box.root)
        except ImportError as error:
            raise TeamError(_install(scheme, DRIVERS[scheme] or "fsspec")) from error
        except Exception as error:
            raise self._failed(error) from error
        self._top = f"{path.rstrip('/')}/{FORM}"

    def _failed(self, error: BaseException) -> TeamError:
        from histhooks.team.postgres.address import secrets_in

        words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        for secret in secrets_in(self._box.root):
            words = words.replace(secret, "***")
        return TeamError(f"{self._box.shown} cannot be reached ({words})")

    @contextlib.contextmanager
    def _asking(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise Gone(f"{name}: not there") from error
        except (TeamError, Gone):
            raise
        except Exception as error:
            raise self._failed(error) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Gone as error:
            raise TeamError(f"{self._box.shown} cannot be written: it is in no bucket that is there") from error

    def files(self, under: str = "") -> dict[str, str]:
        """See Place."""
        top = f"{self._top}/{under}" if under else self._top
        found: dict[str, Any] = {}
        with contextlib.suppress(Gone), self._asking():
            self._fs.invalidate_cache()
            found = self._fs.find(top, detail=True)
        names = {path: path.rpartition(f"{self._top}/")[2] for path in found}
        return {
            names[path]: _state_of(info)
            for path, info in found.items()
            if not re.search(r"(?:^|/)\.", names[path]) and info.get("type", "file") == "file"
        }

    def names(self) -> set[str]:
        """See Place."""
        return set(self.files())

    def read(self, name: str) -> bytes:
        """See Place."""
        with self._asking(name):
            return bytes(self._fs.cat_file(f"{self._top}/{name}"))

    def read_all(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """See Place."""
        wanted = list(names)
        for start in range(0, len(wanted), _AT_ONCE):
            some = {f"{self._top}/{name}": name for name in wanted[start : start + _AT_ONCE]}
            with self._asking():
                found = self._fs.cat(list(some), on_error="return")
            found = found if isinstance(found, dict) else {next(iter(some)): found}
            by_end = {path.strip("/"): data for path, data in found.items()}
            for path, name in some.items():
                data = by_end.get(path.strip("/"))
                if isinstance(data, BaseException) and not isinstance(data, FileNotFoundError):
                    raise self._failed(data)
                yield name, None if data is None or isinstance(data, BaseException) else bytes(data)

    def write(self, name: str, data: bytes, *, replace: bool) -> bool:
        """See Place."""
        path = f"{self._top}/{name}"
        with self._writing(), self._asking(name):
            if not replace and self.state(name):
                return False
            if self._is_atomic:
                self._fs.pipe_file(path, data)
                return True
            folder, _, last = path.rpartition("/")
            part = f"{folder}/{_PART}{uuid4().hex}-{last}"
            self._fs.makedirs(folder, exist_ok=True)
            self._fs.pipe_file(part, data)
            if replace and self.state(name):
                self._fs.rm_file(path)
            self._fs.mv(part, path)
        return True

    def remove(self, name: str) -> None:
        """See Place."""
        with contextlib.suppress(Gone), self._asking(name):
            self._fs.rm_file(f"{self._top}/{name}")

    def state(self, name: str) -> str:
        """See Place."""
        try:
            with self._asking(name):
                self._fs.invalidate_cache()
                return _state_of(self._fs.info(f"{self._top}/{name}"))
        except Gone:
            return ""

    def send(self, path: Path, name: str) -> None:
        """See Place."""
        with self._writing(), self._asking(name):
            if not self.state(name):
                folder = f"{self._top}/{name}".rpartition("/")[0]
                if not self._is_atomic:
                    self._fs.makedirs(folder, exist_ok=True)
                self._fs.put_file(str(path), f"{self._top}/{name}")

    def fetch(self, name: str, path: Path) -> None:
        """See Place."""
        with self._asking(name):
            self._fs.get_file(f"{self._top}/{name}", str(path))


def _state_of(info: dict[str, Any]) -> str:
    marks = (info.get(key) for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created"))
    return f"{info.get('size')} {next((str(mark) for mark in marks if mark), '')}"


def _install(scheme: str, driver: str) -> str:
    packages = "'histhooks[bucket]'" + ("" if driver == "fsspec" else f" {driver}")
    return f"{scheme}:// is read with {driver}, which is not installed: pip install {packages}"
