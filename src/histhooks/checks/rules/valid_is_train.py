"""`valid.is_train`: the model was judged on its own training data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import JUDGING, Case, features_of
from histhooks.checks._types import FAIL, INFO, WARN, Check, Found, Said, Skip, Unknown
from histhooks.history._around import was_validated


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    trained, judging = case.data("train"), case.data(*JUDGING)
    if case.trains and trained and case.framework == "xgboost" and not case.data("valid"):
        yield from _watched(case, is_tested=bool(judging))
    if not case.trains or not trained or not judging:
        yield Skip("it has no training data beside validation or test data")
        return
    known = {features_of(data) for data in trained} - {None}
    if not known or not any(features_of(data) for data in judging):
        yield Unknown("the values of training and validation data were not hashed whole",
                      "give arrays, frames or tensors that lie in memory")  # fmt: skip
        return
    same = [data for data in judging if features_of(data) in known]
    if not same:
        return
    others = {data["id"] for data in judging} - {data["id"] for data in same}
    roles = " and ".join(dict.fromkeys(data["role"] for data in same))
    says = f"the {roles} data is the training data: {same[0]['n_rows'] or 0:,} rows, the same values"
    yield Found(INFO if others else FAIL, says + (", beside other data" if others else ""), len(same), 0,
                {"roles": roles, "dataset_ids": [data["id"] for data in same]})  # fmt: skip


def _watched(case: Case, *, is_tested: bool) -> Iterator[Said]:
    """Boosted trees whose only eval set is the training data: the integration compares them, and names the split so."""
    watched = [row for row in case.metrics if row["split"] not in ("test", "system")]
    if not watched or any(row["split"] != "train" for row in watched):
        return
    n = case.datasets[0]["n_rows"] or 0
    stops = any(key.startswith("early_stopping") and value for key, value in case.params.items())
    is_named = all("train" in row["name"].lower() for row in watched)
    is_by_hand = bool(case.run.splits) or any(row["collector"] == "predictions" for row in case.captures)
    has_more = is_tested or is_by_hand or was_validated(case.run)
    says = f"its only eval set is the training data: {n:,} rows"
    says += ", by which the training was stopped" if stops else ""
    if stops or not is_named:
        level = WARN if is_tested else FAIL
        yield Found(level if stops else INFO if has_more else WARN, says, 1, 0, {"stops": stops})


CHECK = Check(
    id="valid.is_train",
    title="it was judged on its own training data",
    rule="the features of validation or test data have the digest of the training data: fail; info if the model was "
    "judged by other data as well; an only eval set that is the training data: fail if it stops the training, warn "
    "if the model was tested on other data; if it stops nothing, warn, info if the program has other data",
    source="digests of all values",
    needs="values of both, hashed whole",
    levels=(INFO, WARN, FAIL),
    why="What a model scores on the data it was fitted to says how well it remembers, and nothing about new data.",
    advice="hold rows back with `train_test_split`, or use cross-validation",
    triggers="`model.fit(X, y, validation_data=(X, y))`",
    is_silent="`eval_set=[(X_train, y_train), (X_valid, y_valid)]`",
    limits="training data in another order, which `leak.rows` sees",
    judge=_judge,
    version="3",
)
