"""Why two runs are not alike: what differs before the first number that does, in the order of a program.

=====================  =================================================================================================
stage                  is compared
=====================  =================================================================================================
``program text``       commit, changes on top, own modules, cells
``arguments``          the words after the program, by option
``params``             what was chosen otherwise, such as in a config file
``files``              files that the program read, by their content
``packages``           versions; those that compute numbers first
``machine``            Python, system, CPU and its instructions, GPUs, threads, variables, flags
``generators``         seeds, PYTHONHASHSEED, and where the generators stood when the run began
``data``               content by role, with the columns that differ
``preprocessing``      splits and transformers
``model``              architecture, optimizer and its groups
``weights at start``   the weights before the first step
``first point``        a metric differs from its first point on
``later point``        a metric differs later
``weights at end``     the weights after the last step, or results
=====================  =================================================================================================

The first stage that differs is the likeliest cause of those below it: what stands above is the same in both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import from_iso
from histhooks.history._places import is_same_place
from histhooks.history.compare.change import change as _change
from histhooks.history.compare.differences import differences

if TYPE_CHECKING:
    from histhooks.history._records import RunRecord
    from histhooks.history.compare.agreement import Agreement
    from histhooks.history.compare.change import Change, Part
    from histhooks.history.compare.differences import Differences

# The part of `diff` that each stage is of.
_STAGES = (
    ("program text", ("code",)),
    ("arguments", ("command",)),
    ("params", ("params",)),
    ("files", ("files read",)),
    ("packages", ("packages",)),
    ("machine", ("environment",)),
    ("generators", ("seeds",)),
    ("data", ("data",)),
    ("preprocessing", ("splits", "preprocessing")),
    ("model", ("architecture", "optimizer")),
)
# Packages whose version decides what is computed.
COMPUTING = (
    "numpy", "scipy", "torch", "scikit-learn", "xgboost", "keras", "lightning", "pytorch-lightning", "jax", "jaxlib",
    "tensorflow", "pandas", "polars", "joblib", "threadpoolctl", "torchvision", "torchmetrics", "transformers",
)  # fmt: skip
_HASH_SEED = "PYTHONHASHSEED"
_MOST = 6  # changes of a stage that its text names
_HASHES = (32, 40, 64)


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that differs between two runs, and may be why their numbers do.

    Attributes
    ----------
    stage : str
        `program text`, `arguments`, `params`, `files`, `packages`, `machine`, `generators`, `data`, `preprocessing`,
        `model` or `weights at start`.
    text : str
        What differs, with both values.
    keys : tuple of str
        The names of what differs.
    """

    stage: str
    text: str
    keys: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """It as plain values."""
        return {**asdict(self), "keys": list(self.keys)}


def causes(a: RunRecord, b: RunRecord, found: Agreement) -> tuple[Cause, ...]:
    """What differs between two runs and could be why their numbers do, the likeliest first.

    Parameters
    ----------
    a, b : RunRecord
    found : Agreement
        Of these two runs.

    Returns
    -------
    tuple of Cause
        Also of two runs that agree: then without effect.
    """
    differ = differences(a, b)
    differ = replace(differ, parts=tuple(_without_places(a, b, part) for part in differ.parts))
    out = [_cause(stage, differ, names) for stage, names in _STAGES]
    read = _reads(a, b)
    if read is not None:
        # A file of data that changed is told with the data that came of it.
        n = _place_of("files") if out[_place_of("data")] is None else _place_of("data")
        out[n] = _joined(out[n], read)
    if a.session["kind"] != b.session["kind"] and any(_is_of_cells(run) for run in (a, b)):
        out[0] = None  # cells, and the script that was made of them
    hashes = _hash_seeds(a, b)
    if hashes is not None:
        n = _place_of("generators")
        out[n] = _joined(out[n], hashes)
    if found.weights_start_equal is False and all(each is None for each in out):
        out.append(Cause("weights at start", "the weights at start differ, for no reason that is recorded", ()))
    return tuple(each for each in out if each is not None)


def stage_of(found: Agreement, reasons: tuple[Cause, ...]) -> str | None:
    """The first stage that differs; None if nothing does."""
    if reasons:
        return reasons[0].stage
    if found.weights_start_equal is False:
        return "weights at start"
    if found.first is not None:
        return "first point" if found.first.n == 0 else "later point"
    return "weights at end" if found.weights_equal is False or found.results else None


def _place_of(stage: str) -> int:
    return next(n for n, (name, _) in enumerate(_STAGES) if name == stage)


def _is_of_cells(run: RunRecord) -> bool:
    """Whether the program is the script that `histhooks reproduce` makes of cells."""
    code = run.code
    words = (code["entry_script"] if code is not None else None, run.session["command"])
    return any("cells.py" in (word or "") or "cells.ipy" in (word or "") for word in words)


