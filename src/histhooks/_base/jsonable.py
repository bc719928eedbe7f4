"""Convert any value of a program to JSON.

A value that JSON cannot express becomes an object with one key that begins with ``$``: ``{"$float": "nan"}``,
``{"$array": {"shape": [3], "dtype": "float64"}}``, ``{"$callable": "module.name"}``, ``{"$object": "module.Class"}``,
``{"$bytes": 12}``, ``{"$unread": "KeyError"}`` if reading it raised, ``{"$cut": {...}}`` if it is long,
deep or contains itself. Values of arrays are never written. A mapping of the program that has such a key itself is
wrapped in ``{"$dict": ...}``. A whole number of more than 4,200 digits is its hexadecimal text. An enum is its name
(``Color.RED``), or its value if it is a string or a number.

The conversion runs no code of the program except that of its mappings (``__iter__``, ``__getitem__``), and that of a
few libraries (:data:`_ARRAYS`). A value is recognised by its class, without reading an attribute, ``__class__``,
``==``, ``hash`` or its text. Generators are not iterated, and no device is waited for. The cost is bounded: 12 levels,
1,000 members of each container, 20,000 in all, 20,000 characters of a text.
"""

from __future__ import annotations

import enum
import functools
import json
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, cast

from histhooks._base.encoding import encoder_of
from histhooks._base.exceptions import UnansweredError, answer, ask, is_interrupt, name_of
from histhooks._base.names import (
    FUNCTIONS,
    MODULE,
    QUALNAME,
    class_name,
    clean_text,
    masked_word,
    name_of_callable,
    name_of_partial,
    name_of_thing,
)
from histhooks._base.secret_keys import is_secret_key
from histhooks._base.secrets import MASK, mask_text

DEPTH = 12
_ITEMS = 1000
_NODES = 20_000
_TEXT = 20_000
_CHARACTERS = 1_000_000  # of all texts in a value; of those that come later, some words each
_SHORT = 200
_WORD = 100
_KEY = 1000
_SORTED = 100_000
BITS = 14_000  # 4,214 digits; Python converts 4,300 and no more (sys.set_int_max_str_digits)
encode = encoder_of(json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False))
PLAIN = frozenset({int, bool, type(None)})
LEAVES = PLAIN | {str, float, list, tuple}
# Packages whose arrays have a shape and a dtype that are read without any computation.
_ARRAYS = frozenset(
    "numpy torch tensorflow jax jaxlib keras pandas scipy cupy dask h5py zarr xarray mxnet paddle".split()
)
_WORDS = frozenset({"datetime", "decimal", "fractions", "uuid", "pathlib"})


def digits(number: int) -> str:
    """The digits of a whole number; hexadecimal ones where Python refuses to convert so many."""
    return str(number) if number.bit_length() < BITS else hex(number)


def _cut(text: str, most: int = _TEXT) -> Any:
    """A text without its secrets, and as much of it as is kept; a secret that the end cuts is masked before."""
    if len(text) <= most:
        return masked_word(text) if len(text) <= _WORD else mask_text(clean_text(text))
    masked = mask_text(clean_text(text[: 2 * most + 1000]))
    return {"$cut": {"text": masked[:most], "characters": len(text)}}


