"""Write a condition of `--where`: which runs have a value."""

from __future__ import annotations

import math
import sys
from typing import Any

from histhooks.history.query.fields import Field
from histhooks.history.query.names import split, written

_QUOTES = ('"', "'")


def name_of(word: str) -> str:
    """A name as an expression writes it, quoted where it must be."""
    prefix, name, stat = split(word)
    text = written(prefix, name)
    return f"{text}.{stat}" if stat else text


def equal_to(word: str, field: Field, value: Any) -> str | None:
    """The condition that a name has a value; None if no expression can say it.

    Parameters
    ----------
    word : str
        The name, as `resolve` of names takes it.
    field : Field
        What it stands for.
    value : object
        As the store has it: None, a text, a number, a boolean; a list or a dict cannot be compared.
    """
    name = name_of(word)
    if value is None:
        return f"{name} is null"
    if isinstance(value, bool):
        return f"{name} = {'true' if value else 'false'}"
    if isinstance(value, (int, float)):
        is_float = isinstance(value, float) or abs(value) <= sys.float_info.max  # as what is written is read
        return f"{name} = {value!r}" if is_float and not math.isnan(value) else None
    if not isinstance(value, str):
        return None
    if field.kind == "time":
        return f"{name} = {value}"
    quote = next((q for q in _QUOTES if q not in value), None)
    return None if quote is None else f"{name} = {quote}{value}{quote}"
