"""Params of an estimator, each read by itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from sklearn.base import BaseEstimator

from histhooks.integrations.kit import Run, answer, ask, gathered, parameters_of

_NOTHING: dict[str, Any] = {}
_PLAIN = frozenset({int, bool, float, str, type(None)})
_DEPTH = 10  # estimators inside one another, where their params are read one by one


def log_estimator_params(run: Run, estimator: Any, prefix: str = "") -> None:
    """Record the params of an estimator and of those inside it, each as chosen or left at its default."""
    params = gathered(run, "params", _asked_for, estimator, what="get_params")
    if params is None:
        params = dict(_one_by_one(run, estimator, "", 0, ()))
    chosen: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    own = answer(_NOTHING, _defaults_of, type(estimator))
    for key, value in params.items():
        # Most are left as they are; a param of an estimator inside has a name that the class lacks.
        is_default = (key in own and value is own[key]) or gathered(
            run, "params", _is_default, params, estimator, key, value, what=key
        )
        (defaults if is_default else chosen)[prefix + key] = value
    run.log_params(chosen, source="argument")
    run.log_params(defaults, source="default")


def _defaults_of(kind: type) -> dict[str, Any]:
    return parameters_of(kind).defaults


def _asked_for(estimator: Any) -> dict[str, Any]:
    params = _at_hand(estimator)
    if params is None:
        params = ask(lambda: dict(estimator.get_params(deep=True)))
    # Names of steps may be no words; the host refuses them in its own time.
    return {key if type(key) is str else answer(type(key).__name__, str, key): value for key, value in params.items()}


def _at_hand(estimator: Any) -> dict[str, Any] | None:
    """What ``get_params`` gives where it is scikit-learn's own, which reads the constructor's signature each time.

    None where an estimator lies inside, or where a param is no attribute that the object holds.
    """
    kind = type(estimator)
    if not (_is_usual(kind, "get_params") and _is_usual(kind, "_get_param_names")):
        return None
    known = parameters_of(kind)
    held = answer(_NOTHING, object.__getattribute__, estimator, "__dict__")
    if known.star or known.stars or not known.by_keyword <= held.keys():
        return None
    found = {name: held[name] for name in known.in_order}
    kinds = set(map(type, found.values()))
    return found if _PLAIN.issuperset(kinds) or not any(hasattr(kind, "get_params") for kind in kinds) else None


def _is_usual(kind: type, name: str) -> bool:
    for base in kind.__mro__:
        if name in vars(base):
            return vars(base)[name] is vars(BaseEstimator)[name]
    return False


def _one_by_one(run: Run, estimator: Any, prefix: str, depth: int, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Params of an estimator whose ``get_params`` fails, as it would give them."""
    for name in _names_of_params(type(estimator)):
        found = gathered(run, "params", _held, estimator, name, what=prefix + name)
        if found is None:
            continue
        (value,) = found
        yield prefix + name, value
        is_estimator = not isinstance(value, type) and callable(getattr(type(value), "get_params", None))
        if is_estimator and depth < _DEPTH and id(value) not in above:
            yield from _one_by_one(run, value, f"{prefix}{name}__", depth + 1, (*above, id(estimator)))


def _held(estimator: Any, name: str) -> tuple[Any]:
    nothing: dict[str, Any] = {}
    held: dict[str, Any] = answer(nothing, vars, estimator)
    return (held[name] if name in held else ask(getattr, estimator, name),)


def _names_of_params(kind: type) -> list[str]:
    """Names of the params that a constructor takes, as ``BaseEstimator._get_param_names`` reads them."""
    signature = answer(None, inspect.signature, kind)
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [] if signature is None else [p.name for p in signature.parameters.values() if p.kind not in several]


def _is_default(params: dict[str, Any], estimator: Any, key: str, value: Any) -> bool:
    owner_key, _, name = key.rpartition("__")
    # A name such as skorch's `callbacks__print_log` may lead to None.
    known = parameters_of(type(params.get(owner_key) if owner_key else estimator)).defaults
    return name in known and _is_same(value, known[name])


def _is_same(value: Any, default: Any) -> bool:
    """Whether a value is its default. Those that compare by element, or refuse to, are the same as no other."""
    if value is default:
        return True
    if type(value) is not type(default) or hasattr(type(value), "shape"):
        return False
    if type(value) is float and value != value:
        return bool(default != default)
    return answer(False, lambda: bool(value == default))