def to_jsonable(value: Any, depth: int = 0) -> Any:
    """Turn any value into what JSON can say. Never raises, whatever the value does.

    Parameters
    ----------
    value : object
        Any value of the program. It is looked at, never changed, copied or printed.
    depth : int
        How deep inside another value it lies.

    Returns
    -------
    object
        None, bool, int, finite float, str, list or dict; secrets in texts are masked.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if value.bit_length() < BITS else _cut(digits(value))
    if kind is float:
        return value if math.isfinite(value) else {"$float": _special(value)}
    if kind is str:
        return _cut(value)
    return _Reader().read(value, depth)


class _Reader:
    """Turns one value into JSON, with what it has used of its bounds."""

    __slots__ = ("_above", "_characters", "_left")

    def __init__(self) -> None:
        self._left = _NODES
        self._characters = _CHARACTERS
        self._above: set[int] = set()  # containers that hold what is being read

    def read(self, value: Any, depth: int) -> Any:
        """Turn a value into JSON."""
        self._left -= 1
        kind = type(value)
        if kind is str:
            return masked_word(value) if len(value) <= _WORD else self._text(value)
        if kind in PLAIN or kind is float:
            return to_jsonable(value)
        if kind is Unread:
            return {"$unread": value.why}
        try:
            return self._read(value, kind, depth)
        except BaseException as error:
            if is_interrupt(error):
                raise
            return {"$unread": name_of(error)} if type(error) is UnansweredError else {"$object": class_name(kind)}

    def _read(self, value: Any, kind: type, depth: int) -> Any:
        if issubclass(kind, enum.Enum):
            return _of_enum(value, kind)
        if issubclass(kind, str):
            return self._text(str.__str__(value))
        if issubclass(kind, int):
            return to_jsonable(int.__pos__(value))
        if issubclass(kind, float):
            return to_jsonable(float.__pos__(value))
        if issubclass(kind, (bytes, bytearray)):
            return {"$bytes": (bytes if issubclass(kind, bytes) else bytearray).__len__(value)}
        if kind is memoryview:
            return {"$bytes": value.nbytes}
        if issubclass(kind, (dict, list, tuple, set, frozenset, range, deque)) or is_mapping(kind):
            return self._of_container(value, kind, depth)
        return self._of_thing(value, kind, depth)

    def _text(self, text: str) -> Any:
        found = _cut(text, _TEXT if self._characters > 0 else _SHORT)
        self._characters -= len(text)
        return found

    def _of_container(self, value: Any, kind: type, depth: int) -> Any:
        if depth > DEPTH:
            return {"$cut": {"depth": depth}}
        if id(value) in self._above:
            return {"$cut": {"circle": depth}}
        self._above.add(id(value))
        try:
            if issubclass(kind, dict) or is_mapping(kind):
                return self._of_mapping(value, depth)
            members, count = _members(value, kind)
            fields = _fields_of(kind) if issubclass(kind, tuple) else ()
            if fields and len(fields) == count:
                members = [MASK if is_secret_key(f, m) else m for f, m in zip(fields, members, strict=True)]
            listed = [self.read(member, depth + 1) for member in islice(members, max(1, min(_ITEMS, self._left)))]
        finally:
            self._above.discard(id(value))
        if issubclass(kind, (set, frozenset)):
            listed.sort(key=encode)
        return {"$cut": {"items": listed, "count": count}} if count > len(listed) else listed

    def _of_mapping(self, value: Any, depth: int) -> Any:
        out: dict[str, Any] = {}
        most = max(1, min(_ITEMS, self._left))
        for key, inner in islice(items_of(value), most):
            name = masked_word(key if type(key) is str and len(key) <= _WORD else key_text(key))
            if name in out:
                name = new_key(name, out)
            out[name] = self.read(inner, depth + 1)
        count = length_of(value)
        if count > len(out) == most:
            return {"$cut": {"items": out, "count": count}}
        return {"$dict": out} if any(k.startswith("$") for k in out) else out

    def _of_thing(self, value: Any, kind: type, depth: int) -> Any:
        if issubclass(kind, type) or kind in FUNCTIONS:
            return {"$callable": name_of_thing(value)}
        if issubclass(kind, functools.partial):
            out: dict[str, Any] = {"$callable": name_of_partial(value)}
            out["keywords"] = self.read(vars(functools.partial)["keywords"].__get__(value), depth + 1)
            given = vars(functools.partial)["args"].__get__(value)
            return {**out, "args": self.read(given, depth + 1)} if given else out
        bases = kind.__mro__
        packages = {answer("", MODULE, base).partition(".")[0] for base in bases[:-1]}
        if packages & _ARRAYS:
            found = _of_array(value, kind, packages)
            if found is not None:
                return self.read(found.value, depth + 1) if type(found) is _Scalar else found
            if any(answer("", QUALNAME, base).rpartition(".")[2] in ("dtype", "device") for base in bases):
                return _cut(ask(str, value))
        for base in bases:
            if answer("", MODULE, base).partition(".")[0] in _WORDS:
                return _cut(ask(base.__str__, value))
        if any("__fspath__" in vars(base) for base in bases):
            path = ask(type(value).__fspath__, value)
            return _cut(str.__str__(path)) if isinstance(path, str) else {"$bytes": len(path)}
        name = name_of_callable(value, bases)
        return {"$object": class_name(kind)} if name is None else {"$callable": name}


def is_mapping(kind: type) -> bool:
    """Whether objects of a class are mappings; ABCs are asked for the class, since an object may say it has another."""
    return bool(answer(False, issubclass, kind, Mapping))


def _of_enum(value: Any, kind: type) -> Any:
    for plain in (str, int, float):
        if issubclass(kind, plain):
            own = plain.__str__(value) if plain is str else cast("Any", plain).__pos__(value)
            return to_jsonable(own)
    name = vars(value).get("_name_")
    return _cut(f"{answer('Enum', QUALNAME, kind)}.{name if type(name) is str else vars(value).get('_value_')}")


def _members(value: Any, kind: type) -> tuple[Iterable[Any], int]:
    """The members of a sequence or a set by Python's own means, and how many there are."""
    base = next(base for base in (list, tuple, set, frozenset, range, deque) if issubclass(kind, base))
    count = cast("Any", base).__len__(value)
    if base not in (set, frozenset) or count <= _ITEMS or count > _SORTED:
        return cast("Any", base).__iter__(value), count
    members = list(cast("Any", base).__iter__(value))
    if set(map(type, members)) <= {str} or set(map(type, members)) <= {int, bool}:
        members.sort()
    return members, count


