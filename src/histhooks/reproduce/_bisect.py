"""Which of the changes between a good run and a bad one makes it bad: the program is run with parts of each.

The parts are code, arguments, data and variables; all trials start from the generators of the good run. First the good
run and the bad one are repeated, to see that the parts are all that matters. Then each part of the bad run is put back
to that of the good one, one after the other, and stays so if the result is bad all the same. What is left is a smallest
set: without any of its parts the result is good (A. Zeller and R. Hildebrandt, "Simplifying and isolating
failure-inducing input", 2002, call that 1-minimal). Nothing is recorded in the history: trials have a store of their
own, which is removed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks.errors import ReproduceError
from histhooks.history import History
from histhooks.history._ranking import main_of
from histhooks.reproduce._execute import refuse, refuse_altered
from histhooks.reproduce._needs import CHANGED, GONE
from histhooks.reproduce._plan import Plan, plan
from histhooks.reproduce._restore import restore
from histhooks.reproduce._running import remove, run_program, scratch_beside

if TYPE_CHECKING:
    from histhooks.history import RunRecord

PARTS = ("code", "arguments", "data", "variables")


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the program.

    Attributes
    ----------
    parts : tuple of str
        The parts that are those of the bad run.
    value : float or None
        The metric; None if the program came to no such run.
    is_bad : bool
        Whether the value is nearer to that of the bad run; a program that fails is bad.
    """

    parts: tuple[str, ...]
    value: float | None
    is_bad: bool


@dataclass(frozen=True, slots=True)
class Bisection:
    """What makes a run bad.

    Attributes
    ----------
    good, bad : str
        Ids of the runs.
    metric : str
    good_value, bad_value : float
        As recorded.
    parts : tuple of str
        The parts that differ.
    trials : tuple of Trial
    causes : tuple of str or None
        The smallest set of parts that makes it bad; None if repeating the two runs does not tell them apart.
    why : str
        Why there is none; else empty.
    """

    good: str
    bad: str
    metric: str
    good_value: float
    bad_value: float
    parts: tuple[str, ...]
    trials: tuple[Trial, ...]
    causes: tuple[str, ...] | None
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {**asdict(self), "trials": [asdict(each) for each in self.trials]}


def bisect(
    good: RunRecord,
    bad: RunRecord,
    *,
    metric: str | None = None,
    python: str | None = None,
    timeout_s: float | None = None,
    ask: Callable[[str], str] | None = None,
    told: Callable[[Trial], None] | None = None,
) -> Bisection:
    """Find the smallest set of what changed that makes a run bad, by running the program with parts of each.

    Parameters
    ----------
    good, bad : RunRecord
        Of one store.
    metric : str, optional
        By default the one that ranks the good run; its best value is compared, or its last if no direction is known.
    python, timeout_s, ask
        As for :func:`execute`.
    told : callable, optional
        Called with each trial.

    Returns
    -------
    Bisection

    Raises
    ------
    ReproduceError
        If one of them cannot be run again, they have no such metric, or nothing differs that can be exchanged.

    Examples
    --------
    >>> import subprocess, sys
    >>> from histhooks import reproduce
    >>> lines = ["import sys, histhooks", "with histhooks.start_run('small') as run:"]
    >>> lines.append("    run.log({'loss': float(sys.argv[1])})")
    >>> _ = open("train.py", "w").write("\\n".join(lines))
    >>> for loss in ("0.5", "5.0"):
    ...     _ = subprocess.run([sys.executable, "-m", "histhooks", "run", "train.py", loss], check=True)
    >>> found = reproduce.bisect(history.run("last~1"), history.run("last"))
    >>> found.causes, found.good_value, found.bad_value
    (('arguments',), 0.5, 5.0)
    """
    store = Path(os.path.abspath(good.history.path))
    refuse_altered(store)
    plans = [plan(run) for run in (good, bad)]
    for each in plans:
        refuse(each, in_place=False)
    main = main_of(good.summaries, good.main_metric)
    name = metric or (main["name"] if main is not None else None)
    values = [_value(run, name) for run in (good, bad)]
    if name is None or values[0] is None or values[1] is None or values[0] == values[1]:
        raise ReproduceError(f"both runs need different values of {name or 'a metric'}; name another with --metric")
    parts = tuple(part for part in PARTS if _of(plans[0], part) != _of(plans[1], part))
    gone = [file.path for each in plans for file in each.files if file.state in (CHANGED, GONE)]
    if "data" in parts and gone:
        raise ReproduceError(f"the data differs, and {gone[0]} is not here as it was, so it cannot be exchanged")
    if not parts:
        raise ReproduceError("code, arguments, data and variables are the same in both; see `histhooks diff`")
    search = _Search(plans[0], plans[1], name, (values[0], values[1]), python, timeout_s, ask, told)
    found, why = search.smallest(parts)
    return Bisection(good.id, bad.id, name, values[0], values[1], parts, tuple(search.trials), found, why)


