"""The models of a history: their versions, what was done to them, and what was live when."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import from_iso
from histhooks.errors import QueryError
from histhooks.history._shown import Shown
from histhooks.history._version_rows import ENDS, MOVES, Live, ModelEvent, ModelVersion, read_versions
from histhooks.history.query.times import EXAMPLES, moment

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.monitor import Report, Window

PRODUCTION = "production"  # the alias that is meant where none is named
LATEST = "latest"
_NUMBER = re.compile(r"(\d+)(?:[·.]([0-9a-f]+))?")
_LEAST = 4  # characters of a part of an id


class Model(Shown):
    """A model with all of its versions, as they were when it was asked for.

    Attributes
    ----------
    name : str
    versions : list of ModelVersion
        The lowest number first.
    events : list of ModelEvent
        What was done to them, the oldest first.

    Examples
    --------
    >>> model = history.model("churn")
    >>> model.name, [version.number for version in model.versions], [event.action for event in model.events]
    ('churn', [1], ['promote'])
    """

    def __init__(self, reader: Reader, name: str, versions: list[ModelVersion]) -> None:
        self._history = reader
        self.name = name
        self.versions = versions
        self.events: list[ModelEvent] = sorted(
            (event for version in versions for event in version.events),
            key=lambda event: (event.time, event.session_id, event.ordinal),
        )
        self._by_id = {version.id: version for version in versions}

    def __repr__(self) -> str:
        live = ", ".join(f"{each.alias} {each.version.label}" for each in self.aliases().values())
        count = f"{len(self.versions)} version{'s' if len(self.versions) != 1 else ''}"
        return f"<Model {self.name!r} {count}{f' ({live})' if live else ''}>"

    @property
    def history(self) -> Reader:
        """The store it is read from."""
        return self._history

    def live(self, at: str | int | datetime | None = None, *, alias: str = PRODUCTION) -> Live | None:
        """The version that an alias points to, or pointed to at some time.

        Parameters
        ----------
        at : str, int or datetime, optional
            A time as ``"2026-05-03T12:00"`` or ``"2 days ago"``, or microseconds UTC; now by default. Of a day or a
            minute its end counts.
        alias : str

        Returns
        -------
        Live or None
            None if nothing was live.

        Raises
        ------
        QueryError
            If the time cannot be read.

        Examples
        --------
        >>> history.model("churn").live().number, history.model("churn").live(at="2020-01-01")
        (1, None)
        """
        return self.aliases(at).get(alias)

    def aliases(self, at: str | int | datetime | None = None) -> dict[str, Live]:
        """What each alias points to, or pointed to at some time; parameters as for :meth:`live`.

        Examples
        --------
        >>> {alias: live.number for alias, live in history.model("churn").aliases().items()}
        {'production': 1}
        """
        until = None if at is None else instant(at)
        last: dict[str, ModelEvent] = {}
        for event in self.events:
            if event.alias is not None and event.action in (*MOVES, *ENDS) and (until is None or event.time <= until):
                last[event.alias] = event
        return {
            alias: Live(self.name, alias, self._by_id[event.version_id], event)
            for alias, event in sorted(last.items(), key=_production_first)
            if event.action in MOVES
        }

    def version(self, word: str | int) -> ModelVersion:
        """A version by its number, its label, a part of its id, `latest`, or the alias that points to it.

        Raises
        ------
        QueryError
            If there is none, or several versions have that number.

        Examples
        --------
        >>> history.model("churn").version("production") == history.model("churn").version(1)
        True
        """
        return chosen(self, str(word))

    def by_id(self, version_id: str | None) -> ModelVersion | None:
        """A version by its id; None if it is none of this model.

        Examples
        --------
        >>> model = history.model("churn")
        >>> model.by_id(model.versions[0].id).number
        1
        """
        return self._by_id.get(version_id or "")

    def aliases_of(self, version: ModelVersion) -> list[str]:
        """The aliases that point to a version now.

        Examples
        --------
        >>> model = history.model("churn")
        >>> model.aliases_of(model.versions[0])
        ['production']
        """
        return [alias for alias, live in self.aliases().items() if live.version.id == version.id]

    @property
    def windows(self) -> tuple[Window, ...]:
        """Each day in production beside the training, the oldest first; empty where nothing was watched.

        Examples
        --------
        >>> history.model("churn").windows
        ()
        """
        return self.drift(since=None).windows

    def drift(self, *, since: str | None = "7d", window: str = "1d", against: str = "train") -> Report:
        """Whether production is inside what the training promised; nothing is written.

        Parameters
        ----------
        since : str, optional
            A date, or an age such as ``"7d"``; None for all.
        window : str
            The span of time that is judged at once.
        against : {'train', 'baseline'}
            The training data alone, or also the windows that a person accepted.

        Returns
        -------
        histhooks.monitor.Report

        Raises
        ------
        QueryError
            If a time cannot be read, or there is no baseline.

        Examples
        --------
        >>> history.model("churn").drift(since="30d").state
        'cannot tell'
        """
        from histhooks.monitor import judge

        return judge(self._history, self.name, since=since, window=window, against=against)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values; the newest version and the newest event come first.

        Examples
        --------
        >>> sorted(history.model("churn").as_json())
        ['events', 'live', 'model', 'versions']
        """
        return {
            "model": self.name, "live": [live.as_json() for live in self.aliases().values()],
            "versions": [{**each.as_json(), "aliases": self.aliases_of(each)} for each in reversed(self.versions)],
            "events": [event.as_json() for event in reversed(self.events)],
        }  # fmt: skip


