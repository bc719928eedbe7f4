"""What repeating a run takes, what of it is here, what blocks it, and how alike the numbers should be."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from histhooks._base.ids import short_id
from histhooks._base.vocabulary import RUNNING
from histhooks._host.process import identity
from histhooks._record.replay import COLLECTOR, repeated_in
from histhooks.reproduce._code import Code, code_of
from histhooks.reproduce._command import Command, command_of
from histhooks.reproduce._generators import doubts_of, hash_seed_of, is_supervised, kept_of
from histhooks.reproduce._needs import (
    CHANGED,
    ELSEWHERE,
    GONE,
    DataFile,
    PackageNeed,
    files_of,
    installed,
    machine_of,
    packages_of,
    variables_of,
)  # fmt: skip

if TYPE_CHECKING:
    from histhooks.history import RunRecord


_MOST_REPEATS = 100


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something that keeps a run from being repeated as it was.

    Attributes
    ----------
    what : str
        `code`, `command`, `data`, `packages` or `run`.
    text : str
        What is missing, and what to do about it.
    is_hard : bool
        Whether the program cannot be run at all; else it can be run with what is here now.
    """

    what: str
    text: str
    is_hard: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What repeating a run takes.

    Attributes
    ----------
    run : RunRecord
    command : Command or None
        None if it cannot be started again; a blocker says why.
    code : Code
    folder : str
        The folder that the program ran in, from the root of its code.
    files : tuple of DataFile
    packages : tuple of PackageNeed
        Those that are not here in the version that they had.
    n_packages : int
        How many were recorded.
    machine : tuple of str
        In what this machine is another one.
    variables : dict
        Environment variables to set.
    generators : tuple of str
        The random generators that can be put back where they stood.
    hash_seed : str or None
        PYTHONHASHSEED, if it is known.
    expected : str
        The level to expect here: `bits`, `curve` or `metric`.
    reasons : tuple of str
        Why not `bits`.
    cautions : tuple of str
        What to know before it is run.
    blockers : tuple of Blocker
    """

    run: RunRecord
    command: Command | None
    code: Code
    folder: str
    files: tuple[DataFile, ...]
    packages: tuple[PackageNeed, ...]
    n_packages: int
    machine: tuple[str, ...]
    variables: dict[str, str]
    generators: tuple[str, ...]
    hash_seed: str | None
    is_hash_seed_chosen: bool
    is_supervised: bool
    expected: str
    reasons: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    blockers: tuple[Blocker, ...] = field(default_factory=tuple)

    @property
    def is_possible(self) -> bool:
        """Whether nothing blocks it."""
        return not self.blockers

    @property
    def hard(self) -> tuple[Blocker, ...]:
        """The blockers that keep the program from being run at all."""
        return tuple(each for each in self.blockers if each.is_hard)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        run, code = self.run, self.code
        return {
            "run": {"id": run.id, "name": run.name, "status": run.status, "started_at": run.started_at},
            "is_possible": self.is_possible, "expected": self.expected, "reasons": list(self.reasons),
            "command": None if self.command is None else shlex.join(["python", *self.command.words]),
            "masked": [] if self.command is None else list(self.command.masked), "folder": self.folder,
            "code": {
                "commit": code.commit, "repository": code.repository, "clone": code.clone and str(code.clone),
                "has_diff": bool(code.diff), "texts": sorted(code.texts), "elsewhere": sorted(code.elsewhere),
            },
            "files": [asdict(each) for each in self.files],
            "packages": [{**asdict(each), "is_computing": each.is_computing} for each in self.packages],
            "n_packages": self.n_packages, "requirements": run.requirements(),
            "machine": list(self.machine), "variables": self.variables,
            "generators": list(self.generators), "hash_seed": self.hash_seed, "cautions": list(self.cautions),
            "blockers": [asdict(each) for each in self.blockers],
        }  # fmt: skip


def plan(run: RunRecord, *, packages: dict[str, str] | None = None, interpreter: str | None = None) -> Plan:
    """Look at what repeating a run takes. Writes nothing, and runs nothing of it.

    Parameters
    ----------
    run : RunRecord
        Of :meth:`histhooks.History.run`.
    packages : dict, optional
        Version by name of the packages that it would run with; by default those of this Python.
    interpreter : str, optional
        Implementation and version of the Python that it would run with, such as ``CPython 3.12.1``; by default this
        one.

    Returns
    -------
    Plan

    Examples
    --------
    >>> from histhooks import reproduce
    >>> found = reproduce.plan(run)
    >>> found.expected in ("bits", "curve", "metric"), isinstance(found.blockers, tuple)
    (True, True)
    """
    run, repeated = _first(run)
    command = command_of(run)
    code = code_of(run, None if isinstance(command, str) else command)
    seed, is_chosen = hash_seed_of(run)
    files = tuple(files_of(run, _tracked(run, code)))
    wanted = tuple(packages_of(run, installed() if packages is None else packages))
    machine = tuple(machine_of(run, interpreter))
    expected, reasons = _expected(run, wanted, machine)
    return Plan(
        run=run,
        command=None if isinstance(command, str) else command,
        code=code,
        folder=_folder(run, code),
        files=files,
        packages=wanted,
        n_packages=len(run.packages),
        machine=machine,
        variables=variables_of(run),
        generators=tuple(kept_of(run)),
        hash_seed=seed,
        is_hash_seed_chosen=is_chosen,
        is_supervised=is_supervised(run),
        expected=expected,
        reasons=tuple(reasons),
        cautions=(*repeated, *_cautions(run, None if isinstance(command, str) else command, code, seed, files)),
        blockers=tuple(_blockers(run, command, code, files, wanted)),
    )


def _first(run: RunRecord) -> tuple[RunRecord, list[str]]:
    """The run that a run repeats, if it is a repetition, and what to say of that."""
    wanted = run
    for _ in range(_MOST_REPEATS):
        other = next((link["other_run_id"] for link in wanted.links if link["kind"] == "reproduces"), None)
        other = other or _repeated_by(wanted)
        rows = run.history.sql("SELECT * FROM runs WHERE id = ?", other) if other is not None else []
        if not rows:
            break
        wanted = type(run)(run.history, rows[0])
    told = [] if wanted is run else [f"{short_id(run.id)} repeats {short_id(wanted.id)}; this is about that run"]
    return wanted, told


def _repeated_by(run: RunRecord) -> str | None:
    """The run that the program of a run was to repeat, where no link says so: the repetition was cut short."""
    sql = "SELECT note FROM captures WHERE session_id = ? AND collector = ? AND note LIKE 'repeats run %'"
    rows = run.history.sql(sql, run.session_id, COLLECTOR)
    return repeated_in(rows[0]["note"]) if rows else None


def _tracked(run: RunRecord, code: Code) -> dict[str, Any]:
    found = run.code["details"].get("others_changed", {}) if run.code is not None else {}
    return {os.path.join(code.root, name): facts for name, facts in found.items()}


def _folder(run: RunRecord, code: Code) -> str:
    cwd = run.session["cwd"]
    if cwd is None or not code.root:
        return "."
    inside = os.path.relpath(cwd, code.root)
    return "." if inside.startswith("..") else inside


def _blockers(
    run: RunRecord, command: Command | str, code: Code, files: tuple[DataFile, ...], packages: tuple[PackageNeed, ...]
) -> list[Blocker]:
    out = []
    if run.status == RUNNING:
        out.append(Blocker("run", "it is still running", is_hard=True))
    if isinstance(command, str):
        out.append(Blocker("command", command, is_hard=True))
    out += [Blocker("code", text, is_hard=True) for text in code.blockers]
    out += _data_blockers(files, is_here=run.session["hostname"] == identity().hostname)
    missing = [each for each in packages if each.here is None and each.is_computing]
    others = [each for each in packages if each.here is not None and each.is_computing]
    out += [Blocker("packages", f"{each.name} {each.version} is not installed", is_hard=False) for each in missing] + [
        Blocker("packages", f"{each.name} was {each.version}, and is {each.here} here", is_hard=False)
        for each in others
    ]
    return out


def _data_blockers(files: tuple[DataFile, ...], *, is_here: bool) -> Iterator[Blocker]:
    """Files that differ or are missing; a path of another machine is here another file, which says nothing of that."""
    changed, gone = (
        ("has changed since", "is gone") if is_here else ("has other content here", "is not on this machine")
    )
    for each in files:
        if each.state == CHANGED:
            text = f"{each.path} {changed}: sha256 {(each.sha256 or '')[:12]} then"
            yield Blocker("data", text, is_hard=False)
    for each in files:
        if each.state == GONE:
            yield Blocker("data", f"{each.path} {gone}, and no file with its content is known", is_hard=False)


def _expected(run: RunRecord, packages: tuple[PackageNeed, ...], machine: tuple[str, ...]) -> tuple[str, list[str]]:
    computing = [each for each in packages if each.is_computing]
    worst = [f"{each.name} {each.version} then, {each.here or 'not installed'} here" for each in computing[:3]]
    worst += doubts_of(run)
    if _used_gpu(run) and not _is_deterministic(run):
        worst.append("it ran on a GPU without flags of determinism")
    if worst:
        return "metric", worst
    if machine:
        return "curve", list(machine)
    return "bits", []


def _used_gpu(run: RunRecord) -> bool:
    sql = "SELECT 1 FROM rng_states WHERE session_id = ? AND device LIKE 'cuda%' LIMIT 1"
    return bool(run.history.sql(sql, run.session_id))


def _is_deterministic(run: RunRecord) -> bool:
    return bool((run.determinism or {}).get("torch.use_deterministic_algorithms"))


def _cautions(
    run: RunRecord, command: Command | None, code: Code, seed: str | None, files: tuple[DataFile, ...]
) -> list[str]:
    out = []
    if seed is None:
        out.append("PYTHONHASHSEED was not known: what follows the order of a set of strings may differ "
                   "(`histhooks run` records it)")  # fmt: skip
    given = json.loads(run.session["details"] or "{}").get("stdin")
    if given is not None:
        out.append(f"standard input was a {given}: what the program read from it was not kept, and it is empty now")
    moved = [each for each in files if each.state == ELSEWHERE]
    out += [f"{each.path} is taken from {each.found}, which has the same content" for each in moved]
    if command is not None and any(code.root and f"{code.root}{os.sep}" in word for word in command.arguments):
        out.append(f"an argument names a place in {code.root}, which is used as it is now")
    written = [file["path"] for file in run.artifacts if file["direction"] == "out"]
    outside = [path for path in written if code.root and not path.startswith(f"{code.root}{os.sep}")]
    if outside:
        out.append(f"it writes {', '.join(outside[:3])}{' …' if len(outside) > 3 else ''}, and would write it again")
    if any(each["library"] == "python" for each in run.unseeded):
        out.append("a generator without a seed was not kept")
    return out
