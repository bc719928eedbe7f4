"""Axes over runs: what each run has of a name, as a number or a category, and where it stands."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from histhooks._base.telling import telling as telling_once
from histhooks._base.text import number, seconds, value_text
from histhooks.history._named_values import values_under
from histhooks.history._ranking import main_of
from histhooks.history.query.names import split, written
from histhooks.history.query.run_query import params_of, sources_of, summaries_of
from histhooks.plot._scales import Scale, scale_of

if TYPE_CHECKING:
    from histhooks.history import History
    from histhooks.history._run_rows import RunRows

_MOST_CATEGORIES = 24
_LOG_FROM = 20  # greatest by least


@dataclass(frozen=True, slots=True)
class Axis:
    """One name, with the value of each run.

    Attributes
    ----------
    word : str
        As the address names it.
    name : str
        As an expression of `--where` writes it.
    values : list
        Of each run a number, a text or None.
    scale : Scale or None
        None of categories.
    categories : list of str
        In the order of their places.
    direction : int
        1 or -1 of a metric of which it is known which way is better, else 0.
    literals : dict
        A category as an expression writes it, if it can.
    """

    word: str
    name: str
    values: list[Any]
    scale: Scale | None
    categories: list[str]
    direction: int = 0
    literals: dict[str, str] = field(default_factory=dict)

    def share(self, place: int) -> float | None:
        """Where a run stands, from 0 to 1; None if it has no such thing, or one that has no place here."""
        value = self.values[place]
        if self.scale is None:
            text = None if value is None else value_text(value, 60)
            if text not in self._places:
                return None
            return (self._places[text] + 0.5) / len(self.categories)
        if not _is_number(value) or not math.isfinite(value) or (self.scale.is_log and value <= 0):
            return None
        return min(1.0, max(0.0, self.scale.share(value)))

    @property
    def _places(self) -> dict[str | None, int]:
        return {text: place for place, text in enumerate(self.categories)}

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """Places from 0 to 1 with their labels."""
        if self.scale is None:
            return [((place + 0.5) / len(self.categories), text) for place, text in enumerate(self.categories)]
        return [(self.scale.share(value), text) for value, text in self.scale.ticks(count)]

    def text(self, place: int) -> str:
        """The value of a run for a person."""
        value = self.values[place]
        if value is None:
            return ""
        if self.word.endswith("_s") and _is_number(value):
            return seconds(value)
        return number(value) if isinstance(value, float) else value_text(value, 60)


def axes_of(history: History, rows: Sequence[RunRows], words: Sequence[str]) -> list[Axis]:
    """The axes of some names, over some runs.

    Raises
    ------
    QueryError
        If no run has such a name.
    """
    found = values_under(history, [row.id for row in rows], words)
    axes = []
    for place, word in enumerate(words):
        told = [found[row.id][place] for row in rows]
        # What is not finite has no place on a scale.
        values = [None if one.kind == "metric" and isinstance(one.value, str) else one.value for one in told]
        axes.append(_axis(word, values, next((one.direction for one in told if one.direction), 0)))
    return axes


def _is_number(value: Any) -> bool:
    """Whether a value has a place on a scale: a whole number that no float holds is a word."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, float) or abs(value) <= sys.float_info.max


def _axis(word: str, values: list[Any], direction: int) -> Axis:
    prefix, base, stat = split(word)
    name = written(prefix, base) + (f".{stat}" if stat else "")
    known = [value for value in values if value is not None]
    numbers = [float(value) for value in known if _is_number(value) and math.isfinite(value)]
    if len(numbers) * 2 >= len(known) and numbers:
        kind = "whole" if all(value == round(value) for value in numbers) else "number"
        scale = scale_of(numbers, kind=kind)
        if min(numbers) > 0 and max(numbers) / min(numbers) >= _LOG_FROM:
            # What spreads over decades: its median is nearer to the middle of them.
            log, middle = scale_of(numbers, is_log=True, kind=kind), median(numbers)
            scale = log if abs(log.share(middle) - 0.5) < abs(scale.share(middle) - 0.5) else scale
        return Axis(word, name, values, scale, [], direction)
    counts = Counter(value_text(value, 60) for value in known)
    common = sorted(text for text, _ in counts.most_common(_MOST_CATEGORIES))
    literals = {value_text(value, 60): text for value in known if (text := _literal(value)) is not None}
    return Axis(word, name, values, None, common, direction, literals)


def _literal(value: Any) -> str | None:
    """A value as an expression writes it; None if it cannot."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if _is_number(value):
        return repr(value)
    if not isinstance(value, str) or not value.isprintable():
        return None
    return f"'{value}'" if "'" not in value else f'"{value}"' if '"' not in value else None


def choices(history: History, rows: Sequence[RunRows], most: int) -> tuple[list[str], list[str]]:
    """Names that may be axes, and those that say most: the params in which the runs differ, then the main metric."""
    ids = [row.id for row in rows]
    params, summaries = params_of(history, ids), summaries_of(history, ids)
    seen: dict[str, set[str]] = {}
    for run_id in ids:
        for key, value in params.get(run_id, {}).items():
            seen.setdefault(key, set()).add(value_text(value, 60))
    is_few = len(rows) == 1
    varying = [key for key, values in seen.items() if len(values) > 1 or is_few]
    # What is different in each run, such as a path, is a name of the run and no choice.
    telling = [
        key for key in varying
        if len(seen[key]) <= _MOST_CATEGORIES or _is_numeric([params.get(i, {}).get(key) for i in ids])
    ]  # fmt: skip
    told = {run_id: [one for one in found if one["split"] != "system"] for run_id, found in summaries.items()}
    metrics = Counter(one["name"] for found in told.values() for one in found)
    leading = Counter(
        (main_of(told[row.id], row.row["main_metric"]) or told[row.id][0])["name"] for row in rows if told.get(row.id)
    )
    first = next((name for name, _ in leading.most_common(1)), None)
    names = [f"params.{key}" for key in [*telling, *(key for key in varying if key not in telling)]]
    # A second name of the same value, such as optimizer.lr beside lr, stays among the names.
    once = telling if is_few else [key for key in telling_once(params, sources_of(history, ids)) if key in telling]
    chosen = [f"params.{key}" for key in once[:most]] + ([first] if first else [])
    return [*names, *(name for name, _ in metrics.most_common()), "duration_s", "epochs_done", "status"], chosen


def _is_numeric(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(_is_number(value) for value in known)
