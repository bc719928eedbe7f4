"""Write a pack of evidence: what is on record of a model, in one file that verifies itself."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from histhooks._base.text import finite
from histhooks._host.new_files import give_name
from histhooks.checks import check
from histhooks.errors import QueryError, StoreError
from histhooks.evidence import _annex_iv, _cyclonedx, _in_toto, _model_card, _page, _ro_crate
from histhooks.evidence._annex_iv import Answer
from histhooks.evidence._keys import SigningKey, signing_key
from histhooks.evidence._records import CHECKS, CITED, Records, Scrub, without_paths
from histhooks.evidence._signing import MANIFEST
from histhooks.evidence._subject import Subject, subject_of
from histhooks.export import export
from histhooks.export._copying import choose
from histhooks.export._formats import scrubber
from histhooks.history import History
from histhooks.history._models import is_version_name
from histhooks.history._opening import open_store
from histhooks.monitor import judge

if TYPE_CHECKING:
    from histhooks.checks import Verdict
    from histhooks.history import RunRecord

_Path = str | os.PathLike[str]
ALL = "all"
ANNEX = "annex-iv"
# The documents that --format chooses, and the members that they are.
DOCUMENTS = {
    "model-card": "model-card.md", ANNEX: "annex-iv.md", "in-toto": "statement.intoto.json",
    "cyclonedx": "bom.cdx.json", "ro-crate": "ro-crate-metadata.json",
}  # fmt: skip
ABOUT = {
    "index.html": "The pack as a page for people", "model-card.md": "Model card",
    "annex-iv.md": "Technical documentation in the order of Annex IV",
    "statement.intoto.json": "in-toto statement with SLSA provenance", "model.sig": "Signed digest of the model",
    "bom.cdx.json": "CycloneDX bill of materials", "records.json": "The records that the documents cite",
    "store.db": "The history of these runs", CHECKS: "What the checks say", "ledger.txt": "Lines of the ledger",
    "verify_ledger.py": "Verifies store.db", "verify_pack.py": "Verifies the pack",
    "key.pub": "Public key of the signer",
}  # fmt: skip
_THERE = "{} is there already; give another name, or overwrite it with --force"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that ZIP knows: the same pack has the same bytes


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that was written.

    Attributes
    ----------
    path : Path
    sha256 : str
    size_bytes : int
    run_id : str
    version : str or None
        Such as `credit@3`.
    members : tuple of str
    gaps : tuple of str
        Points of Annex IV that have to be answered, and on which nothing is on record.
    key_id : str or None
        The key that signed it.
    cited : int
        Records that its documents cite.
    """

    path: Path
    sha256: str
    size_bytes: int
    run_id: str
    version: str | None
    members: tuple[str, ...]
    gaps: tuple[str, ...]
    key_id: str | None
    cited: int


@dataclass(slots=True)
class _Work:
    """What a pack is made of."""

    subject: Subject
    answers: list[Answer]
    key: SigningKey | None
    members: dict[str, bytes] = field(default_factory=dict)

    def put(self, name: str, text: str) -> None:
        """Add a member that is text."""
        self.members[name] = self.subject.records.scrub(text).encode("utf-8")


def pack(
    what: str,
    to: _Path,
    *,
    sign: bool = False,
    key: _Path | None = None,
    formats: str = ALL,
    anonymous: bool = False,
    force: bool = False,
    store: _Path | None = None,
) -> Pack:
    """Write what is on record of a run or of a version of a model, for somebody who has neither store nor histhooks.

    Parameters
    ----------
    what : str
        A run (an id, a part of one, a name, `last`), or a version of a model as `credit@3`.
    to : str or path
        The pack, a ZIP file. With one of `formats`, another ending writes that document alone.
    sign : bool
        Whether the pack and the model are signed.
    key : str or path, optional
        The private key for it; by default the one that :func:`sign` takes.
    formats : str
        `all`, or one of `model-card`, `annex-iv`, `in-toto`, `cyclonedx` and `ro-crate`.
    anonymous : bool
        Leave out persons, machines and paths; and with them the store, which the ledger would not fit any more.
    force : bool
        Overwrite a file that is there.
    store : str or path, optional

    Returns
    -------
    Pack

    Raises
    ------
    QueryError
        If there is no such run or version, no key, or no such format.
    StoreError
        If the store cannot be read, or the file cannot be written or is there already.

    Examples
    --------
    >>> from histhooks import evidence
    >>> found = evidence.pack("last", "last.zip")
    >>> found.members[:3], found.key_id, "7 Harmonised standards that were applied" in found.gaps
    (('MANIFEST.sha256', 'annex-iv.md', 'bom.cdx.json'), None, True)
    """
    target = Path(to)
    alone = _format_of(formats, target)
    if os.path.lexists(target) and not force:
        raise StoreError(_THERE.format(target))
    signer = signing_key(key) if sign or key is not None else None
    with History(store) as history, tempfile.TemporaryDirectory(prefix="histhooks-") as folder:
        run, version_id, name = _meant(history, what)
        part = Path(folder) / "store.db"
        export(run.id, to=part, store=history.path, anonymous=anonymous)
        verdict = _judged(run)
        scrub = _scrub(history, run) if anonymous else None
        with History(part) as copied:
            records = Records(copied, scrub)
            subject = subject_of(records, copied.run(run.id), verdict, version_id, name)
            if version_id is not None:
                subject.watched = judge(history, name, since=None)
            work = _Work(subject, _annex_iv.answers(subject), signer)
            _fill(work, formats)
        if not anonymous:
            work.members["store.db"] = part.read_bytes()
    data = work.members[DOCUMENTS[formats]] if alone else _zipped(work)
    _write(target, data, replace=force)
    return Pack(
        target, hashlib.sha256(data).hexdigest(), len(data), run.id, name if version_id else None,
        (target.name,) if alone else tuple(sorted(work.members)), tuple(_annex_iv.gaps(subject, work.answers)),
        signer.public.id if signer is not None else None, len(records.cited),
    )  # fmt: skip


