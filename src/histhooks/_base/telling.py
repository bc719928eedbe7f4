"""Which params tell runs apart, and short names for them.

Left out is what other params say already:

- a list of parts whose params have names of their own: `steps` and `transformers` of a pipeline, `callbacks`; and the
  object that holds such a list;
- a second name of the same value: `optimizer.lr` beside an `lr` of the program, `early_stopping.rounds` beside
  `early_stopping_rounds`;
- a default of a framework that only some of the runs have.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

Params = Mapping[str, Any]

_CHOSEN = ("user", "command", "config", "argument")
_ENOUGH = 3  # distinct values, from which on two params that are always equal are one under two names


def inner(params: Params) -> set[str]:
    """The params of one run that repeat what others of it say.

    >>> sorted(inner({"steps": [["clf", {"$object": "a.B"}]], "clf": {"$object": "a.B"}, "clf__C": 1.0}))
    ['steps']
    """
    out = set()
    for key, value in params.items():
        if isinstance(value, list) and value and _has_names(key, value, params):
            out.add(key)
            owner = key.rpartition("__")[0]
            if _is_object(params.get(owner)):
                out.add(owner)
    for key in params.keys() - out:
        flat = key.replace(".", "_")
        if flat != key and flat in params and _text(params[flat]) == _text(params[key]):
            out.add(key)
    return out


def _has_names(key: str, parts: list[Any], params: Params) -> bool:
    """Whether each part of a list is described by params of its own."""
    owner = key.rpartition("__")[0]
    prefix = f"{owner}__" if owner else ""
    named = [part[0] for part in parts if isinstance(part, list) and len(part) > 1 and isinstance(part[0], str)]
    if len(named) == len(parts):
        return all(prefix + name in params for name in named)
    roles = [_snake(name) for name in map(_class_of, parts) if name]
    return len(roles) == len(parts) and all(any(other.startswith(f"{r}.") for other in params) for r in roles)


def _class_of(part: Any) -> str | None:
    """The class that a part is of: an object as it is recorded, or the dotted path of a class."""
    path = part.get("$object") if isinstance(part, dict) else part
    if not isinstance(path, str) or "." not in path or " " in path:
        return None
    name = path.rpartition(".")[2]
    return name if name[:1].isupper() else None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and "$object" in value


def rest_of(value: Any) -> Any:
    """What a list of parts says beside them: names, and which columns go where."""
    if _is_object(value):
        return None
    return [rest_of(part) for part in value] if isinstance(value, list) else value


def telling(params: Mapping[str, Params], sources: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The params that tell some runs apart; what a person chose comes first.

    Parameters
    ----------
    params : mapping of str to mapping
        Params by the id of each run.
    sources : mapping of str to mapping
        Where each param came from: `argument`, `default`, `user`, ...

    >>> telling({"a": {"lr": 0.1, "n": 1}, "b": {"lr": 0.2, "n": 1}}, {"a": {"lr": "user"}, "b": {"lr": "user"}})
    ['lr']
    """
    ids = list(params)
    hidden = {i: inner(found) for i, found in params.items()}
    kept: list[str] = []
    for key in dict.fromkeys(key for found in params.values() for key in found):
        values = [_seen(params[i], key, hidden[i]) for i in ids]
        known = {value for value in values if value is not None}
        is_own = any(key in params[i] and key not in hidden[i] for i in ids)
        is_partial = is_own and any(value is None for value in values)
        if len(known) > 1 or (is_partial and any(_rank(sources.get(i, {}).get(key)) < 2 for i in ids)):
            kept.append(key)
    ranks = {key: min(_rank(sources.get(i, {}).get(key)) for i in ids) for key in kept}
    kept.sort(key=lambda key: (key.startswith(("-", "argument ")), ranks[key], "." in key))
    return _without_aliases(kept, ranks, params)


def _rank(source: str | None) -> int:
    """0 for what a person chose, 1 for what a framework resolved, 2 for a default."""
    return 0 if source in _CHOSEN else 2 if source in (None, "default") else 1


def _seen(params: Params, key: str, hidden: set[str]) -> str | None:
    """A text that is equal for equal values; None if the run has none, or says it elsewhere."""
    if key not in params:
        return None
    if key not in hidden:
        return _shown(params[key])
    return f"parts {rest_of(params[key])!r}" if isinstance(params[key], list) else None


def _shown(value: Any) -> str:
    """Numbers that are equal are shown alike: 1 and 1.0, and the 0 of one class that is the False of another."""
    if isinstance(value, (bool, int)) and abs(value) < 2**53:
        return repr(float(value))
    return repr(value)


def _without_aliases(keys: list[str], ranks: Mapping[str, int], params: Mapping[str, Params]) -> list[str]:
    kept: list[str] = []
    columns = {key: [_text(found.get(key)) for found in params.values()] for key in keys}
    ends = {_last(key) for key in {key for found in params.values() for key in found} if not key.startswith("-")}
    for key in keys:
        if key.startswith("-") and _last(key).replace("-", "_") in ends:
            continue  # the param that the option sets says it
        if key.startswith("argument ") and all(_is_param(found, found.get(key)) for found in params.values()):
            continue  # an argument without a name, which a param of each run has
        doubles = [other for other in kept if columns[other] == columns[key]]
        is_many = len({*columns[key]}) >= _ENOUGH and ranks[key] > 0
        if not any(is_many or _is_like(other, key) for other in doubles):
            kept.append(key)
    return kept


def _is_param(params: Params, value: Any) -> bool:
    return any(_text(other) == _text(value) for key, other in params.items() if not key.startswith("argument "))


def _is_like(key: str, other: str) -> bool:
    """Whether two names may mean the same: `lr` and `optimizer.lr`, `wd` and `optimizer.weight_decay`."""
    a, b = _last(key), _last(other)
    initials = "".join(word[:1] for word in b.split("_"))
    return a == b or (len(a) > 1 and (a == initials or b.startswith(a)))


def _text(value: Any) -> str:
    """A value as it may stand on a command line or in a framework, which agree but for letters and a point."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).casefold()


def _last(key: str) -> str:
    return _ends(key)[0]


def _ends(key: str) -> list[str]:
    """The ends of a name at its dots and double underscores, shortest first; the class of a thing is named as it is."""
    name = key.removesuffix(".class").lstrip("-")
    starts = [0, *(found.end() for found in re.finditer(r"\.|__", name))]
    return [end for start in reversed(starts) if (end := name[start:])] or [key]


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """The shortest ends of some names that tell them apart.

    >>> short_names(["estimator__clf__C", "optimizer.class", "optimizer.lr", "lr"])
    {'estimator__clf__C': 'C', 'optimizer.class': 'optimizer', 'optimizer.lr': 'optimizer.lr', 'lr': 'lr'}
    """
    ends = {key: _ends(key) for key in keys}
    used = Counter(end for each in ends.values() for end in each)
    return {key: next((end for end in each if used[end] == 1), each[-1]) for key, each in ends.items()}
