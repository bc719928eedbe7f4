"""`valid.none`: the model was never judged on other data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import JUDGING, Case, target_of
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Skip
from histhooks.history._around import was_validated

_SEEN = ("sklearn", "keras")  # whose scores and predictions the record has, whoever asks for them


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    data = case.train
    is_supervised = data is not None and bool(target_of(data))
    if not case.is_training or case.status != "finished" or data is None or not is_supervised:
        yield Skip("it is no finished training with a target")
        return
    if case.run.row["parent_id"] is not None and case.run.parent is not None and case.run.parent.kind != "block":
        yield Skip("it is part of a search or a validation")
        return
    if case.data(*JUDGING) or any(row["split"] in JUDGING for row in case.metrics):
        return
    only_train = next(
        (row for row in case.metrics if row["metric"] in ("score", "train_score") and row["count"] == 1), None
    )
    if only_train is not None and only_train["split"] == "train" and not was_validated(case.run, by_folds=True):
        says = f"its only score, {only_train['last']:.3f}, is of the {data['n_rows'] or 0:,} rows that it was fitted to"
        yield Found(WARN if (data["n_rows"] or 0) >= at["rows"] else INFO, says, 0, 1, {"n_rows": data["n_rows"]})
        return
    if was_validated(case.run):
        yield Skip("its session has a search, a cross-validation or scores that judge models")
        return
    by_hand = any(row["collector"] == "predictions" for row in case.captures)
    by_hand = by_hand or bool(case.run.splits) or len(case.run.file_reads) > 1 or case.framework not in _SEEN
    level = INFO if by_hand or (data["n_rows"] or 0) < at["rows"] else WARN
    says = f"it was fitted to {data['n_rows'] or 0:,} rows, and no validation or test data is known"
    yield Found(level, says, 0, 1, {"n_rows": data["n_rows"]})


CHECK = Check(
    id="valid.none",
    title="it was never judged on other data",
    rule="a finished fit with a target, and in its session no validation or test data, score, cross-validation "
    "or search: warn; so is a score of the training data alone; info if the program split data, read several "
    "files or predicted on other rows, since it may judge by hand; info for PyTorch and "
    "XGBoost, whose predictions are not seen",
    source="Kapoor & Narayanan 2023, L1.1",
    needs="features and target of the training data",
    levels=(INFO, WARN),
    why="Nobody knows how good the model is on data that it has not seen.",
    advice="hold rows back with `train_test_split` and call `score`, or use cross-validation",
    triggers="`model.fit(X, y)` and nothing else",
    is_silent="a last fit to all data after `cross_validate`",
    limits="scores that a program computes by hand",
    thresholds={"rows": 30},
    judge=_judge,
    version="3",
)
