"""The runs that are checked together: a block, and the trainings inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histhooks.history import RunRecord


def with_inner(run: RunRecord) -> list[RunRecord]:
    """A run; of a block, also the trainings inside it."""
    if run.kind != "block":
        return [run]
    inner = [each for child in run.children if child.kind != "preprocess" for each in with_inner(child)]
    return [run, *inner]
