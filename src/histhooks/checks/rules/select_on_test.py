"""`select.on_test`: the model was chosen by the data that it was tested on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case, features_of
from histhooks.checks._types import FAIL, INFO, WARN, Check, Found, Said, Skip, Unknown


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    valid, test = case.data("valid"), case.data("test")
    used = Counter(data["id"] for data in case.datasets if data["role"] == "valid")
    # A model that is scored on its validation data is scored there: the record says so by naming the data again.
    again = [data for data in valid if used[data["id"]] > 1 and case.kind in ("fit", "loop")]
    if not valid or not (test or again):
        yield Skip("it was not tested on data beside its validation data, nor on that")
        return
    watched, tested = ({features_of(data) for data in each} for each in (valid, [*test, *again]))
    if tested == {None} or watched == {None}:
        yield Unknown("validation and test data were not hashed whole",
                      "give arrays, frames or tensors that lie in memory")  # fmt: skip
        return
    both = (watched & tested) - {None}
    if not both:
        return
    how = _chosen_by(case)
    has_others = bool(tested - both)
    level = INFO if how is None or has_others else WARN if case.framework == "lightning" else FAIL
    rows = next(data["n_rows"] for data in [*test, *again] if features_of(data) in both)
    says = f"it was tested on its {rows or 0:,} validation rows" + (f", by which {how}" if how else "")
    says += ", and on other rows" if has_others else ""
    yield Found(level, says, len(both), 0, {"how": how})


def _chosen_by(case: Case) -> str | None:
    """What was chosen by the validation data; None if it was only watched."""
    params = case.params
    if any(key.startswith("early_stopping") and value not in (None, False) for key, value in params.items()):
        return "the training was stopped"
    if any(
        "checkpoint" in key and key.endswith(("monitor", "save_best_only")) and value for key, value in params.items()
    ):
        return "the checkpoint was chosen"
    names = str(params.get("callbacks", ""))
    if "EarlyStopping" in names:
        return "the training was stopped"
    return "the checkpoint was chosen" if "ModelCheckpoint" in names and case.framework == "keras" else None


CHECK = Check(
    id="select.on_test",
    title="it was chosen by the data it was tested on",
    rule="validation data that stops the training or chooses a checkpoint has the digest of the only test "
    "data: fail (warn for Lightning); info if it was only watched",
    source="digests of all values",
    needs="values of validation and test data, hashed whole",
    levels=(INFO, WARN, FAIL),
    why="The score is the best of many looks at these rows, and better than that of new data will be.",
    advice="split three times: train, choose by validation data, and test once on rows that nothing has seen",
    triggers="`fit(..., eval_set=[(X_test, y_test)], early_stopping_rounds=10)` and `score(X_test, y_test)`",
    is_silent="early stopping on rows of their own",
    limits="choices of people who look at test scores, which `test.reused` counts",
    judge=_judge,
)
