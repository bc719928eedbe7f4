"""The course of a loop: its run, and how far it is. All that a thread, an optimizer or a step needs of the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histhooks.integrations.kit import Run

if TYPE_CHECKING:
    from histhooks.integrations.torch._passes import Pass


class Course:
    """What :class:`histhooks.integrations.torch._loops.Loop` shows to those below it.

    Attributes
    ----------
    run : Run
    steps : int
        Steps that were made.
    last_ns : int
        When the last one was.
    pass_ : Pass or None
        The pass over data that feeds it.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.steps = self.last_ns = 0
        self.pass_: Pass | None = None

    @property
    def is_open(self) -> bool:
        """Whether its run still takes points."""
        return self.run.status == "running"

    def is_fed_by(self, one: Pass | None) -> bool:
        """Whether a batch of a pass is one to train on, as far as that is known."""
        if self.pass_ is None or one is None:
            return True
        return one is self.pass_ or one.is_like(self.pass_)
