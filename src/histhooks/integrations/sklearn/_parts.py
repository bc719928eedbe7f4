"""What lies inside a fitted estimator, by what it holds: no code of its class runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from histhooks.integrations.kit import answer

_NOTHING: dict[str, Any] = {}
# What an estimator holds of the one that it fitted, if that is one alone; `estimator_` of an ensemble is a template.
_ALONE = ("best_estimator_", "estimator_", "regressor_", "final_estimator_")
_SEVERAL = ("estimators_", "calibrated_classifiers_")
_DEPTH = 4
_MOST = 20


def held_by(estimator: Any) -> Mapping[str, Any]:
    """What an object holds, without a word to code of its class."""
    return answer(_NOTHING, object.__getattribute__, estimator, "__dict__")


def cores_of(estimator: Any) -> Iterator[Any]:
    """An estimator and what it is in the end, step by step: the best of a search, the last step of a pipeline."""
    yield estimator
    for _ in range(_DEPTH):
        held = held_by(estimator)
        inner = _last_step(held)
        if inner is None and not any(name in held for name in _SEVERAL):
            inner = next((held[name] for name in _ALONE[:3] if held.get(name) is not None), None)
        if inner is None:
            break
        estimator = inner
        yield estimator


def core_of(estimator: Any) -> Any:
    """The estimator that fitted in the end."""
    *_, last = cores_of(estimator)
    return last


def parts_of(estimator: Any, label: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """An estimator and those inside it, each with a label; an empty one for what stands alone in it.

    Yields
    ------
    tuple of str and object
        Members have the name that the program gave them, else their number; the first 20 of each ensemble.
    """
    held = held_by(estimator)
    yield label, estimator
    if depth == _DEPTH:
        return
    last = _last_step(held)
    if last is not None:
        yield from parts_of(last, label, depth + 1)
    for name in _ALONE:
        inner = held.get(name)
        if inner is not None and hasattr(type(inner), "fit"):
            yield from parts_of(inner, _joined(label, "final_estimator" if name[0] == "f" else ""), depth + 1)
    for name in _SEVERAL:
        for number, (own, member) in enumerate(_members(held, name)):
            if number == _MOST:
                break
            yield from parts_of(held_by(member).get("estimator", member), _joined(label, own), depth + 1)


def _last_step(held: Mapping[str, Any]) -> Any:
    steps = held.get("steps")
    if type(steps) is not list or not steps or type(steps[-1]) is not tuple or len(steps[-1]) != 2:
        return None
    last = steps[-1][1]
    return None if isinstance(last, str) else last


def _members(held: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
    members, named = held.get(name), held.get("named_estimators_")
    if type(members) is not list:  # trees of a boosted ensemble stand in an array, and keep no curves
        return []
    if name == "estimators_" and isinstance(named, dict):
        return [(str(own), member) for own, member in named.items() if not isinstance(member, str)]
    if members and "tree_" in held_by(members[0]):
        return []
    return [(str(number), member) for number, member in enumerate(members[: _MOST + 1])]


def _joined(label: str, own: str) -> str:
    return f"{label}.{own}" if label and own else label or own