class _Search:
    """The trials of one search."""

    def __init__(
        self,
        good: Plan,
        bad: Plan,
        metric: str,
        values: tuple[float, float],
        python: str | None,
        timeout_s: float | None,
        ask: Callable[[str], str] | None,
        told: Callable[[Trial], None] | None,
    ) -> None:
        self._good, self._bad, self._metric, self._values = good, bad, metric, values
        self._python, self._timeout_s, self._ask, self._told = python, timeout_s, ask, told
        self.trials: list[Trial] = []

    def smallest(self, parts: tuple[str, ...]) -> tuple[tuple[str, ...] | None, str]:
        """The smallest set of parts, or why there is none."""
        if self._is_bad(()):
            return (
                None,
                "the good run is bad when it is repeated: something else has changed; see `reproduce`",
            )
        if not self._is_bad(parts):
            return (
                None,
                f"with {', '.join(parts)} of the bad run it is good: the cause is something else, or chance",
            )
        left = list(parts)
        for part in parts:
            without = tuple(each for each in left if each != part)
            if without and self._is_bad(without):
                left.remove(part)
        return tuple(left), ""

    def _is_bad(self, parts: tuple[str, ...]) -> bool:
        value = self._try(_mixed(self._good, self._bad, parts))
        good, bad = self._values
        is_bad = value is None or not math.isfinite(value) or abs(value - bad) < abs(value - good)
        self.trials.append(Trial(parts, value, is_bad))
        if self._told is not None:
            self._told(self.trials[-1])
        return is_bad

    def _try(self, mixed: Plan) -> float | None:
        scratch = scratch_beside(Path(os.path.abspath(mixed.run.history.path)), "bisect-")
        try:
            store = scratch / "trial.db"
            target = scratch / "tree"
            folder = restore(mixed, target)
            run_program(mixed, folder, target / "code", scratch, store, self._python, self._timeout_s, self._ask)
            if not store.exists():
                return None
            with History(store) as history:
                return _nth_value(history, mixed.run, self._metric)
        finally:
            remove(scratch)


def _nth_value(history: History, run: RunRecord, metric: str) -> float | None:
    """The metric of the run that has the turn of another one among those of its kind and model."""
    sql = "SELECT id FROM runs WHERE session_id = ? AND kind = ? AND model_class IS ? ORDER BY started_at, id"
    turn = [row["id"] for row in run.history.sql(sql, run.session_id, run.kind, run.model_class)].index(run.id)
    sql = "SELECT id FROM runs WHERE kind = ? AND model_class IS ? ORDER BY started_at, id LIMIT 1 OFFSET ?"
    rows = history.sql(sql, run.kind, run.model_class, turn)
    return _value(history.run(rows[0]["id"]), metric) if rows else None


def _value(run: RunRecord, metric: str | None) -> float | None:
    row = next((row for row in run.summaries if row["name"] == metric), None)
    if row is None:
        return None
    best = {1: row["max"], -1: row["min"]}.get(row["direction"], row["last"])
    return None if best is None else float(best)


def _of(found: Plan, part: str) -> Any:
    """A part of a plan, to be compared with that of another one."""
    if part == "code":
        return found.code.commit, found.code.diff, found.code.texts
    if part == "arguments":
        return found.command and found.command.words
    if part == "data":
        return {os.path.relpath(file.path, found.code.root or "/"): file.sha256 for file in found.files}
    return found.variables, found.hash_seed if not found.is_hash_seed_chosen else None


def _mixed(good: Plan, bad: Plan, parts: tuple[str, ...]) -> Plan:
    """The good run with some parts of the bad one."""
    out = good
    if "code" in parts:
        out = replace(out, code=bad.code)
    if "arguments" in parts:
        out = replace(out, command=bad.command)
    if "data" in parts:
        out = replace(out, files=bad.files)
    if "variables" in parts:
        out = replace(out, variables=bad.variables)
        if not bad.is_hash_seed_chosen:
            out = replace(out, hash_seed=bad.hash_seed, is_hash_seed_chosen=False)
    return out
