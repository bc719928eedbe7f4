"""Groups of runs as a table: for a terminal, and for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from histhooks._base.text import number, value_text, when
from histhooks._views.table import Cell, Column

if TYPE_CHECKING:
    from histhooks.history._groups import RunGroup

_CSV = ("count", "failed", "metric", "measured", "best", "best_run", "mean", "std", "started_at", "where")


def spread(group: RunGroup) -> str:
    """The mean of a group with its standard deviation."""
    if group.mean is None:
        return ""
    return f"{number(group.mean)} ± {number(group.std)}" if group.std is not None else number(group.mean)


def title_of(groups: Sequence[RunGroup]) -> str:
    """The metric with an arrow to where it is better."""
    if not groups or groups[0].metric is None:
        return ""
    arrow = {1: "↑ ", -1: "↓ ", 0: ""}[groups[0].direction]
    return f"{arrow}{groups[0].metric}"


def cells(names: Sequence[str], groups: Sequence[RunGroup]) -> tuple[list[Column], list[list[Cell]]]:
    """The columns and rows of a table for a terminal."""
    metric = title_of(groups)
    columns = [Column(name, least=12) for name in names]
    columns += [Column("RUNS", is_right=True), Column("FAILED", rank=2, is_right=True)]
    columns += [Column(f"BEST {metric}".strip(), is_right=True), Column("MEAN ± S.D.", rank=1, is_right=True)]
    columns += [Column("LATEST", rank=4)]
    rows = [
        [
            *(Cell(shown(group.values[name]), "" if group.values[name] is not None else "dim") for name in names),
            Cell(str(group.count)), Cell(str(group.failed or ""), "error" if group.failed else ""),
            Cell("" if group.best is None else number(group.best), "bold"), Cell(spread(group)),
            Cell(when(group.started_at), "dim"),
        ]
        for group in groups
    ]  # fmt: skip
    return columns, rows


def shown(value: Any) -> str:
    """A value that runs have in common."""
    return "none" if value is None else value_text(value, 60)


def as_csv(names: Sequence[str], groups: Sequence[RunGroup], guard: Callable[[Any], Any] = lambda cell: cell) -> str:
    """A line for each group."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([guard(title) for title in (*names, *_CSV)])
    for group in groups:
        told = [group.values[name] for name in names]
        plain = [v if v is None or isinstance(v, (str, int, float)) else value_text(v, 2000) for v in told]
        writer.writerow([guard(cell) for cell in (*plain, *(getattr(group, name) for name in _CSV))])
    return out.getvalue()
