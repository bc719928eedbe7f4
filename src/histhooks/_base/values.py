"""A program's values as JSON text, and back if possible; the names of params; the number in a metric.

A value that JSON cannot express is an object with one key that begins with ``$`` (:mod:`histhooks._base.jsonable`).
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Mapping
from typing import Any

from histhooks._base.exceptions import answer
from histhooks._base.jsonable import (
    BITS,
    DEPTH,
    LEAVES,
    PLAIN,
    digits,
    encode,
    is_mapping,
    items_of,
    key_text,
    length_of,
    new_key,
    to_jsonable,
)
from histhooks._base.names import class_name, clean_text
from histhooks._base.secret_keys import is_secret_key, kind_of
from histhooks._base.secret_shapes import KEY_HINTS
from histhooks._base.secrets import MASK, mask_text, mask_value

__all__ = [
    "as_float",
    "as_whole",
    "clean_text",
    "digits",
    "dumps",
    "flatten",
    "items_of",
    "key_text",
    "loads",
    "text_of",
    "to_jsonable",
    "what_was_cut",
    "what_was_unread",
]

_LEAVES_OF_ONE = 2000
_FEW = 100
_WHOLE = frozenset({int, bool})


def dumps(value: Any, key: str | None = None) -> str:
    """Write a value as JSON text, in one canonical form: sorted keys, no spaces, ASCII, secrets in texts masked.

    Parameters
    ----------
    value : object
        Any value of the program.
    key : str, optional
        What it stands under, if that, and the names inside it, may say that something is a secret. By default texts
        are judged by what they are: what histhooks says itself has names that say no such thing (`secrets.py`).
    """
    kind = type(value)
    # Most of all params; the encoder takes four times as long to say the same.
    if kind in PLAIN and not (key and is_secret_key(key, value)):
        if kind is not int:
            return "null" if value is None else "true" if value else "false"
        if value.bit_length() < BITS:
            return repr(value)
    if kind is list and len(value) <= _FEW and not (key and kind_of(key)):  # results mostly: classes, counts
        members = value[:]  # another thread may change it
        if _WHOLE.issuperset(map(type, members)) and all(member.bit_length() < BITS for member in members):
            return encode(members)
    found = to_jsonable(value)
    text = encode(found)
    if key is None or not (kind_of(key) or _may_have_keys(text)):
        return text
    return encode(mask_value(key, found))


def _may_have_keys(text: str) -> bool:
    """Whether a name in a JSON text may say that something is a secret; its texts are masked already."""
    lowered = text.lower()
    return any(hint in lowered for hint in KEY_HINTS) or '"-u"' in text or '"--user"' in text


def text_of(value: Any, key: str = "") -> str:
    """A value as a tag has it: a word as it is, all else as JSON; secrets masked."""
    if issubclass(type(value), str):
        word = clean_text(str.__str__(value))
        return MASK if is_secret_key(key, word) else mask_text(word)
    return dumps(value, key)


def what_was_cut(text: str) -> str | None:
    """How much a text that :func:`dumps` wrote leaves out; None if it says all.

    Examples
    --------
    >>> what_was_cut(dumps(list(range(5000))))
    '1000 of 5000 items'
    """
    return _cut_in(json.loads(text)) if '{"$cut":' in text else None


def what_was_unread(text: str) -> str | None:
    """What was raised where a part of a value, or all of it, was read; None if all could be."""
    if '"$unread"' not in text:
        return None
    found = re.search(r'\{"\$unread":"([^"]*)"\}', text)
    return None if found is None else found[1]


def _cut_in(value: Any) -> str | None:
    if isinstance(value, list):
        return next((found for found in map(_cut_in, value) if found), None)
    if not isinstance(value, dict):
        return None
    cut = value.get("$cut")
    if len(value) != 1 or not isinstance(cut, dict):
        value = value.get("$dict", value) if len(value) == 1 else value  # the program's own keys
        return next((found for found in map(_cut_in, value.values()) if found), None)
    if "characters" in cut:
        return f"{len(cut['text'])} of {cut['characters']} characters"
    if "circle" in cut:
        return "it holds itself"
    return f"{len(cut['items'])} of {cut['count']} items" if "count" in cut else f"what lies {cut['depth']} deep"


def loads(text: str) -> Any:
    """Read what :func:`dumps` wrote; ``$float`` and ``$dict`` come back as what they stand for."""
    return _revive(json.loads(text))


def _revive(value: Any) -> Any:
    # From the outside in: what lies in a $dict is the program's own, whatever its keys look like.
    if isinstance(value, list):
        return [_revive(v) for v in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        if "$float" in value:
            return float(value["$float"])
        if "$dict" in value:
            value = value["$dict"]
    return {k: _revive(v) for k, v in value.items()}


def flatten(mapping: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Join the keys of nested mappings with dots; lists stay as they are.

    A mapping that has more than 2,000 leaves, lies more than 12 deep or holds itself stays a value, of which
    :func:`dumps` keeps what it can. What a mapping does not give is :class:`Unread`.

    Raises
    ------
    TypeError
        If it is no mapping.
    UnansweredError
        If it does not even give its keys.

    Examples
    --------
    >>> flatten({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    if not (issubclass(type(mapping), dict) or is_mapping(type(mapping))):
        raise TypeError(f"a mapping of names to values is needed, not {class_name(type(mapping))}")
    out: dict[str, Any] = {}
    for key, value in items_of(mapping, None):
        _flatten(prefix + new_key(key, out), value, out)
    return out


def _flatten(name: str, value: Any, out: dict[str, Any], above: tuple[int, ...] = ()) -> None:
    kind = type(value)
    if kind in LEAVES or not (issubclass(kind, dict) or is_mapping(kind)):
        out[name] = value
        return
    found: list[tuple[Any, Any]] | None = None
    if len(above) < DEPTH and id(value) not in above and (above or _is_small(value)):
        found = answer(None, _listed, value)
    if not found:
        out[name] = value  # empty, too
        return
    inner: dict[str, None] = {}
    for key, member in found:
        text = new_key(key, inner)
        inner[text] = None
        _flatten(f"{name}.{text}", member, out, (*above, id(value)))


def _listed(mapping: Any) -> list[tuple[Any, Any]]:
    return list(items_of(mapping))


def _is_small(mapping: Any) -> bool:
    """Whether a nested mapping has few leaves, so that each is a param of its own."""
    left, waiting = _LEAVES_OF_ONE, [(mapping, 0)]
    while waiting and left >= 0:
        one, depth = waiting.pop()
        left -= length_of(one)
        if issubclass(type(one), dict) and depth < DEPTH and left >= 0:
            waiting += [(inner, depth + 1) for inner in list(dict.values(one)) if issubclass(type(inner), dict)]
    return left >= 0


def is_elsewhere(value: Any) -> bool:
    """Whether a value is a tensor that does not lie in the memory of the host."""
    return value.__class__ is not float and getattr(getattr(value, "device", None), "type", "cpu") != "cpu"


def as_float(value: Any) -> float:
    """Read the number in a metric.

    Parameters
    ----------
    value : float, int, bool, NumPy scalar, array or CPU tensor with one element

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If it is no number, for instance a word or None.
    """
    if isinstance(value, (str, bytes)) or value is None:
        raise TypeError(f"a metric is a number, not {type(value).__name__}")
    item = getattr(value, "item", None)
    if item is None:
        return float(value)
    found = item()
    if isinstance(found, (str, bytes)) or found is None:
        raise TypeError(f"a metric is a number, not {type(value).__name__}")
    return float(found)


def as_whole(value: Any) -> int | None:
    """The whole number that a step or an epoch is: an int, one of NumPy, a float such as 3.0; None if it is none.

    A text is none, and a tensor on a device is not waited for.
    """
    kind = type(value)
    if issubclass(kind, int):
        return int.__pos__(value)
    if answer(True, is_elsewhere, value):
        return None
    if not issubclass(kind, float):
        if not hasattr(kind, "__index__") and not (hasattr(kind, "item") and kind.__module__ == "numpy"):
            return None
        found = answer(None, operator.index if hasattr(kind, "__index__") else kind.item, value)
        if type(found) is not float:
            dtype = getattr(value, "dtype", None)
            return found if type(found) is int and str(dtype).rpartition(".")[2] != "bool" else None
        value = found
    return int(value) if float.is_integer(value) else None
