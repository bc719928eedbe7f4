"""From a program's values to JSON, and back where that is possible.

What JSON has no word for becomes an object with one key that begins with ``$``: ``{"$float": "nan"}``,
``{"$array": {"shape": [3], "dtype": "float64"}}``, ``{"$callable": "module.name"}``, ``{"$object": "module.Class"}``,
``{"$bytes": 12}``. Values of arrays are never written. A mapping of the program that has such a key itself is wrapped
in ``{"$dict": ...}``. A whole number of more than 4,200 digits is its hexadecimal text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_DEPTH = 12
_ITEMS = 1000
_TEXT = 20_000
_BITS = 14_000  # 4,214 digits; Python converts 4,300 and no more (sys.set_int_max_str_digits)
# json.dumps() would make an encoder for each call.
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_PLAIN = frozenset({int, bool, type(None)})
_LEAVES = _PLAIN | {str, float, list, tuple}


def clean_text(text: str) -> str:
    """Replace what UTF-8 cannot hold, so that any file can."""
    if text.__class__ is str and text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def digits(number: int) -> str:
    """The digits of a whole number; hexadecimal ones where Python refuses to convert so many."""
    return str(number) if number.bit_length() < _BITS else hex(number)


def _cut(text: str) -> Any:
    text = clean_text(text)
    if len(text) <= _TEXT:
        return text
    return {"$cut": {"text": text[:_TEXT], "characters": len(text)}}


def _name_of(thing: Any) -> str:
    module = getattr(thing, "__module__", None)
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None) or type(thing).__name__
    return clean_text(f"{module}.{name}" if isinstance(module, str) else str(name))


def to_jsonable(value: Any, depth: int = 0) -> Any:
    """Turn any value into what JSON can say.

    Parameters
    ----------
    value : object
        Any value of the program. It is looked at, never changed, copied or printed.
    depth : int
        How deep inside another value it lies.

    Returns
    -------
    object
        None, bool, int, finite float, str, list or dict.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if value.bit_length() < _BITS else _cut(digits(value))
    if kind is float:
        return value if math.isfinite(value) else {"$float": _special(value)}
    if kind is str:
        return _cut(value)
    try:
        return _to_jsonable(value, depth)
    except (TypeError, ValueError, AttributeError, RuntimeError, OSError):
        return {"$object": _name_of(kind)}


def _to_jsonable(value: Any, depth: int) -> Any:
    if depth > _DEPTH:
        return {"$cut": {"depth": depth}}
    if isinstance(value, Mapping):
        items = list(value.items())
        out = {clean_text(str(k)): to_jsonable(v, depth + 1) for k, v in items[:_ITEMS]}
        if len(items) > _ITEMS:
            return {"$cut": {"items": out, "count": len(items)}}
        return {"$dict": out} if any(k.startswith("$") for k in out) else out
    if isinstance(value, (list, tuple, set, frozenset, range)):
        members = list(value)
        if isinstance(value, (set, frozenset)):
            members = sorted(members, key=str)
        listed = [to_jsonable(v, depth + 1) for v in members[:_ITEMS]]
        return {"$cut": {"items": listed, "count": len(members)}} if len(members) > _ITEMS else listed
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        return to_jsonable(int(value), depth)
    if isinstance(value, float):
        return to_jsonable(float(value), depth)
    if isinstance(value, str):
        return _cut(str(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bytes": len(value)}
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None and not isinstance(value, type):
        if len(shape) == 0 and hasattr(value, "item") and not hasattr(value, "detach"):
            return to_jsonable(value.item(), depth + 1)
        return {"$array": {"shape": [int(n) for n in shape], "dtype": str(dtype)}}
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return {"$callable": _name_of(value)}
    if hasattr(value, "__fspath__"):
        return _cut(str(value))
    if kind_is_plain(value):
        return _cut(str(value))
    inner = getattr(value, "func", None)  # functools.partial
    if inner is not None and hasattr(value, "keywords"):
        return {"$callable": _name_of(inner), "keywords": to_jsonable(value.keywords, depth + 1)}
    return {"$object": _name_of(type(value))}


def kind_is_plain(value: Any) -> bool:
    """Whether the text of a value is short and says all: dates, enums, decimals, dtypes, devices."""
    module = type(value).__module__.partition(".")[0]
    return module in {"datetime", "decimal", "fractions", "uuid", "enum"} or any(
        base.__name__ in {"dtype", "device"} for base in type(value).__mro__
    )


def _special(value: float) -> str:
    return "nan" if value != value else "inf" if value > 0 else "-inf"


def dumps(value: Any) -> str:
    """Write a value as JSON text, in one canonical form: sorted keys, no spaces, ASCII."""
    kind = value.__class__
    if kind in _PLAIN:  # most of all params; the encoder takes four times as long to say the same
        if kind is not int:
            return "null" if value is None else "true" if value else "false"
        if value.bit_length() < _BITS:
            return repr(value)
    return _encode(to_jsonable(value))


def what_was_cut(text: str) -> str | None:
    """How much a text that :func:`dumps` wrote leaves out; None where it says all.

    Examples
    --------
    >>> what_was_cut(dumps(list(range(5000))))
    '1000 of 5000 items'
    """
    return _cut_in(json.loads(text)) if '{"$cut":' in text else None


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

    Examples
    --------
    >>> flatten({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    out: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if value.__class__ not in _LEAVES and isinstance(value, Mapping) and value:
            out.update(flatten(value, f"{name}."))
        else:
            out[clean_text(name)] = value
    return out


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
        Where it is no number, for instance a word or None.
    """
    if isinstance(value, (str, bytes)) or value is None:
        raise TypeError(f"a metric is a number, not {type(value).__name__}")
    item = getattr(value, "item", None)
    return float(item() if item is not None else value)
