"""Which calls of which trainers are being recorded, and the two private functions through which Lightning reports them.

Nothing of this is put into the trainer: neither an attribute nor a callback, since programs find theirs by position
(``trainer.callbacks[0]``), count them, pickle the trainer, and Lightning writes all of them into checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

Hook = Callable[..., Any]


class Call:
    """One call of a trainer, such as ``fit``.

    Attributes
    ----------
    hooks : dict of str to callable
        What to do as Lightning calls a hook of that name: takes the call, and the arguments that callbacks get.
    depth : int
        Above 0 where code of a callback runs. What a trainer does then is a trial of a tuner's (``LearningRateFinder``
        and ``BatchSizeFinder`` run the loop from inside a hook, with other callbacks, loggers and weights that are put
        back): it is no part of the training.
    """

    hooks: ClassVar[dict[str, Hook]] = {}

    def __init__(self) -> None:
        self.depth = 0
        self.is_telling = False  # whether the trainer gives values to its loggers

    def logged(self, metrics: dict[str, Any], step: int | None) -> None:
        """The trainer's loggers get this."""

    def has_logger(self, logger: Any) -> bool:
        """Whether a logger is one of the trainer's."""
        return False

    def logged_directly(self, logger: Any, metrics: Any, step: Any) -> None:
        """A logger gets this, and not from the trainer."""


# By the id of the trainer, from the beginning of a call to its end.
active: dict[int, Call] = {}


# They come with each batch, and what is done in them is never a tuner's.
_FREQUENT = frozenset(
    "on_train_batch_start on_train_batch_end on_before_backward on_after_backward on_before_zero_grad "
    "on_validation_batch_start on_validation_batch_end on_test_batch_start on_test_batch_end".split()
)


def watch_hooks(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None] | None:
    """Watch ``_call_callback_hooks(trainer, hook_name, ...)``, which each hook of callbacks goes through."""
    if len(args) < 2 or args[1] in _FREQUENT or id(args[0]) not in active:
        return None
    return _hook(args[0], args[1], args[2:])


watch_hooks.is_watch = True  # type: ignore[attr-defined]


def _hook(trainer: Any, name: str, args: tuple[Any, ...]) -> Iterator[None]:
    call = active[id(trainer)]
    if not call.depth and name in call.hooks:
        call.hooks[name](call, *args)
        call = active.get(id(trainer), call)  # a fit may begin here
    call.depth += 1
    try:
        yield
    finally:
        call.depth -= 1


def watch_loggers(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None] | None:
    """Watch ``_LoggerConnector.log_metrics(metrics, step=None)``: what loggers get, also where there is none."""
    call = active.get(id(args[0].trainer))
    if call is None:
        return None
    if not call.depth:
        call.logged(args[1] if len(args) > 1 else kwargs["metrics"], _step(args, kwargs))
    return _telling(call)


watch_loggers.is_watch = True  # type: ignore[attr-defined]


def _telling(call: Call) -> Iterator[None]:
    call.is_telling = True
    try:
        yield
    finally:
        call.is_telling = False


def watch_logger(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Watch ``log_metrics(metrics, step=None)`` of Lightning's loggers, which programs and callbacks call too."""
    calls = [call for call in list(active.values()) if call.has_logger(args[0])] if active else []
    # Where fits nest, and share a logger, it hears from the inner one.
    if not any(call.is_telling for call in calls):
        for call in calls:
            call.logged_directly(args[0], args[1] if len(args) > 1 else kwargs["metrics"], _step(args, kwargs))


watch_logger.is_watch = True  # type: ignore[attr-defined]


def _step(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[2] if len(args) > 2 else kwargs.get("step")
