"""Programs whose trainings are checked: what was found in each block of a program, and what checks could not tell."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from histhooks import History
from histhooks.checks import Verdict
from histhooks.history import RunRecord
from histhooks.testing import run_program


class Told(NamedTuple):
    """Verdicts of the runs in one block, taken together."""

    found: set[tuple[str, str]]  # id and level
    says: dict[str, str]
    unknown: dict[str, str]
    skipped: set[str]
    passed: set[str]

    @property
    def alarms(self) -> set[str]:
        return {name for name, level in self.found if level != "info"}


def checked(program: str, store: Path, **variables: str) -> dict[str, Told]:
    """Run a program; by the name of each of its outermost blocks, what checks say of the runs in it."""
    code, out, err = run_program(program, store, HISTHOOKS_STRICT="1", OMP_NUM_THREADS="1", **variables)
    assert code == 0, f"{out}\n{err}"
    with History(store) as history:
        outer = history.runs(kind="block", is_nested=False, order_by="started_at asc")
        return {run.name: told([each.check() for each in trained(run)]) for run in outer}


def trained(run: RunRecord) -> list[RunRecord]:
    """The runs in a block in which something was trained; the block itself, if it is a loop of its own."""
    inner = [child for child in run.children if child.kind != "preprocess"]
    return [each for child in inner for each in (trained(child) if child.kind == "block" else [child])] or [run]


def told(verdicts: list[Verdict]) -> Told:
    findings = [found for verdict in verdicts for found in verdict.findings]
    return Told(
        {(found.id, found.level) for found in findings},
        {found.id: found.says for found in findings},
        {one.id: one.why for verdict in verdicts for one in verdict.cannot_tell},
        {name for verdict in verdicts for name in verdict.does_not_apply},
        {name for verdict in verdicts for name in verdict.passed},
    )
