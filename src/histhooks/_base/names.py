"""Names for texts, classes and functions of a program, without running its code and without secrets."""

from __future__ import annotations

import functools
import types
from typing import Any

from histhooks._base.exceptions import answer
from histhooks._base.secrets import mask_text

_DEPTH = 12  # partials in each other
FUNCTIONS = (
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.MethodWrapperType),
    *(types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType),
)


def clean_text(text: str) -> str:
    """Replace what UTF-8 cannot hold, so that any file can."""
    if text.__class__ is str and text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@functools.lru_cache(maxsize=4096)
def masked_word(word: str) -> str:
    """A short text as it is written; the layers of a model, or the candidates of a search, say the same ones often."""
    return mask_text(clean_text(word))


QUALNAME: Any = vars(type)["__qualname__"].__get__
MODULE: Any = vars(type)["__module__"].__get__


def class_name(kind: type) -> str:
    """The name of a class with its module, in which secrets are masked."""
    module, name = answer(None, MODULE, kind), answer("object", QUALNAME, kind)
    return masked_word(f"{module}.{name}" if type(module) is str else name)


def name_of_thing(thing: Any) -> str:
    """The name of a class or a function, which are asked by Python's own means."""
    if issubclass(type(thing), type):
        return class_name(thing)
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if type(name) is not str:
        name = getattr(thing, "__name__", None)
    if type(name) is not str:
        return class_name(type(thing))
    return masked_word(f"{module}.{name}" if type(module) is str else name)


def name_of_partial(value: Any) -> str:
    """The name of what a partial calls, or a partial of a partial."""
    inner = vars(functools.partial)["func"].__get__(value)
    for _ in range(_DEPTH):
        if not issubclass(type(inner), functools.partial):
            break
        inner = vars(functools.partial)["func"].__get__(inner)
    return (
        name_of_thing(inner) if type(inner) in FUNCTIONS or issubclass(type(inner), type) else class_name(type(inner))
    )


def name_of_callable(value: Any, bases: tuple[type, ...]) -> str | None:
    """The name of what stands for a function without being one: of Cython, NumPy, numba, ``functools.lru_cache``."""
    if not any("__call__" in vars(base) for base in bases):
        return None
    own = answer(None, object.__getattribute__, value, "__dict__")
    if type(own) is dict and type(name := own.get("__qualname__")) is str:
        module = own.get("__module__")
        return clean_text(f"{module}.{name}" if type(module) is str else name)
    for base in bases[:-1]:
        for word in ("__qualname__", "__name__"):
            if isinstance(vars(base).get(word), (types.GetSetDescriptorType, types.MemberDescriptorType)):
                return name_of_thing(value)
    return None