def _production_first(pair: tuple[str, Any]) -> tuple[bool, str]:
    return pair[0] != PRODUCTION, pair[0]


def instant(at: str | int | datetime) -> int:
    """A time as microseconds UTC: of a day or a minute, the last one.

    Raises
    ------
    QueryError
        If it cannot be read.
    """
    if isinstance(at, datetime):
        return from_iso(at.astimezone().isoformat())
    if isinstance(at, int):
        return at
    found = moment(at)
    if found is None:
        raise QueryError(f"{at!r} is no time; write it as {EXAMPLES}")
    begin, end = found
    is_exact = begin == end or "." in at  # with a fraction of a second
    return from_iso(begin) if is_exact else from_iso(end) - 1


def models_of(reader: Reader) -> list[Model]:
    """All models, by name."""
    return [Model(reader, name, versions) for name, versions in sorted(read_versions(reader).items())]


def model_of(reader: Reader, name: str) -> Model:
    """One model.

    Raises
    ------
    QueryError
        If there is none of that name; the message names those there are.
    """
    found = read_versions(reader, name).get(name)
    if found is None:
        names = [row["model"] for row in reader.sql("SELECT DISTINCT model FROM model_versions ORDER BY model")]
        raise QueryError(f"no model is called {name!r} in {reader.place}; {_instead(name, names)}")
    return Model(reader, name, found)


