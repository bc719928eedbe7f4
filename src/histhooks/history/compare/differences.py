"""What differs between two runs, the most important first.

Inputs and outcomes count: data, splits and preprocessing, code, the program's arguments, files read, packages,
environment, params, optimizer, seeds, architecture, weights, metrics, results and how it ended. The identity of a run
does not count: ids, names, times, durations, the machine's name, and measurements of the machine. The states of the
random generators are shown but do not count, since it is unknown which ones the training used; their effect shows in
the metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.ids import short_id
from histhooks.errors import QueryError
from histhooks.history._dataframes import frame
from histhooks.history._shown import Shown
from histhooks.history.compare import inputs, origins, outputs
from histhooks.history.compare.change import Change, Part
from histhooks.history.compare.command import command
from histhooks.history.compare.data import data

if TYPE_CHECKING:
    import pandas

    from histhooks.history._records import RunRecord
    from histhooks.history.compare.code import Patch


@dataclass(frozen=True, slots=True, repr=False)
class Differences(Shown):
    """What differs between two runs.

    Attributes
    ----------
    a, b : dict
        `id`, `name`, `status`, `started_at` of each.
    parts : tuple of Part
        Each part of the record, the most important first, including those that are the same.
    patch : Patch or None
        From the code of A to that of B; None if both ran the same recorded code, or none was recorded.
    not_captured : tuple of str
        What was not recorded for one or both, and why.

    Examples
    --------
    >>> found = history.diff("last~1", "last")
    >>> found.differs, found.part("params").changes[0].key, "packages" in found.same
    (True, 'lr', True)
    >>> [row["key"] for row in found.rows() if row["counts"] and row["part"] == "metrics"]
    ['loss', 'val_loss']
    >>> found.as_json()["differs"]
    True
    """

    a: dict[str, Any]
    b: dict[str, Any]
    parts: tuple[Part, ...]
    patch: Patch | None
    not_captured: tuple[str, ...]

    def __repr__(self) -> str:
        counts = [f"{part.name} {len(part.changes)}" for part in self.parts if part.changes]
        ids = f"{short_id(self.a['id'])} → {short_id(self.b['id'])}"
        return f"<Differences {ids} differs={self.differs}: {', '.join(counts) or 'nothing'}>"

    def part(self, name: str) -> Part:
        """One part: data, code, packages, ..."""
        found = next((part for part in self.parts if part.name == name), None)
        if found is None:
            raise QueryError(f"differences have no part {name!r}; they have {', '.join(p.name for p in self.parts)}")
        return found

    def rows(self) -> list[dict[str, Any]]:
        """A dict for each change: `part`, `key`, `kind` (added, removed or changed), `a`, `b`, `counts`, `note`."""
        return [
            {
                "part": part.name, "key": change.key, "kind": change.kind, "a": change.a, "b": change.b,
                "counts": change.counts, "note": change.note,
            }
            for part in self.parts
            for change in part.changes
        ]  # fmt: skip

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each change, the most important part first; the columns are those of :meth:`rows`.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        QueryError
            If pandas is not installed.
        """
        return frame(self.rows(), "part key kind a b counts note".split())

    @property
    def differs(self) -> bool | None:
        """Whether anything that counts differs; None if the record is not enough to decide."""
        if any(change.counts for part in self.parts for change in part.changes):
            return True
        return None if any(part.unknown for part in self.parts) else False

    @property
    def same(self) -> list[str]:
        """Names of the parts that are recorded in both, and the same."""
        return [part.name for part in self.parts if not part.changes and not part.unknown and part.is_there]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        patch = None
        if self.patch is not None:
            patch = {"kind": self.patch.kind, "text": self.patch.text, "notes": self.patch.notes}
        return {
            "a": self.a, "b": self.b, "differs": self.differs, "same": self.same,
            "parts": {part.name: _part_as_json(part) for part in self.parts if part.changes or part.unknown},
            "patch": patch, "not_captured": list(self.not_captured),
        }  # fmt: skip


def _part_as_json(part: Part) -> dict[str, Any]:
    return {
        "changes": [{"kind": c.kind, **asdict(c)} for c in part.changes],
        "unknown": list(part.unknown),
        "notes": list(part.notes),
    }


def differences(a: RunRecord, b: RunRecord, *, tolerance: float = 0.0) -> Differences:
    """Compare two runs.

    Parameters
    ----------
    a, b : RunRecord
        Of the same history or of two.
    tolerance : float
        Metrics and results that are relatively closer than this are the same.

    Returns
    -------
    Differences
    """
    code, patch = inputs.code(a, b)
    parts: list[Callable[[RunRecord, RunRecord], Part]] = [
        inputs.packages, inputs.environment, inputs.params, inputs.optimizer, inputs.seeds, outputs.model,
    ]  # fmt: skip
    return Differences(
        a=_who(a),
        b=_who(b),
        parts=(
            data(a, b),
            origins.splits(a, b),
            origins.preprocessing(a, b),
            code,
            command(a, b),
            inputs.files(a, b),
            *(part(a, b) for part in parts),
            origins.weights(a, b, tolerance),
            outputs.metrics(a, b, tolerance),
            outputs.results(a, b, tolerance),
            outputs.end(a, b),
        ),
        patch=patch,
        not_captured=tuple(_not_captured(a, b)),
    )


def _who(run: RunRecord) -> dict[str, Any]:
    return {"id": run.id, "name": run.name, "status": run.status, "started_at": run.started_at}


def _not_captured(a: RunRecord, b: RunRecord) -> list[str]:
    told: dict[str, list[str]] = {}
    for name, run in (("A", a), ("B", b)):
        for capture in run.captures:
            if capture["status"] != "ok":
                note = f", {capture['note']}" if capture["note"] else ""
                told.setdefault(f"{capture['collector']}: {capture['status']}{note}", []).append(name)
    return [f"{text} ({' and '.join(dict.fromkeys(names))})" for text, names in told.items()]


__all__ = ["Change", "Differences", "Part", "differences"]
