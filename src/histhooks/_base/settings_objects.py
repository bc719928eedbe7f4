"""Objects of a program that hold named settings, as mappings: argparse, dataclasses, attrs, pydantic, named tuples.

The fields of a class are known from the class, and read without a word of the program's own code (``__getattr__``,
properties).
"""

from __future__ import annotations

import operator
from typing import Any

from histhooks._base.exceptions import answer
from histhooks._base.jsonable import DEPTH, PLAIN, is_mapping, items_of
from histhooks._base.names import MODULE, QUALNAME

_NAMESPACES = {
    ("argparse", "Namespace"),
    ("optparse", "Values"),
    ("types", "SimpleNamespace"),
    ("pydantic.main", "BaseModel"),
}
_ATOMS = PLAIN | {str, float}
_MOST = 1000  # members of a list
_ABSENT = object()


def as_mapping(params: Any) -> Any:
    """Params with each object of settings in them as a dict; what is no such object stays as it is.

    Parameters
    ----------
    params : object
        A mapping, or an object of settings.

    Returns
    -------
    object

    Examples
    --------
    >>> import argparse
    >>> as_mapping(argparse.Namespace(lr=0.1, optimizer=argparse.Namespace(name="sgd")))
    {'lr': 0.1, 'optimizer': {'name': 'sgd'}}
    """
    return _plain(params, 0, ())


def _plain(value: Any, depth: int, above: tuple[int, ...]) -> Any:
    kind = type(value)
    if kind in _ATOMS or depth > DEPTH or id(value) in above:
        return value
    inside = (*above, id(value))
    if kind in (list, tuple) and len(value) <= _MOST:
        members = [_plain(member, depth + 1, inside) for member in value]
        return value if all(map(operator.is_, members, value)) else members
    held = _fields_of(value, kind)
    if held is not None:
        return {key: _plain(member, depth + 1, inside) for key, member in held.items()}
    if kind is not dict and not (depth == 0 and is_mapping(kind)):
        return value
    given = list(items_of(value, None))
    out = {key: _plain(member, depth + 1, inside) for key, member in given}
    # What holds no such object stays the same object, which may lie in itself.
    return value if len(out) == len(given) and all(out[key] is member for key, member in given) else out


def _fields_of(value: Any, kind: type) -> dict[str, Any] | None:
    """The settings that an object holds by name; None if it is of no such class."""
    for base in kind.__mro__:
        own = vars(base)
        if (answer("", MODULE, base), answer("", QUALNAME, base)) in _NAMESPACES:
            held = answer(None, object.__getattribute__, value, "__dict__")
            return dict(held) if type(held) is dict else None
        names = own.get("_fields")
        if issubclass(kind, tuple) and type(names) is tuple and len(names) == tuple.__len__(value):
            return dict(zip(names, tuple.__iter__(value)))
        if "__dataclass_fields__" in own:
            return _read(value, own["__dataclass_fields__"])
        if "__attrs_attrs__" in own:
            return _read(value, [field.name for field in own["__attrs_attrs__"]])
    return None


def _read(value: Any, names: Any) -> dict[str, Any]:
    found = {name: answer(_ABSENT, object.__getattribute__, value, name) for name in names}
    return {name: member for name, member in found.items() if member is not _ABSENT}
