"""Settings of the program, from the parser that read them to the params of a run.

:mod:`histhooks._record.parsers` sees what the program parses, and says which of it counts. A run that begins takes what
is known then. Its framework names its own params first: the settings follow when the run ends, or half a second
after its start on the writer's thread, for the case that it is killed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from histhooks._base.clock import now_us
from histhooks._base.names import masked_word
from histhooks._base.values import dumps, flatten
from histhooks._collect import config_files
from histhooks._store.entries import params_entry

_MOST_ORIGINS, _MOST_FILES_OF_ONE, _MOST_KEYS, _MOST_DEFAULTS = 32, 8, 500, 100
_SOON_S = 0.5  # in which most frameworks have named their params
_RANKS = {"default": 0, "config": 1, "command": 2}
_ATOMS = frozenset({int, bool, float, str, type(None)})


class Setting(NamedTuple):
    """One setting: its name, its value as JSON, and who chose it (`command`, `config` or `default`)."""

    key: str
    text: str
    source: str


class _Text(str):
    """A value that is JSON already, since the program may change what it was."""


class Origin:
    """What one command line or one file gave, as it was then.

    Parameters
    ----------
    kind : str
        `command` or `config`.
    values : mapping
        Copied; of what is no plain value, what it says as JSON.
    words : mapping of str to str
        The source of some names, and of all below them, where it is not the kind.
    """

    __slots__ = ("_settings", "_values", "_words", "kind")

    def __init__(self, kind: str, values: Mapping[str, Any], words: Mapping[str, str]) -> None:
        self.kind, self._words = kind, words
        self._settings: tuple[Setting, ...] | None = None
        self._values: dict[str, Any] = {}
        for name, value in values.items():
            if type(value) in _ATOMS:
                self._values[name] = value
                continue
            for key, leaf in flatten({name: value}).items():
                if kind == "config" and config_files.is_column(leaf):
                    left_out[key] = "a long list"
                else:
                    self._values[key] = leaf if type(leaf) in _ATOMS else _Text(dumps(leaf, key))

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings that it gave."""
        if self._settings is None:
            self._settings = tuple(self._read())
            self._values = {}
        return self._settings

    def _read(self) -> list[Setting]:
        out = []
        for key, value in self._values.items():
            name = next((name for name in self._words if key == name or key.startswith(f"{name}.")), None)
            source = self.kind if name is None else self._words[name]
            out.append(Setting(key, str(value) if type(value) is _Text else dumps(value, key), source))
        if sum(one.source == "default" for one in out) > _MOST_DEFAULTS:
            left_out["options at their default"] = f"there are more than {_MOST_DEFAULTS}"
            out = [one for one in out if one.source != "default"]
        if len(out) > _MOST_KEYS:
            left_out[f"{len(out) - _MOST_KEYS} settings"] = f"there are more than {_MOST_KEYS}"
        return out[:_MOST_KEYS]


# By the place in the program and the file: what is parsed there again takes its place.
origins: dict[tuple[str, str], Origin] = {}
left_out: dict[str, str] = {}
_data_places: set[str] = set()
_read_at: dict[str, set[str]] = {}
_joined: tuple[tuple[Origin, ...], tuple[tuple[str, Setting], ...]] = ((), ())


def keep(kind: str, place: str, file: str, values: Mapping[str, Any], words: Mapping[str, str] | None = None) -> None:
    """Keep what was parsed.

    Parameters
    ----------
    kind : str
        `command` or `config`.
    place : str
        Where in the program.
    file : str
        Which file; empty for a command line.
    values : mapping
    words : mapping of str to str, optional
        Names that have another source than the kind.
    """
    if place in _data_places:
        return
    if kind == "config":
        read = _read_at.setdefault(place, set())
        read.add(file)
        if len(read) > _MOST_FILES_OF_ONE:
            _data_places.add(place)
            left_out[place] = f"it reads more than {_MOST_FILES_OF_ONE} files"
            for key in [key for key in origins if key[0] == place]:
                del origins[key]
            return
    origin = Origin(kind, values, words or {})
    origins.pop((place, file), None)  # the latest is the last
    origins[place, file] = origin
    if len(origins) > _MOST_ORIGINS:
        del origins[next(iter(origins))]


def forget() -> None:
    """Forget what was parsed."""
    for known in (origins, left_out, _data_places, _read_at):
        known.clear()


def _join(known: tuple[Origin, ...]) -> tuple[tuple[str, Setting], ...]:
    """The settings of some origins, each with the kind of its origin, and where two differ, both.

    Of two values of one name stands the one that was given on the command line, then one of a file, then a default; of
    two that are alike the later one.
    """
    global _joined
    if _joined[0] == known:
        return _joined[1]
    stands: dict[str, tuple[str, Setting]] = {}
    beside: dict[str, tuple[str, Setting]] = {}
    for origin in known:
        for setting in origin.settings:
            new, old = (origin.kind, setting), stands.get(setting.key)
            if old is not None and _RANKS[old[1].source] > _RANKS[setting.source]:
                new, old = old, new
            stands[setting.key] = new
            if old is not None and old[0] != new[0] and old[1].text != new[1].text:
                name = f"{old[0]}.{setting.key}"
                beside[name] = (old[0], old[1]._replace(key=name))
    both = (*stands.values(), *(pair for name, pair in beside.items() if name not in stands))
    _joined = (known, both[:_MOST_KEYS])
    return _joined[1]


class Pending:
    """The settings of one run, until it is known which names its framework takes.

    Parameters
    ----------
    goes_on : bool
        Whether the program may parse more inside the run, which is a block of its own.

    Attributes
    ----------
    own : list
        The params that the run has.
    """

    def __init__(self, *, goes_on: bool) -> None:
        self._origins = tuple(origins.values())
        self._goes_on = goes_on
        self.own: list[Iterable[tuple[str, str, str]]] = []
        self._said: dict[str, str] = {}
        self._begun_s = time.monotonic()
        self._saying = threading.Lock()

    @property
    def is_due(self) -> bool:
        """Whether a run that goes on shall say them now, for the case that it is killed."""
        return not self._said and bool(self._origins) and time.monotonic() - self._begun_s > _SOON_S

    def rows(self, *, is_end: bool) -> list[Setting]:
        """The rows to record now.

        Parameters
        ----------
        is_end : bool
            Whether the run ends, and no param comes any more.
        """
        known = tuple(origins.values()) if is_end and self._goes_on else self._origins
        found: list[Setting] = []
        if not known:
            return found
        with self._saying:
            taken = {key: text for rows in list(self.own) for key, text, _ in rows}
            for kind, (key, text, source) in _join(known):
                key = masked_word(key)
                if key in taken and taken[key] != text:
                    if source == "default":
                        continue
                    key = f"{kind}.{key}"
                if taken.get(key) == text or self._said.get(key) == text:
                    continue
                self._said[key] = text
                found.append(Setting(key, text, source))
        return found

    def settle(self, put: Callable[[Any], None], run_id: str | None, *, is_end: bool) -> str | None:
        """Record them, under names that no param of the run has.

        Parameters
        ----------
        put : callable
            Takes the entry.
        run_id : str
        is_end : bool
            Whether the run ends; else it goes on, and nothing is done before they are due.

        Returns
        -------
        str or None
            At the end, what is left out, and why.
        """
        rows = self.rows(is_end=is_end) if is_end or self.is_due else []
        if rows:
            put(params_entry(run_id, now_us(), tuple(rows)))
        return ", ".join(f"{what}: {why}" for what, why in list(left_out.items())[:5]) if is_end else None
