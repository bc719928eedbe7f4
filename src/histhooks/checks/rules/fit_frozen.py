"""`fit.frozen`: the weights did not change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks._base.text import counted
from histhooks.checks._case import Case
from histhooks.checks._types import FAIL, Check, Found, Said, Skip, Unknown

_DEEP = ("keras", "lightning", "torch")


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    steps, epochs = case.run.steps_done or 0, case.run.row["epochs_done"] or 0
    if case.framework not in _DEEP or not case.trains or not (steps or epochs):
        yield Skip("no weights were updated in steps")
        return
    after = counted(steps, "step") if steps else counted(epochs, "epoch")
    shape = case.run.architecture
    if shape is not None and shape["n_trainable"] == 0 and shape["n_parameters"]:
        says = f"none of the {shape['n_parameters']:,} parameters is trainable, in {after}"
        yield Found(FAIL, says, 0, 0, {"n_parameters": shape["n_parameters"], "steps": steps})
        return
    start, end = case.weights.get("start"), case.weights.get("end")
    if start is None or end is None or start.digest is None or end.digest is None:
        yield Unknown("the weights at start and end were not hashed", "see `weights` among what was not captured")
    elif start.digest == end.digest and start.n_values == end.n_values and start.n_values:
        yield Found(FAIL, f"all {end.n_values:,} weights are as before, after {after}", 0, 0,
                    {"digest": end.digest, "steps": steps})  # fmt: skip


CHECK = Check(
    id="fit.frozen",
    title="the weights did not change",
    rule="the digest of all weights at the end is that at the start, or no parameter is trainable, after one "
    "step or more: fail",
    source="digests of the weights (XXH3-128)",
    needs="Keras, Lightning or PyTorch, and weights at start and end",
    levels=(FAIL,),
    why="The model that came out is the model that went in.",
    advice="look for `requires_grad_(False)`, `trainable = False`, a learning rate of 0, or an optimizer over "
    "other weights",
    triggers="`optimizer = SGD(model.parameters(), lr=0.0)`",
    is_silent="a frozen backbone under a head that learns",
    limits="weights that change and learn nothing, which `loss.flat` sees",
    judge=_judge,
)
