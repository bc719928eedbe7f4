"""`leak.prep`: a transformer was fitted on the rows that judge the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import JUDGING, Case
from histhooks.checks._types import FAIL, INFO, WARN, Check, Found, Said, Skip, Unknown
from histhooks.history.data.rows import Transform

ENCODERS = ("OneHotEncoder", "OrdinalEncoder", "LabelEncoder", "LabelBinarizer", "MultiLabelBinarizer")


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    seen = [one for one in case.transforms if one.role in JUDGING and one.requires_fit is not False]
    if not seen:
        yield Skip("no transformer outside of the model is known to have made its validation or test data")
        return
    said = set()
    for one in seen:
        if not one.n_fitted or (one.n_rows or 0) < at["rows"] or (one.class_name, one.role) in said:
            continue
        if not _may_have_seen(case, one):
            continue
        twins = _shared(case, one.role)
        if twins is not None and twins >= one.n_fitted:
            if twins < (one.n_rows or 0):
                continue  # rows that training data has as well
            yield Unknown(f"every {one.role} row has an equal one in the training data, so {_short(one)} may have been "
                          "fitted on either", "drop duplicates before you split")  # fmt: skip
            continue
        said.add((one.class_name, one.role))
        yield _found(one)


def _may_have_seen(case: Case, one: Transform) -> bool:
    """Whether what it was fitted on is large enough for training rows and these; of single columns, chance "
    "makes pairs."""
    if one.by == "rows":
        return True
    fitted, train = case.rows_of(one.fitted_dataset_id), case.train
    role = sum(data["n_rows"] or 0 for data in case.data(one.role))
    return fitted is None or train is None or fitted >= (train["n_rows"] or 0) + role


def _shared(case: Case, role: str) -> int | None:
    """How many rows of a role are in the training data; None if nobody counted."""
    found = [one.n_equal for one in case.overlaps if one.part == "features" and role in one.roles
             and "train" in one.other_roles]  # fmt: skip
    return max(found) if found else None


def _found(one: Transform) -> Found:
    name = _short(one)
    n = f"all {one.n_rows:,}" if one.n_fitted == one.n_rows else f"{one.n_fitted:,} of {one.n_rows:,}"
    says = f"{name} had been fitted on {n} {one.role} rows"
    says += ", with their targets" if one.uses_target else ""
    says += " (known by its columns)" if one.by == "columns" else ""
    level = INFO if name in ENCODERS else FAIL if one.uses_target else WARN
    share = one.n_fitted / one.n_rows if one.n_fitted and one.n_rows else None
    facts = {"class_name": one.class_name, "role": one.role, "n_rows": one.n_rows, "n_fitted": one.n_fitted,
             "by": one.by, "uses_target": one.uses_target, "transform_run_id": one.transform_run_id}  # fmt: skip
    return Found(level, says, share, 0, facts)


def _short(one: Transform) -> str:
    return one.class_name.rpartition(".")[2]


CHECK = Check(
    id="leak.prep",
    title="preprocessing saw the test rows",
    rule="validation or test rows came out of a transformer that had been fitted on them, more of them than the "
    "training data has as well: fail if it was fitted with targets; warn otherwise; info for encoders of categories; "
    "none for fewer than five rows, which may be chance",
    source="Kapoor & Narayanan 2023, L1.2 and L1.3; hashes of rows into and out of transformers (docs/guide/data.md)",
    needs="transformers of scikit-learn outside of a Pipeline with the model",
    levels=(INFO, WARN, FAIL),
    why="The test data shaped the features of the training, so its score is better than that of new data will be.",
    advice="split first, and fit the transformer on the training rows only, or put it into a Pipeline with the model",
    triggers="`X = StandardScaler().fit_transform(X)` before `train_test_split`",
    is_silent="the same scaler inside a Pipeline, or fitted on the training rows",
    limits="preprocessing by hand in NumPy or pandas",
    thresholds={"rows": 5},
    judge=_judge,
    version="2",
)
