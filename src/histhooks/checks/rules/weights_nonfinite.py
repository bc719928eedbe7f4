"""`weights.nonfinite`: weights are NaN or infinite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._curves import losses
from histhooks.checks._types import FAIL, Check, Found, Said, Skip, Unknown

_DEEP = ("keras", "lightning", "torch")


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    if case.framework not in _DEEP:
        yield Skip("only of networks is it known that all numbers of a model are weights")
        return
    end = case.weights.get("best") or case.weights.get("end")
    if end is None or end.nonfinite is None:
        yield Unknown("the weights at the end were not read", "see `weights` among what was not captured")
        return
    start = case.weights.get("start")
    known = (start.nonfinite or 0) if start is not None else 0  # masks of -inf are constants
    n = end.nonfinite - known
    # Of a loop of PyTorch buffers are read at the end alone, where they may hold a mask.
    added = 0 if start is None or case.framework != "torch" else max(0, end.n_values - start.n_values)
    if n > 0 and (n > added or any(row["nonfinite"] for row in losses(case, "train"))):
        says = f"{n:,} of {end.n_values:,} weights are not finite at the {end.point}"
        yield Found(FAIL, says, n, 0, {"nonfinite": end.nonfinite, "n_values": end.n_values, "at_start": known})


CHECK = Check(
    id="weights.nonfinite",
    title="weights are NaN or infinite",
    rule="more weights are not finite at the end than at the start: fail; in a loop of PyTorch with finite losses, "
    "more than its buffers have values",
    source="counts of the weights",
    needs="Keras, Lightning or PyTorch, and weights at the end",
    levels=(FAIL,),
    why="Every prediction of such a model is NaN.",
    advice="go back to a checkpoint from before the first loss that is not finite (`loss.nonfinite` has the step)",
    triggers="a learning rate of 1e6",
    is_silent="a mask of minus infinity among the buffers of a model",
    limits="weights on devices that could not be read",
    judge=_judge,
    version="2",
)
