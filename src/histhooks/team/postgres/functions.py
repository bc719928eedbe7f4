"""SQLite's functions in PostgreSQL's words."""

from __future__ import annotations

import re
from collections.abc import Callable

JSON = frozenset({"json_group_array", "json_group_object", "json_array", "json_object"})
TYPES = {"INTEGER": "bigint", "INT": "bigint", "REAL": "double precision", "TEXT": "text", "BLOB": "bytea"}
_POSITIVE = re.compile(r"[1-9]\d*")
# Of text, whatever is given.
_OF_TEXT = frozenset(
    {"hh_like", "hh_contains", "json_each", "json_extract", "json_array_length", "hh_number", "hh_text", "hh_short",
     "hh_truth", "hh_at", "instr"}
)  # fmt: skip
_TYPEOF = (
    "CASE WHEN ({0}) IS NULL THEN 'null' ELSE CASE pg_typeof({0})::text WHEN 'double precision' THEN 'real' "
    "WHEN 'real' THEN 'real' WHEN 'bytea' THEN 'blob' WHEN 'text' THEN 'text' WHEN 'unknown' THEN 'text' "
    "WHEN 'numeric' THEN CASE strpos(({0})::text, '.') WHEN 0 THEN 'integer' ELSE 'real' END ELSE 'integer' END END"
)


def _texts(given: list[str]) -> str:
    return ", ".join(f"({each})::text" for each in given)


def _time(name: str, given: list[str], form: str | None = None) -> str:
    """A function of a time and its modifiers; without any, of now."""
    texts = _texts(given or ["'now'"])
    return f"{name}({texts})" if form is None else f"{name}({form}, {texts})"


_CALLS: dict[str, Callable[[list[str]], str]] = {
    "avg": lambda given: f"(sum(({given[0]})::float8) / nullif(count({given[0]}), 0))",
    "total": lambda given: f"coalesce(sum(({given[0]})::float8), 0)",
    "ifnull": lambda given: f"coalesce({', '.join(given)})",
    "char": lambda given: " || ".join(f"chr({code})" for code in given),
    "likely": lambda given: f"({given[0]})",
    "unlikely": lambda given: f"({given[0]})",
    "hex": lambda given: f"upper(encode({given[0]}, 'hex'))",
    "round": lambda given: f"round(({given[0]})::numeric, {given[1] if len(given) > 1 else 0})::float8",
    "typeof": lambda given: _TYPEOF.format(given[0]),
    "date": lambda given: _time("hh_strftime", given, "'%Y-%m-%d'"),
    "time": lambda given: _time("hh_strftime", given, "'%H:%M:%S'"),
    "datetime": lambda given: _time("hh_strftime", given, "'%Y-%m-%d %H:%M:%S'"),
    "strftime": lambda given: _time("hh_strftime", given[1:], given[0]),
    "julianday": lambda given: _time("hh_julianday", given),
    "unixepoch": lambda given: _time("hh_unixepoch", given),
    "printf": lambda given: f"hh_printf({_texts(given)})",
    "format": lambda given: f"hh_printf({_texts(given)})",
    "iif": lambda given: f"CASE WHEN {given[0]} THEN {given[1]} ELSE {given[2] if len(given) > 2 else 'NULL'} END",
}
_OF_NOW = frozenset({"date", "time", "datetime", "julianday", "unixepoch"})
_IN_JSON = {
    "json_group_array": "json_agg",
    "json_group_object": "json_object_agg",
    "json_array": "json_build_array",
    "json_object": "json_build_object",
}
_EMPTY = {"json_group_array": "'[]'", "json_group_object": "'{}'"}


def call(name: str, given: list[str], *, is_distinct: bool, is_inside: bool) -> str:
    """A call of a function.

    Parameters
    ----------
    name : str
    given : list of str
        Its arguments, translated.
    is_distinct : bool
        Whether it takes each value once.
    is_inside : bool
        Whether it is an argument of a function that makes JSON.
    """
    low, distinct = name.lower(), "DISTINCT " if is_distinct else ""
    if low in _IN_JSON:
        made = f"{_IN_JSON[low]}({distinct}{', '.join(given)})"
        if is_inside:
            return made
        return f"coalesce({made}::text, {_EMPTY[low]})" if low in _EMPTY else f"{made}::text"
    if low == "group_concat":
        sign = given[1] if len(given) > 1 else "','"
        return f"string_agg({distinct}({given[0]})::text, {sign})"
    if low in ("max", "min") and len(given) > 1:
        return f"{'greatest' if low == 'max' else 'least'}({', '.join(given)})"
    if low in ("substr", "substring") and not _POSITIVE.fullmatch(given[1] if len(given) > 1 else "1"):
        return f"hh_substr({', '.join(given)})"
    if low in _CALLS and (given or low in _OF_NOW) and not is_distinct:
        return _CALLS[low](given)
    if low in _OF_TEXT and given:
        given = [f"({given[0]})::text", *given[1:]]
    return f"{name}({distinct}{', '.join(given)})"
