"""The state of a page, which its URL holds as a whole: a link shows the same page to everybody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self
from urllib.parse import parse_qsl, quote_plus

from histhooks.errors import QueryError

_SIGNS = re.compile(r"\\.|.", re.DOTALL)
_KEPT = "/,:~*()!'\"="  # what a query may hold as it is, so that links can be read


@dataclass(frozen=True, slots=True)
class State:
    """The words of a URL. Those that have their default are left out of it; the others come in the order of the fields.

    A field is a text, several texts separated by commas, a number or a boolean.
    """

    @classmethod
    def parse(cls, query: str) -> Self:
        """Read it from the query of a URL; unknown words are ignored.

        Raises
        ------
        QueryError
            If a field that takes a number has a text that is not a finite number.
        """
        given: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            given.setdefault(name, []).append(value)
        found: dict[str, Any] = {}
        for one in fields(cls):
            key = _url_name(one.name)
            if key in given:
                found[one.name] = _read(key, given[key], one.default)
        return cls(**found)

    def write(self) -> str:
        """The query of a URL, without a question mark."""
        parts = []
        for one in fields(self):
            value = getattr(self, one.name)
            if value != one.default:
                parts.append(f"{_url_name(one.name)}={quote_plus(_written(value), safe=_KEPT)}")
        return "&".join(parts)

    def but(self, **changes: Any) -> Self:
        """The same with some fields changed."""
        return replace(self, **changes)

    def items(self, without: Iterable[str] = ()) -> list[tuple[str, str]]:
        """Its words as hidden fields of a form."""
        skipped = {*without}
        told = ((one, getattr(self, one.name)) for one in fields(self) if _url_name(one.name) not in skipped)
        return [(_url_name(one.name), _written(value)) for one, value in told if value != one.default]


def _url_name(name: str) -> str:
    return {"start": "from", "stop": "to", "without": "not"}.get(name, name)


def _read(key: str, values: list[str], default: Any) -> Any:
    text = values[-1].strip()
    if isinstance(default, bool):
        return text.lower() not in ("", "0", "no", "off", "false")
    if isinstance(default, tuple):
        # A form sends a box each, a link all of them with commas; a comma inside a word has a backslash before it.
        words = [word for value in values for word in _words(value)]
        return tuple(dict.fromkeys(word for word in words if word))
    if default is None or isinstance(default, float):
        return _number(key, text, default)
    return text


def _words(text: str) -> list[str]:
    words = [""]
    for sign in _SIGNS.findall(text):
        if sign == ",":
            words.append("")
        else:
            words[-1] += sign[1:] if len(sign) == 2 else sign
    return [word.strip() for word in words]


def in_list(word: str) -> str:
    """A word as it stands among others, separated by commas."""
    return word.replace("\\", "\\\\").replace(",", "\\,")


def _number(key: str, text: str, default: float | None) -> float | None:
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise QueryError(f"{key} is a number, not {text!r}") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise QueryError(f"{key} is a finite number, not {text!r}")
    return value


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, tuple):
        return ",".join(map(in_list, value))
    if isinstance(value, float):
        return f"{value:.0f}" if value == round(value) and abs(value) < 1e15 else repr(value)
    return str(value)


@dataclass(frozen=True, slots=True)
class RunsState(State):
    """The table of runs.

    Attributes
    ----------
    group : tuple of str
        Names: runs with the same values of all of them are one row.
    open : tuple of str
        Conditions of the groups whose runs are shown.
    pin : tuple of str
        Runs that stay on top.
    base : str
        The run that the others are compared with.
    check : bool
        Whether the runs that are shown are checked.
    """

    where: str = ""
    project: str = ""
    framework: str = ""
    kind: str = ""
    tag: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    status: str = ""
    who: str = ""
    group: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    cols: tuple[str, ...] = ()
    sort: str = ""
    reverse: bool = False
    pin: tuple[str, ...] = ()
    sel: tuple[str, ...] = ()
    base: str = ""
    after: str = ""
    view: str = ""
    check: bool = False
    theme: str = ""

    @property
    def which(self) -> dict[str, Any]:
        """The filters, as :meth:`History.runs` takes them."""
        names = ("where", "project", "framework", "kind", "since", "until", "status", "who")
        found: dict[str, Any] = {name: value for name in names if (value := getattr(self, name))}
        return {**found, **({"tag": list(self.tag)} if self.tag else {})}


@dataclass(frozen=True, slots=True)
class ChartState(State):
    """Charts of one run or of several.

    Attributes
    ----------
    card : tuple of str
        Titles of the cards that are pinned on top.
    y : tuple of str
        Of each card that has a range of its own on its y-axis: `CARD:LOW:HIGH`.
    align : bool
        Whether a run that goes on from another, and counts anew, begins where that one was left.
    logy : tuple of str
        Titles of the cards whose y-axis is logarithmic where `log` is off, and linear where it is on.
    base : str
        The run that values are compared with.
    """

    runs: tuple[str, ...] = ()
    m: tuple[str, ...] = ()
    x: str = "step"
    start: float | None = None
    stop: float | None = None
    smooth: float = 0.0
    log: bool = False
    logx: bool = False
    logy: tuple[str, ...] = ()
    clip: bool = False
    band: bool = False
    align: bool = False
    card: tuple[str, ...] = ()
    y: tuple[str, ...] = ()
    base: str = ""
    theme: str = ""

    def is_log(self, card: str) -> bool:
        """Whether the y-axis of a card is logarithmic."""
        return self.log != (card in self.logy)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The ranges of y-axes by card.

        Raises
        ------
        QueryError
            If one is not two numbers, the lower first.
        """
        found = {}
        for word in self.y:
            card, _, rest = word.rpartition(":")
            card, _, low = card.rpartition(":")
            bounds = _number("y", low, None), _number("y", rest, None)
            if bounds[0] is None or bounds[1] is None or not bounds[0] < bounds[1]:
                raise QueryError(f"y is CARD:LOW:HIGH, not {word!r}")
            found[card] = (bounds[0], bounds[1])
        return found


@dataclass(frozen=True, slots=True)
class ExploreState(State):
    """Many runs by their params and metrics."""

    where: str = ""
    project: str = ""
    framework: str = ""
    kind: str = ""
    tag: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    status: str = ""
    who: str = ""
    runs: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()
    x: str = ""
    y: str = ""
    theme: str = ""

    @property
    def which(self) -> dict[str, Any]:
        """The filters, as :meth:`History.runs` takes them."""
        return self._runs_state().which

    def runs_query(self, columns: tuple[str, ...]) -> str:
        """The same runs as a table with these columns."""
        return self._runs_state().but(cols=columns).write()

    def _runs_state(self) -> RunsState:
        names = ("where", "project", "framework", "kind", "tag", "since", "until", "status", "who", "theme")
        return RunsState(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True)
class LineageState(State):
    """What led to something and what came of it."""

    run: str = ""
    data: str = ""
    file: str = ""
    version: str = ""
    of: str = ""
    depth: float = 6.0
    theme: str = ""


@dataclass(frozen=True, slots=True)
class PageState(State):
    """A page without words of its own; `not` in the address of a comparison or a diff leaves names out."""

    runs: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    view: str = ""
    part: str = ""
    q: str = ""
    name: str = ""
    verify: str = ""
    theme: str = ""


def of_query(items: Mapping[str, str]) -> str:
    """A query of plain words."""
    return "&".join(f"{name}={quote_plus(value, safe=_KEPT)}" for name, value in items.items() if value)
