"""`leak.rows`: rows of validation or test data are in the training data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import JUDGING, Case, features_of
from histhooks.checks._types import FAIL, INFO, WARN, Check, Found, Said, Skip, Unknown
from histhooks.history.data.chance import FAIL_SHARE, WARN_SHARE, Z, judge
from histhooks.history.data.rows import Overlap


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    judging = case.data(*JUDGING, "evaluated")
    if not case.data("train") or not judging:
        yield Skip("it has no training data beside validation or test data")
        return
    same = {features_of(data) for data in case.data("train")} - {None}
    compared = set()
    for one in case.overlaps:
        if one.part not in ("features", "rows") or "train" not in one.other_roles:
            continue
        compared.add(one.dataset_id)
        data = next((data for data in judging if data["id"] == one.dataset_id), None)
        if data is None or features_of(data) in same:  # which `valid.is_train` says
            continue
        yield from _found(case, one, data["n_columns"], at)
    unseen = [
        data["role"] for data in case.data(*JUDGING) if data["id"] not in compared and features_of(data) not in same
    ]
    if unseen:
        why = case.missed("data_content", "data") or "their rows were not hashed"
        yield Unknown(f"{' and '.join(dict.fromkeys(unseen))} data was not compared with the training data ({why})",
                      "give arrays, frames or tensors that lie in memory, or `run.log_dataset()`")  # fmt: skip


def _found(case: Case, one: Overlap, n_columns: int | None, at: Mapping[str, float]) -> Iterator[Said]:
    found = judge(one)
    if found.level in ("none", "chance"):
        return
    role = " and ".join(one.roles) or "validation"
    says = f"{one.n_equal:,} of {one.n_rows:,} {role} rows are in the training data ({found.share:.1%}"
    is_chance = found.by_chance is not None and not one.is_identifying
    says += f"; chance explains {found.by_chance:.1%})" if is_chance else ")"
    facts = {"role": role, "n_rows": one.n_rows, "n_equal": one.n_equal, "n_twins": one.n_twins,
             "n_other": one.n_other, "is_identifying": one.is_identifying, "z": found.z}  # fmt: skip
    if one.roles == ("evaluated",) and one.n_equal >= at["whole"] * (one.n_other or 1):
        yield Found(INFO, f"{says}: it was evaluated on all data", found.share, at["warn"], facts)
    elif (n_columns or 0) < at["columns"] or min(one.n_rows, one.n_other or 0) < at["rows"]:
        small = "data of one column" if (n_columns or 0) < at["columns"] else "data of few rows"
        yield Found(INFO, f"{says}, which may be chance in {small}", found.share, at["warn"], facts)
    elif one.n_equal < at["few"] and not _tells_apart(case):
        yield Found(
            INFO, f"{says}, which may be chance where one column tells rows apart", found.share, at["warn"], facts
        )
    elif found.share >= at["fail"]:
        yield Found(FAIL, says, found.share, at["fail"], facts)
    elif found.share >= at["warn"]:
        yield Found(WARN, says, found.share, at["warn"], facts)
    else:
        yield Found(INFO, says, found.share, at["warn"], facts)


def _tells_apart(case: Case) -> bool:
    """Whether two columns or more have another value in nearly each training row; false if they were not counted."""
    data = case.train
    columns = data.columns if data is not None else ()
    telling = [one for one in columns if (one.facts.get("distinct") or 0) >= 0.8 * (one.facts.get("count") or 1)]
    return len(telling) > 1


CHECK = Check(
    id="leak.rows",
    title="test rows are in the training data",
    rule="rows of validation or test data that are in the training data, where a column tells rows apart or their "
    f"share lies {Z:g} standard errors above the twins inside the training data: from {FAIL_SHARE:.0%} on fail, from "
    f"{WARN_SHARE:.1%} on warn, below info; info for data of one column or of fewer than 50 rows, and for one "
    f"or two rows where one column alone tells rows apart, and for an evaluation on all rows of the training data and "
    "others",
    source="shares as in deepchecks' Train Test Samples Mix; the baseline of twins: docs/guide/data.md",
    needs="hashes of rows of both data sets (docs/guide/data.md)",
    levels=(INFO, WARN, FAIL),
    why="A model remembers rows that it was trained on, so the score of these rows says nothing about new ones.",
    advice="drop duplicates before you split, and split once; `histhooks data RUN` shows the counts",
    triggers="`X_test = np.vstack([X_test, X_train[:10]])`",
    is_silent="a table of three small integers, whose halves share most rows by chance",
    limits="near duplicates, augmented copies, resized images, rows behind a transformation by hand",
    thresholds={"warn": WARN_SHARE, "fail": FAIL_SHARE, "columns": 2, "rows": 50, "few": 3, "whole": 0.9},
    judge=_judge,
    version="2",
)