def _instead(name: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches

    known = list(names)
    if not known:
        return f"there is none yet: histhooks promote FILE --model {name or 'NAME'} --reason WHY"
    close = get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"did you mean {', '.join(close)}?"
    return f"there are {', '.join(known[:8])}" + (f" and {len(known) - 8} more" if len(known) > 8 else "")


def version_named(reader: Reader, text: str) -> ModelVersion:
    """The version that a text means: `NAME@3`, `NAME@3·a1b2`, `NAME@production`, `NAME@latest`, or `NAME`.

    Raises
    ------
    QueryError
        If there is no such model or version, or several versions have that number.
    """
    name, sign, word = text.rpartition("@")
    return chosen(model_of(reader, name if sign else text), word if sign else PRODUCTION)


def version_by_hash(reader: Reader, digits: str) -> ModelVersion | None:
    """The version whose file has a SHA-256 that begins so: the last one; None if there is none."""
    sql = "SELECT model, id FROM model_versions WHERE sha256 >= ? AND sha256 < ? ORDER BY time DESC LIMIT 1"
    rows = reader.sql(sql, digits, f"{digits}g")
    return model_of(reader, rows[0]["model"]).by_id(rows[0]["id"]) if rows else None


def is_version_name(reader: Reader, text: str) -> bool:
    """Whether a text names a version of a model that there is, such as `NAME@3`."""
    name, sign, word = text.rpartition("@")
    return bool(sign and name and word) and bool(
        reader.sql("SELECT 1 FROM model_versions WHERE model = ? LIMIT 1", name)
    )


def chosen(model: Model, word: str) -> ModelVersion:
    """The version of a model that a word means."""
    if word == LATEST:
        return max(model.versions, key=lambda version: (version.time, version.id))
    number = _NUMBER.fullmatch(word)
    if number is not None:
        return _numbered(model, word, int(number[1]), number[2])
    live = model.live(alias=word)
    if live is not None:
        return live.version
    parts = [each for each in model.versions if len(word) >= _LEAST and word in each.id]
    if len(parts) == 1:
        return parts[0]
    aliases = ", ".join(model.aliases()) or "no alias points to a version"
    raise QueryError(f"nothing of {model.name} is live as {word!r}; there are {_there(model)} ({aliases})")


def _numbered(model: Model, word: str, number: int, part: str | None) -> ModelVersion:
    found = [each for each in model.versions if each.number == number and (part is None or each.id.endswith(part))]
    if len(found) == 1:
        return found[0]
    if not found:
        raise QueryError(f"{model.name} has no version {word}; there are {_there(model)}")
    words = " and ".join(f"{model.name}@{number}·{each.id[-_LEAST:]} ({_origin(each)})" for each in found)
    raise QueryError(f"{len(found)} versions of {model.name} have the number {number}, of different stores: {words}")


def _origin(version: ModelVersion) -> str:
    who = f" by {version.author}" if version.author else ""
    return f"sha256 {version.sha256[:12]}, {version.at[:16]}Z{who}"


def _there(model: Model) -> str:
    labels = [each.label for each in model.versions]
    shown = ", ".join(labels[-8:])
    return f"versions {shown}" if len(labels) <= 8 else f"versions {labels[0]} to {labels[-1]}"


class Modelled:
    """The part of a :class:`histhooks.History` that knows models."""

    def models(self) -> list[Model]:
        """All models that have a version, by name.

        Returns
        -------
        list of Model

        Examples
        --------
        >>> [(model.name, model.live().number) for model in history.models()]
        [('churn', 1)]
        """
        return models_of(self)  # type: ignore[arg-type]  # a history is a reader

    def model(self, name: str) -> Model:
        """One model: its versions, what was done to them, and what was live when.

        Parameters
        ----------
        name : str

        Returns
        -------
        Model

        Raises
        ------
        QueryError
            If there is no such model; the message names those there are.

        Examples
        --------
        >>> model = history.model("churn")
        >>> [(version.number, version.run.name) for version in model.versions]
        [(1, 'train')]
        >>> model.live().reason, model.live(at="2020-01-01")
        ('first', None)
        """
        return model_of(self, name)  # type: ignore[arg-type]  # a history is a reader

    def version(self, name: str) -> ModelVersion:
        """One version of a model.

        Parameters
        ----------
        name : str
            ``"churn@3"``, ``"churn@production"``, ``"churn@latest"``; ``"churn"`` alone means its production.

        Returns
        -------
        ModelVersion

        Raises
        ------
        QueryError
            If there is no such model or version, or several versions have that number.

        Examples
        --------
        >>> history.version("churn@production").number, history.version("churn@1").run.name
        (1, 'train')
        """
        return version_named(self, name)  # type: ignore[arg-type]  # a history is a reader