def _fields_of(kind: type) -> tuple[str, ...]:
    """The names that a named tuple has for its members, which may say that one is a secret."""
    found = next((vars(base)["_fields"] for base in kind.__mro__ if "_fields" in vars(base)), ())
    return found if type(found) is tuple and all(type(name) is str for name in found) else ()


class Unread:
    """What stands for a value that a mapping did not give."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


def items_of(mapping: Any, most: int | None = _NODES) -> Iterator[tuple[Any, Any]]:
    """Keys and values of a mapping; a value that it does not give is :class:`Unread`.

    Raises
    ------
    UnansweredError
        If it does not even give its keys.
    """
    if issubclass(type(mapping), dict):
        # A subclass may look up values elsewhere, or count the lookups.
        yield from list(islice(dict.items(mapping), most))
        return
    keys = ask(iter, mapping)
    for _ in range(_NODES):  # one that never ends, too
        key = ask(next, keys, _END)
        if key is _END:
            return
        try:
            yield key, ask(mapping.__getitem__, key)
        except UnansweredError as error:
            yield key, Unread(name_of(error))


_END = object()


def length_of(mapping: Any) -> int:
    if issubclass(type(mapping), dict):
        return dict.__len__(mapping)
    found = answer(0, len, mapping)
    return found if type(found) is int else 0


def key_text(key: Any) -> str:
    """The text of a key, without a word of the program's own code."""
    kind = type(key)
    if kind is str:
        text = key
    elif key is None or kind in (bool, float):
        text = str(key)
    elif kind is int:
        text = digits(key)
    elif kind is tuple and all(type(member) in LEAVES - {list, tuple, int} for member in key):
        text = str(key)
    else:
        found = to_jsonable(key)
        text = found if isinstance(found, str) else encode(found)
        if isinstance(found, dict) and "$object" in found:
            text = f"<{found['$object']}>"  # as Python shows what has no text
    text = clean_text(text)
    return text if len(text) <= _KEY else f"{mask_text(text[: 2 * _KEY])[:_KEY]}… ({len(text)} characters)"


def shown(value: Any) -> str:
    """A value in a message to a person: short, and without a word of the program's own code."""
    text = repr(value) if type(value) in (str, float, bool, type(None)) else key_text(value)
    return clean_text(text[:100])


def new_key(key: Any, taken: Mapping[str, Any]) -> str:
    """The text of a key, apart from those that are there: 1 and "1" are two keys, and a nan may be many."""
    text = key_text(key)
    if text not in taken:
        return text
    number = 2
    while f"{text} ({number})" in taken:
        number += 1
    return f"{text} ({number})"


class _Scalar:
    """A number in an array's clothes."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _library_attribute(value: Any, bases: tuple[type, ...], name: str) -> Any:
    """What an array's own library says of it; what a subclass of the program has instead is not asked."""
    for base in bases:
        if name in vars(base) and answer("", MODULE, base).partition(".")[0] in _ARRAYS:
            found = vars(base)[name]
            return ask(found.__get__, value, bases[0]) if hasattr(type(found), "__get__") else found
    return None


def _of_array(value: Any, kind: type, packages: set[str]) -> Any:
    shape, dtype = (_library_attribute(value, kind.__mro__, name) for name in ("shape", "dtype"))
    if shape is None or dtype is None:
        return None
    # Of NumPy only: the number in a tensor or a JAX array may lie on a device, and be waited for.
    if "numpy" in packages and "torch" not in packages and ask(len, shape) == 0:
        item = ask(value.item)
        return _Scalar(item) if type(item) is not kind else _cut(ask(str, value))
    # What is no int may be a symbol that a compiler would settle, or unknown.
    sizes = [int(n) if issubclass(type(n), int) else None for n in ask(tuple, shape)]
    return {"$array": {"shape": sizes, "dtype": clean_text(ask(str, dtype))}}


def _special(value: float) -> str:
    return "nan" if value != value else "inf" if value > 0 else "-inf"
