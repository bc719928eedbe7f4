"""`leak.groups`: the same group is in training and test data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import JUDGING, Case
from histhooks.checks._types import FAIL, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    found = [one for one in case.overlaps if one.part.startswith("group:") and set(one.roles) & {*JUDGING}]
    if not found:
        yield Skip("no column of groups is named")
        return
    for one in found:
        if one.n_equal and "train" in one.other_roles:
            name, role = one.part.partition(":")[2], " and ".join(one.roles)
            says = f"{one.n_equal:,} of {one.n_rows:,} {role} rows are of a {name!r} that is in the training data"
            yield Found(FAIL, says, one.n_equal / one.n_rows, 0, {"group": name, "role": role, "n_equal": one.n_equal})


CHECK = Check(
    id="leak.groups",
    title="the same group is in training and test data",
    rule="a group is named, and a row of validation or test data is of a group that is in the training data: fail",
    source="Kapoor & Narayanan 2023, L3.2",
    needs="`autolog(groups=...)` or `log_dataset(..., groups=...)`",
    levels=(FAIL,),
    why="The model recognises the patient, user or machine, which it will not do with new ones.",
    advice="split by groups: `GroupKFold`, `GroupShuffleSplit`",
    triggers="`train_test_split` of several rows of each patient",
    is_silent="the same rows split by `GroupShuffleSplit`",
    limits="groups that are not named; none is guessed from the name of a column",
    judge=_judge,
)
