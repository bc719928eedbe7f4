"""What a run puts into the buffer for the writer: the shapes of its entries, which :mod:`histhooks._batch` lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from histhooks._metrics import Metric

# n, step, epoch, time, value, special: one point as it lies in the file, its step resolved.
Point = tuple[int, int, int | None, int, float | None, str | None]

Entry = tuple[Any, ...]

ACTOR = object()  # who acts, where git has yet to say it: never asked on a thread of the program


class Source(Protocol):
    """What points come from: a run, or what stands for one of another process."""

    id: str | None
    start_us: int

    def what_is(self, name: str) -> Metric:
        """What a metric's name means in this run."""


def ignore(entry: Any) -> None:
    """Take what a run says that nobody records any more."""


class Line:
    """What is the same in points that come at each step, so that one value, the step and the time are all they bring.

    Attributes
    ----------
    run : Source
    name : str
        Of the metric whose value each step brings.
    rest : mapping of str to float
        The other metrics of each step.
    epoch : int or None
    """

    __slots__ = ("epoch", "name", "rest", "run")

    def __init__(self, run: Source, name: str, rest: Mapping[str, float], epoch: int | None) -> None:
        self.run, self.name, self.rest, self.epoch = run, name, rest, epoch


def points_in(entry: tuple[Any, ...]) -> list[str]:
    """The metrics that an entry of the buffer brings points of; none where it brings something else."""
    if entry[0].__class__ is Line:
        return [entry[0].name, *entry[0].rest]
    return [] if entry[0].__class__ is str else list(entry[1])


def named(entry: tuple[Any, ...]) -> str:
    """What an entry is, in words."""
    points = points_in(entry)
    if points:
        return f"a point of {', '.join(points)}"[:200]
    if entry[0] == "params":
        return f"param {entry[3][0][0]}"[:200]
    return f"a row of {entry[1]}" if entry[0] in ("row", "content") else f"the {entry[1]} state {entry[3]!r}"[:200]