def _without_places(a: RunRecord, b: RunRecord, part: Part) -> Part:
    """A part but for values that are the same place in another copy of the program."""
    return replace(part, changes=tuple(each for each in part.changes if not is_same_place(a, each.a, b, each.b)))


def _reads(a: RunRecord, b: RunRecord) -> Cause | None:
    """Files that both programs read before the runs ended, and that had another content."""
    found = [_files_of(run) for run in (a, b)]
    inside = dict(found[1].values())
    changes = []
    for path, (place, sha256) in found[0].items():
        other = found[1][path][1] if path in found[1] else inside.get(place)
        if other is not None and other != sha256:
            changes.append(_change(place if not place.startswith("..") else path, sha256, other))
    if not changes:
        return None
    more = f", and {len(changes) - _MOST} more" if len(changes) > _MOST else ""
    told = "; ".join(_text(change) for change in changes[:_MOST])
    return Cause("files", told + more, tuple(change.key for change in changes))


def _files_of(run: RunRecord) -> dict[str, tuple[str, str]]:
    """Of each file that was read and hashed: its place from where the program ran, and its first content."""
    sql = (
        "SELECT path, sha256, mtime FROM file_reads WHERE session_id = ? AND time <= ? AND sha256 IS NOT NULL "
        "ORDER BY time, ordinal"
    )
    until = from_iso(run.ended_at) if run.ended_at is not None else 1 << 62
    began, folder = from_iso(run.session["started_at"]), run.session["cwd"] or os.sep
    out: dict[str, tuple[str, str]] = {}
    for row in run.history.sql(sql, run.session_id, until):
        if (row["mtime"] or 0) < began:  # what the program wrote itself is no input
            out.setdefault(row["path"], (os.path.relpath(row["path"], folder), row["sha256"]))
    return out


def _cause(stage: str, differ: Differences, names: tuple[str, ...]) -> Cause | None:
    parts = [part for part in differ.parts if part.name in names]
    changes = [change for part in parts for change in _that_matter(stage, part)]
    if not changes:
        return None
    if stage == "packages":
        changes.sort(key=lambda change: change.key not in COMPUTING)
    told = list(_texts(stage, differ, parts, changes))
    more = f", and {len(changes) - _MOST} more" if len(changes) > _MOST else ""
    return Cause(stage, "; ".join(told) + more, tuple(change.key for change in changes))


def _that_matter(stage: str, part: Part) -> Iterator[Change]:
    for change in part.changes:
        if change.key in (_HASH_SEED, f"python {_HASH_SEED}"):
            continue  # `_hash_seeds` has both values, also that which `histhooks run` chose
        # States of generators do not count in `diff`, since it is not known whether they were used; here they may.
        if change.counts or stage == "generators":
            yield change


def _texts(stage: str, differ: Differences, parts: list[Part], changes: list[Change]) -> Iterator[str]:
    if stage == "data":
        notes = [note for part in parts for note in part.notes]
        yield from notes[:_MOST] or (_text(change) for change in changes[:_MOST])
        return
    if stage == "program text" and differ.patch is not None and differ.patch.text:
        added, removed = differ.patch.n_lines
        yield f"{', '.join(_files(differ.patch.text))}: +{added} −{removed} lines"
        return
    yield from (_text(change) for change in changes[:_MOST])


def _files(patch: str) -> list[str]:
    """The files of a patch, by the name that they have after it."""
    names = [line[4:].split("\t")[0].strip('"') for line in patch.splitlines() if line.startswith(("+++ ", "--- "))]
    short = [name[2:] if name.startswith(("a/", "b/")) else name for name in names if name != "/dev/null"]
    found = list(dict.fromkeys(short))
    return [*found[:3], *(["…"] if len(found) > 3 else [])] or ["the code"]


def _text(change: Change) -> str:
    if change.kind == "added":
        return f"{change.key}: {_value(change.b)} in the second only"
    if change.kind == "removed":
        return f"{change.key}: {_value(change.a)} in the first only"
    return f"{change.key}: {_value(change.a)} → {_value(change.b)}"


def _value(value: Any) -> str:
    if isinstance(value, str) and len(value) in _HASHES and all(letter in "0123456789abcdef" for letter in value):
        return value[:12]
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _hash_seeds(a: RunRecord, b: RunRecord) -> Cause | None:
    found = [_hash_seed(run) for run in (a, b)]
    if found[0] == found[1]:
        return None
    told = [each or "not set" for each in found]
    return Cause("generators", f"{_HASH_SEED}: {told[0]} → {told[1]}", (_HASH_SEED,))


def _hash_seed(run: RunRecord) -> str | None:
    sql = "SELECT value FROM seeds WHERE session_id = ? AND library = 'python' ORDER BY ordinal LIMIT 1"
    rows = run.history.sql(sql, run.session_id)
    return rows[0]["value"] if rows else None


def _joined(cause: Cause | None, other: Cause) -> Cause:
    if cause is None:
        return other
    return Cause(cause.stage, f"{cause.text}; {other.text}", (*cause.keys, *other.keys))