def _format_of(formats: str, target: Path) -> bool:
    """Whether a document is written alone."""
    if formats != ALL and formats not in DOCUMENTS:
        raise QueryError(f"a format is {ALL}, {', '.join(DOCUMENTS)}, not {formats!r}")
    if target.suffix.lower() == ".zip":
        return False
    if formats == ALL:
        raise QueryError(f"a pack is a ZIP file: name it {target.with_suffix('.zip').name}")
    return True


def _meant(history: History, what: str) -> tuple[RunRecord, str | None, str]:
    """The run, the version if one was named, and what to call it."""
    if not is_version_name(history, what):
        run = history.run(what)
        return run, None, run.name
    version = history.version(what)
    if version.run is None:
        raise QueryError(
            f"no run of {history.path} made {version.name}, so there is no record to give evidence of; promote the run "
            "that made the file, or merge the store that has it"
        )
    return version.run, version.id, version.name


def _judged(run: RunRecord) -> Verdict | None:
    return None if run.kind in ("candidate", "preprocess") else check(run)


def _scrub(history: History, run: RunRecord) -> Scrub:
    """What takes names and paths out of a text."""
    opened = open_store(history.path)
    try:
        names = scrubber(choose(opened.connection, [run.id]).people)
    finally:
        opened.close()
    return lambda text: without_paths(names(text))


def _fill(work: _Work, formats: str) -> None:
    """Make the members, the documents first: they decide which records are cited."""
    subject = work.subject
    makers: dict[str, Callable[[], str]] = {
        "model-card": lambda: _model_card.write(subject), ANNEX: lambda: _annex_iv.write(subject, work.answers),
        "in-toto": lambda: _in_toto.statement(subject), "cyclonedx": lambda: _cyclonedx.write(subject),
    }  # fmt: skip
    chosen = [name for name in DOCUMENTS if formats in (ALL, name)]
    for name in chosen:
        if name in makers:
            work.put(DOCUMENTS[name], makers[name]())
    for name in ("model-card.md", "annex-iv.md"):
        if name in work.members:
            subject.records.cite(CITED.findall(work.members[name].decode("utf-8")))
    verdict = subject.verdict
    work.put(
        CHECKS, json.dumps(finite(verdict.as_json() if verdict is not None else None), indent=1, default=str) + "\n"
    )
    work.put("ledger.txt", _ledger(subject))
    if work.key is not None:
        work.members["key.pub"] = work.key.public.pem.encode("ascii")
        if subject.model is not None and subject.model.files:
            work.members["model.sig"] = _in_toto.bundle(subject, subject.model, work.key).encode("utf-8")
    alone = files("histhooks.evidence") / "_alone"
    for name in ("verify_pack.py", "verify_ledger.py"):
        work.members[name] = (alone / f"{name}.txt").read_bytes()
    is_anonymous = subject.records.is_anonymous
    if is_anonymous:
        del work.members["verify_ledger.py"]
    work.put("index.html", _page.write(subject, work.answers, key=work.key, is_anonymous=is_anonymous))
    work.put("records.json", subject.records.as_json())
    if formats in (ALL, "ro-crate"):
        has_store = set() if is_anonymous else {"store.db"}
        members = {name: about for name, about in ABOUT.items() if name in {*work.members, *has_store}}
        work.put("ro-crate-metadata.json", _ro_crate.write(subject, members))


def _ledger(subject: Subject) -> str:
    """The lines of the ledger of the pack, one each: session, number, time, rows, digest."""
    rows = subject.records.history.sql(
        "SELECT session_id, seq, time, n_rows, digest FROM ledger ORDER BY session_id, seq"
    )
    out = ["# session  line  time (microseconds UTC)  rows  digest"]
    out += [f"{r['session_id']}  {r['seq']}  {r['time']}  {r['n_rows']}  {r['digest']}" for r in rows]
    return "\n".join(out) + "\n"


def _zipped(work: _Work) -> bytes:
    """The pack: members by name, the manifest, and its signature."""
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(work.members.items())]
    manifest = "".join(lines).encode("utf-8")
    work.members[MANIFEST] = manifest
    if work.key is not None:
        work.members["MANIFEST.sig"] = work.key.sign(manifest)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in sorted(work.members.items()):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            file.writestr(info, data)
    return out.getvalue()


def _write(target: Path, data: bytes, *, replace: bool) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        part.write_bytes(data)
        give_name(part, target, replace=replace)
    except FileExistsError as error:
        part.unlink(missing_ok=True)
        raise StoreError(_THERE.format(target)) from error
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"{target} cannot be written ({error.strerror}); name another file") from error
