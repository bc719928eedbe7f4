"""`leak.fold`: data of a cross-validation was preprocessed as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._types import FAIL, INFO, WARN, Check, Found, Said, Skip
from histhooks.checks.rules.leak_prep import ENCODERS


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    if case.kind not in ("search", "validate"):
        yield Skip("it is no search and no cross-validation")
        return
    held_back = any(row["split"] == "test" for row in case.metrics)
    said = set()
    for one in case.transforms:
        if one.role != "train" or not one.n_fitted or one.requires_fit is False or one.class_name in said:
            continue
        said.add(one.class_name)
        name = one.class_name.rpartition(".")[2]
        level = FAIL if one.uses_target else INFO if name in ENCODERS or held_back else WARN
        n = "all" if one.n_fitted == one.n_rows else f"{one.n_fitted:,} of"
        says = f"{name} had been fitted on {n} {one.n_rows or 0:,} rows of all folds" + (
            ", with their targets" if one.uses_target else ""
        )
        share = one.n_fitted / one.n_rows if one.n_rows else None
        yield Found(level, says, share, 0, {"class_name": one.class_name, "n_fitted": one.n_fitted,
                                            "uses_target": one.uses_target})  # fmt: skip


CHECK = Check(
    id="leak.fold",
    title="data of a cross-validation was preprocessed as a whole",
    rule="the data of a search or cross-validation came out of a transformer that had been fitted on it: fail if with "
    "targets; warn otherwise; info for encoders of categories, and where test data was held back",
    source="Kapoor & Narayanan 2023, L1.2 and L1.3",
    needs="transformers of scikit-learn outside of a Pipeline with the model",
    levels=(INFO, WARN, FAIL),
    why="Each fold shaped the features of its own training, so the scores of the folds are better than those "
    "of new data.",
    advice="put the transformer into a Pipeline with the model, and validate that",
    triggers="`cross_val_score(model, SelectKBest().fit_transform(X, y), y)`",
    is_silent="`cross_val_score(make_pipeline(SelectKBest(), model), X, y)`",
    limits="preprocessing by hand in NumPy or pandas",
    judge=_judge,
)
