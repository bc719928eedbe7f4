"""`leak.index`: the same samples of one Dataset are under both splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import JUDGING, Case
from histhooks.checks._types import FAIL, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    found = [one for one in case.overlaps if one.part == "index"]
    if not found:
        yield Skip("no two of its data sets are subsets of one Dataset")
        return
    for one in found:
        if one.n_equal and "train" in one.other_roles and set(one.roles) & {*JUDGING}:
            role = " and ".join(one.roles)
            yield Found(
                FAIL, f"{one.n_equal:,} of {one.n_rows:,} {role} samples are training samples, by their numbers",
                one.n_equal / one.n_rows if one.n_rows else None, 0,
                {"role": role, "n_rows": one.n_rows, "n_equal": one.n_equal},
            )  # fmt: skip


CHECK = Check(
    id="leak.index",
    title="the same samples are under both splits",
    rule="two Subsets of one Dataset, one for training and one for judging, have a number in common",
    source="the numbers of the samples, exactly",
    needs="`Subset` or `random_split` of PyTorch on both sides",
    levels=(FAIL,),
    why="A model remembers samples that it was trained on, so their score says nothing about new ones.",
    advice="make both from one `random_split`, or from numbers that you split once",
    triggers="`Subset(data, range(900))` and `Subset(data, range(800, 1000))`",
    is_silent="`random_split(data, [900, 100])`",
    limits="two Dataset objects over the same files; samplers",
    judge=_judge,
)
