"""Run the program of a run again, as it was, and compare what comes of it.

The code lies in a folder of its own beside the store, or the present tree is used as it is. The program is recorded
into the same store, with its generators restored, and the run that stands where the first one stood is compared with
it. A link `reproduces` and a row of `reproductions` say so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from histhooks._base.ids import short_id
from histhooks._record.replay import COLLECTOR, note_of
from histhooks.errors import HisthooksError, ReproduceError
from histhooks.history import History
from histhooks.history.compare.agreement import LEVELS, TOLERANCE, agreement
from histhooks.history.compare.causes import Cause, causes, stage_of
from histhooks.reproduce._command import TYPED
from histhooks.reproduce._generators import doubts_of
from histhooks.reproduce._keep import keep, link
from histhooks.reproduce._pairing import pairs_of
from histhooks.reproduce._reproduction import Reproduction
from histhooks.reproduce._restore import restore
from histhooks.reproduce._running import remove, run_program, scratch_beside, turn_of

if TYPE_CHECKING:
    from histhooks.history import RunRecord
    from histhooks.reproduce._plan import Plan


def execute(
    plan: Plan,
    *,
    level: str | None = None,
    tolerance: float = TOLERANCE,
    in_place: bool = False,
    into: str | os.PathLike[str] | None = None,
    python: str | None = None,
    timeout_s: float | None = None,
    ask: Callable[[str], str] | None = None,
) -> Reproduction:
    """Run the program again, record it, and compare.

    This runs code that the store holds. It is refused for a store whose ledger does not fit.

    Parameters
    ----------
    plan : Plan
    level : {"bits", "curve", "metric"}, optional
        The level that is required; by default the one that the plan expects.
    tolerance : float
        Relative tolerance of the level `curve`.
    in_place : bool
        Whether to run the present files where they lie, instead of the code as it was.
    into : str or path, optional
        The folder to write the code into, and to leave there.
    python : str, optional
        Another interpreter; it must have histhooks.
    timeout_s : float, seconds, optional
        The program is ended after this time.
    ask : callable, optional
        Gives the value of a masked argument by its name; by default the environment does.

    Returns
    -------
    Reproduction

    Raises
    ------
    ReproduceError
        If the program cannot be run at all, a secret is not given, or the store does not pass `verify`.

    Examples
    --------
    >>> import subprocess, sys
    >>> from histhooks import reproduce
    >>> lines = ["import histhooks", "with histhooks.start_run('small') as run:", "    run.log({'loss': 0.5})"]
    >>> _ = open("train.py", "w").write("\\n".join(lines))
    >>> subprocess.run([sys.executable, "-m", "histhooks", "run", "train.py"], check=True).returncode
    0
    >>> found = reproduce.execute(reproduce.plan(history.run("small")))
    >>> found.level, found.why
    ('bits', '')
    """
    refuse(plan, in_place=in_place)
    if level is not None and level not in LEVELS[:3]:
        raise ReproduceError(f"the level is {', '.join(LEVELS[:3])}, not {level!r}")
    if plan.run.history.is_target:
        raise ReproduceError(
            "a repetition is recorded beside the first run, and a target is changed by what is pushed to it: "
            "`histhooks pull`, reproduce the run of that file, push it"
        )
    store = Path(os.path.abspath(plan.run.history.path))
    refuse_altered(store)
    _refuse_unwritable(store)
    with _place(plan, store, into, in_place=in_place) as (folder, scratch):
        code = Path(plan.code.root) if in_place else scratch / "code"
        roots = (plan.code.root, str(code))
        try:
            ended, output = run_program(plan, folder, code, scratch, store, python, timeout_s, ask)
        except KeyboardInterrupt:
            # What was recorded by then does not look like a run of its own.
            with suppress(HisthooksError):
                with History(store) as history:
                    pairs, _ = _pairs(history, plan.run, turn_of(scratch), roots)
                link(store, pairs)
            raise
        with History(store) as history:
            pairs, why = _pairs(history, plan.run, turn_of(scratch), roots)
            new = history.run(pairs[plan.run.id]) if plan.run.id in pairs else None
            found = _compared(history, plan, new, why, level, tolerance, ended, output)
        is_kept = into is not None or (found.level != "bits" and not in_place)
        found = replace(found, folder=scratch if is_kept else None)
    try:
        keep(store, found, pairs)
    finally:
        if not is_kept:
            remove(scratch)
    return found


def refuse(plan: Plan, *, in_place: bool) -> None:
    """Raise if the program cannot be run at all."""
    hard = [each.text for each in plan.hard if not (in_place and each.what == "code")]
    if hard or plan.command is None:
        raise ReproduceError(f"it cannot be run again: {'; '.join(hard)}")
    if in_place and plan.run.session["kind"] in TYPED:
        raise ReproduceError("the cells of a notebook are run as a script of their own, not in place")


def refuse_altered(store: Path) -> None:
    """Raise if the ledger of a store does not fit."""
    from histhooks.verify import verify

    report = verify(store, kept_files=False)  # none of them is run; what is read of them is verified then
    if not report.ok:
        raise ReproduceError(f"{store} is not as it was recorded, so nothing of it is run; see `histhooks verify`")


def _refuse_unwritable(store: Path) -> None:
    if not all(os.access(path, os.W_OK) for path in (store, store.parent)):
        raise ReproduceError(
            f"{store} cannot be written, and the repetition is recorded there; copy it to a folder of yours"
        )


@contextmanager
def _place(
    plan: Plan, store: Path, into: str | os.PathLike[str] | None, *, in_place: bool
) -> Iterator[tuple[Path, Path]]:
    """The folder that the program runs in, and the one of what belongs to this reproduction."""
    if into is not None:
        target = Path(os.path.abspath(into))
        yield restore(plan, target), target
        return
    scratch = scratch_beside(store, f"{short_id(plan.run.id)}-")
    try:
        if in_place:
            folder = Path(plan.run.session["cwd"] or os.getcwd())
            if not folder.is_dir():
                raise ReproduceError(f"{folder}, where it ran, is not there any more")
            yield folder, scratch
        else:
            yield restore(plan, scratch), scratch
    except BaseException:
        remove(scratch)
        raise


def _how(run: RunRecord) -> str:
    return f"{run.status} with {run.error_type}" if run.error_type else run.status


# --- comparing --------------------------------------------------------------------------------------------------------


def _pairs(history: History, run: RunRecord, turn: int, roots: tuple[str, str]) -> tuple[dict[str, str], str]:
    """The new runs by the run that each repeats; and why there is none for the run that was asked for."""
    sql = (
        "SELECT session_id FROM captures WHERE run_id IS NULL AND collector = ? AND note = ? ORDER BY time DESC LIMIT 1"
    )
    rows = history.sql(sql, COLLECTOR, note_of(run.id, turn))
    if not rows:
        return {}, "the program recorded no run"
    found = pairs_of(history, run, rows[0]["session_id"], roots)
    return found, "" if run.id in found else f"the program came to no run at {run.call_site or 'that place'}"


def _compared(
    history: History,
    plan: Plan,
    new: RunRecord | None,
    why: str,
    level: str | None,
    tolerance: float,
    code: int | None,
    output: str,
) -> Reproduction:
    required = level or plan.expected
    if new is None:
        if code is None:
            why = "the program ran out of time"
        elif code:
            why = f"{why}: it ended with {f'exit code {code}' if code > 0 else f'signal {-code}'}"
        return Reproduction(plan.run.id, None, "failed", required, None, None, (), code, output, None, why)
    run = history.run(plan.run.id)
    found = agreement(run, new, tolerance=tolerance)
    reasons = causes(run, new, found)
    if found.level != "bits" and not reasons:
        reasons = tuple(Cause("generators", text, ()) for text in doubts_of(run))
    stage = None if found.level == "bits" else stage_of(found, reasons)
    why = "" if found.level is not None else "neither run has a point, a result or weights to compare"
    if found.level == "failed":
        otherwise = f"it ended otherwise: {_how(run)} then, {_how(new)} now"
        why = "the program ran out of time" if code is None else otherwise
    return Reproduction(run.id, new.id, found.level, required, found, stage, reasons, code, output, None, why)
