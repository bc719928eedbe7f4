"""Compare where the data of two runs came from, and the weights that they began and ended with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histhooks._base.values import flatten
from histhooks.history.compare.change import Change, Part, changes_of

if TYPE_CHECKING:
    from histhooks.history._run_rows import RunRows
    from histhooks.history.data.rows import Weights

_MOST_NAMED = 5


def splits(a: RunRows, b: RunRows) -> Part:
    """Splits by function, with their settings: of each call of the program the last one before the run ended."""
    found = [_splits(run) for run in (a, b)]
    return _part("splits", found)


def _splits(run: RunRows) -> dict[str, Any]:
    latest = {(one.function, one.location): one for one in run.splits}
    out: dict[str, Any] = {}
    seen: dict[str, int] = {}
    for one in latest.values():
        seen[one.function] = n = seen.get(one.function, 0) + 1
        name = one.function if n == 1 else f"{one.function} {n}"
        facts = {**flatten(dict(one.arguments)), "samples": one.n_in, "parts": list(one.n_out) or None}
        facts["shuffled"] = one.is_shuffled
        out |= {f"{name} {key}": value for key, value in facts.items() if value is not None}
    return out


def preprocessing(a: RunRows, b: RunRows) -> Part:
    """Transformers that data of each role came out of, in order, with their fitted state and what they had seen."""
    found = []
    for run in (a, b):
        out: dict[str, Any] = {}
        for one in run.transforms:
            facts = {"": one.class_name, ": rows it was fitted on": one.n_fitted, ": state": one.state_sha256}
            told = {f"{one.role} transformer {one.position + 1}{key}": value for key, value in facts.items()}
            out |= {key: value for key, value in told.items() if value is not None}
        found.append(out)
    return _part("preprocessing", found)


def weights(a: RunRows, b: RunRows, tolerance: float) -> Part:
    """Weights at the start and at the end by content; with a tolerance, those at the end do not count."""
    found = [{one.point: one for one in run.weights} for run in (a, b)]
    told = [{f"at the {point}": one.digest for point, one in each.items() if one.digest} for each in found]
    odd = [
        {f"not finite at the {point}": one.nonfinite for point, one in each.items() if one.nonfinite} for each in found
    ]
    uncounted = () if not tolerance else ("at the end", "at the best", "at the saved")
    part = _part("weights", [one | other for one, other in zip(told, odd)], uncounted)
    both = [point for point in found[0] if point in found[1]]
    notes = [_changed(point, found[0][point], found[1][point]) for point in both]
    return Part("weights", part.changes, notes=(*part.notes, *filter(None, notes)), is_there=part.is_there)


def _changed(point: str, a: Weights, b: Weights) -> str:
    """Which arrays differ, where not all do."""
    names = [name for name in a.tensors if name in b.tensors and a.tensors[name] != b.tensors[name]]
    if not names or len(names) == len(a.tensors):
        return ""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{point}: {len(names)} of {len(a.tensors)} arrays differ: {', '.join(names[:_MOST_NAMED])}{more}"


def _part(name: str, found: list[dict[str, Any]], uncounted: tuple[str, ...] = ()) -> Part:
    """What differs; where one run has nothing of it, nobody knows whether it was recorded, and nothing counts."""
    if not found[0] and not found[1]:
        return Part(name, is_there=False)
    if not found[0] or not found[1]:
        lacking = "B" if found[0] else "A"
        return Part(name, notes=(f"{lacking}: none was recorded",), is_there=False)
    changes: list[Change] = changes_of(*found, uncounted=uncounted)
    return Part(name, tuple(changes))
