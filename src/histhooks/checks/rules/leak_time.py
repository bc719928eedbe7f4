"""`leak.time`: the model was trained on the future."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import JUDGING, Case
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    found = [one for one in case.overlaps if one.part.startswith("time:") and set(one.roles) & {*JUDGING}]
    if not found:
        yield Skip("no column of times is named")
        return
    for one in found:
        share = one.n_equal / one.n_rows if one.n_rows else 0.0
        if share and "train" in one.other_roles:
            name, role = one.part.partition(":")[2], " and ".join(one.roles)
            says = f"{one.n_equal:,} of {one.n_rows:,} {role} rows are before the last {name!r} of the training data"
            level = WARN if share >= at["warn"] else INFO
            yield Found(level, says, share, at["warn"], {"column": name, "role": role, "n_before": one.n_equal})


CHECK = Check(
    id="leak.time",
    title="it was trained on the future",
    rule="a time is named, and validation or test rows lie before the last time of the training data: from 1 % "
    "on warn, below info",
    source="Kapoor & Narayanan 2023, L3.1; skore SKD013 flags every datetime column, which this does not",
    needs="`autolog(time=...)`",
    levels=(INFO, WARN),
    why="The model knows what came after the rows that judge it, which it will not when it is used.",
    advice="split by time: train on what is before a day, test on what is after it",
    triggers="`train_test_split` of sales by day, with `autolog(time='day')`",
    is_silent="`frame[frame.day < '2026-01-01']` for training",
    limits="times that are not named; dates that are no order, as of birth, must not be named",
    thresholds={"warn": 0.01},
    judge=_judge,
)
