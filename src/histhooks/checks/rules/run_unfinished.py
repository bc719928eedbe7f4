"""`run.unfinished`: the run did not come to its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks._base.text import counted
from histhooks._base.vocabulary import ENDED, GRADES, INTERRUPTED, KILLED, LOST, RUNNING
from histhooks.checks._case import Case
from histhooks.checks._types import FAIL, INFO, WARN, Check, Found, Said

_SAYS = {
    RUNNING: "the run is still going",
    ENDED: "its process ended, and nobody saw with which exit code",
    INTERRUPTED: "the run was interrupted",
    KILLED: "the run was killed",
    LOST: "the run was lost: nothing is seen of its process",
}


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    grade = GRADES[case.status]
    if grade == "good":
        return
    level = {"going": INFO, "doubtful": WARN}.get(grade, FAIL)
    if case.status == ENDED:
        level = INFO  # all that is known of a plain loop at the end of a script
    if case.kind == "candidate" and level == FAIL:
        level = WARN  # a search goes on without it (error_score)
    says = _SAYS.get(case.status, f"the run {case.status}")
    if case.status == KILLED:
        says += f" by {case.session['signal']}" if case.session["signal"] else ""
    row = case.run.row
    if row["error_type"]:
        says += f" with {row['error_type']}"
    if row["epochs_planned"] and (row["epochs_done"] or 0) < row["epochs_planned"]:
        says += f", after {row['epochs_done'] or 0:,} of {counted(row['epochs_planned'], 'epoch')}"
    yield Found(level, says, evidence={"status": case.status, "error_type": row["error_type"]})


CHECK = Check(
    id="run.unfinished",
    title="it did not come to its end",
    rule="status `failed`, `killed` or `lost`: fail (a candidate of a search: warn); `interrupted`: warn; `running`, "
    "`ended`: info",
    source="status of the run, as its process or a later session saw it",
    needs="nothing but the run",
    levels=(INFO, WARN, FAIL),
    why="A model of a training that stopped early is not the model that was planned.",
    advice="see why it stopped with `histhooks show RUN --traceback`, and train again or resume from a checkpoint",
    triggers="a fit that raises an exception in epoch 3 of 10",
    is_silent="a fit that returns; early stopping is an end",
    limits="an open run of a program whose end nobody saw, such as a notebook, reads `ended`, which is no warning",
    judge=_judge,
)
