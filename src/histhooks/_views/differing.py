"""In what runs differ from each other, as short words: ``lr=0.1``, ``data=246a``, ``#stage=prod``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histhooks._base.ids import short_id
from histhooks._base.telling import short_names
from histhooks._base.text import number, value_text

if TYPE_CHECKING:
    from histhooks.history import RunRecord
    from histhooks.history._table import TableRow

_FEW = 3
_SHORT = 18  # characters of one difference; longer ones come after these


def differences(rows: Sequence[TableRow]) -> list[list[str]]:
    """What tells each row from others like it: params, arguments, data, code, links, tags, a note; short ones first."""
    names = short_keys(rows)
    return [_differences(row.values, names[program_of(row)]) for row in rows]


def labels(runs: Sequence[RunRecord]) -> list[str]:
    """A name for each of some runs, with as much of what they differ in as tells them apart; else with its id."""
    from histhooks.history._table import rows_for

    names = [run.name for run in runs]
    if len({*names}) == len(names):
        return names
    prefix = [f"{name} " if len({*names}) > 1 else "" for name in names]
    if len({id(run.history) for run in runs}) == 1:
        words = differences(rows_for(runs[0].history, runs))
        for n in range(1, max(map(len, words)) + 1):
            told = [f"{before}{' '.join(each[:n])}".strip() for before, each in zip(prefix, words, strict=True)]
            told = [name if names.count(name) == 1 else label for name, label in zip(names, told, strict=True)]
            if len({*told}) == len(told) and all(told):
                return told
    return [
        name if names.count(name) == 1 else f"{name} {short_id(run.id)}" for run, name in zip(runs, names, strict=True)
    ]


def program_of(row: TableRow) -> tuple[Any, ...]:
    """Rows with the same have params of the same names."""
    return row.depth, row.values["kind"], str(row.values["name"]).partition("·")[0]


def short_keys(rows: Sequence[TableRow]) -> dict[tuple[Any, ...], dict[str, str]]:
    """The short name of each param, by program."""
    keys: dict[tuple[Any, ...], dict[str, None]] = {}
    for row in rows:
        keys.setdefault(program_of(row), {}).update(dict.fromkeys(row.values["params"]))
    return {program: short_names(found) for program, found in keys.items()}


def _differences(values: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    told = [f"{names[key]}={values_text(found)}" for key, found in values["params"].items()]
    told += [f"{_argument(key)}={values_text(found)}" for key, found in values["command"].items()]
    for word in ("data", "code"):
        found = values[word]
        told += [f"{word}={'|'.join(found)}" if len(found) <= _FEW else f"{word}=({len(found)})"] if found else []
    told += [
        f"{','.join(live['alias'] for live in each['aliases']) or 'version'}={each['name']}"
        for each in values["versions"]
    ]
    told += [f"{kind}={_runs(found)}" for kind, found in values["links"].items()]
    told += [_tag(key, found) for key, found in values["tags"].items()]
    told += [f"“{' '.join(values['note'].split())}”"] if values["note"] else []
    return sorted(told, key=lambda text: len(text) > _SHORT)


def _argument(key: str) -> str:
    """An option as it is typed; a word without one as Python counts it."""
    return key if key.startswith("-") else f"argv[{key.removeprefix('argument ')}]"


def _runs(ids: list[str]) -> str:
    return "|".join(map(short_id, ids)) if len(ids) <= _FEW else f"({len(ids)} runs)"


def _tag(key: str, values: list[Any]) -> str:
    return f"#{key}" + (f"={values_text(values)}" if values != [""] else "")


def values_text(values: list[Any]) -> str:
    """The distinct values of one name in few characters: a value, two or three, or a span of numbers."""
    if len(values) == 1:
        return _value(values[0], 24)
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) == len(values) and len(values) > _FEW:
        return f"{number(min(numbers))}…{number(max(numbers))}"
    if len(values) <= _FEW:
        return "|".join(_value(v, 12) for v in (sorted(numbers) if len(numbers) == len(values) else values))
    return f"({len(values)} values)"


def _value(value: Any, width: int) -> str:
    """A value without spaces in lists, so that what stands in one place is one word."""
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list) and all(isinstance(each, (int, float, str, type(None))) for each in value):
        return value_text(f"[{','.join(number(v) if isinstance(v, float) else str(v) for v in value)}]", width)
    return value_text(value, width)
