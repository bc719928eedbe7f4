"""What a fit has left in an estimator, by content: two equal fits, and one that was saved and loaded, have one digest.

A walk over the attributes that end in an underscore, in the order of their names, without a call to the estimator: its
properties are not asked, and nothing is pickled, since a pickle holds objects of the program, counts and random states
as well. Arrays, sparse matrices, trees, numbers, texts, lists and dicts of them, estimators inside others, and objects
of scikit-learn are read. What says how a fit went, and not what it left (``loss_curve_``, ``cv_results_``,
``refit_time_``, ...), is left out. Of private attributes, those count that predictions are made of.

One value that is none of these, as an object of the program, leaves no digest, and `captures` names it. Of a tree two
arrays are read; of a forest of a hundred trees that takes 3 ms, where the fit took 220.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from histhooks.integrations._estimators import MOST_TENSORS, Unreadable, Values, of_array
from histhooks.integrations.kit import Run, answer, class_name, gathered

_DEEPEST = 12
_MOST_LISTED = 200_000
_HOW = frozenset(
    "n_features_in_ feature_names_in_ n_samples_seen_in_fit_ cv_results_ refit_time_ best_index_ scorer_ multimetric_ "
    "loss_curve_ validation_scores_ best_validation_score_ best_loss_ loss_ train_score_ validation_score_ "
    "oob_improvement_ oob_scores_ oob_score_ oob_prediction_ oob_decision_function_ random_state_ rng_ n_iter_ t_ "
    "evals_result_ do_early_stopping_ best_score_ n_resources_ n_candidates_ n_splits_ "
    # The same estimators once more; a tree of which predictions are not made.
    "named_estimators_ root_ dummy_leaf_".split()
)
_PRIVATE = frozenset(
    "_predictors _baseline_prediction _bin_mapper _preprocessor _label_encoder _fit_X _y _probA _probB _tfidf _lrd "
    "_Booster _calibrators".split()
)
# Params in which composites keep what they have fitted.
_FITTED_PARAMS = ("steps", "transformer_list")
_SPARSE = ("data", "indices", "indptr", "offsets", "coords", "row", "col", "_shape")
_NEIGHBORS = ("sklearn.neighbors._kd_tree", "sklearn.neighbors._ball_tree")
_PLAIN = frozenset({bool, int, str, bytes, type(None)})
_FUNCTIONS = (FunctionType, BuiltinFunctionType, np.ufunc, type)


def log_fitted(run: Run, point: str, estimator: Any) -> None:
    """Record what an estimator holds of its fit."""
    what = f"weights at the {point}"
    gathered(run, "weights", run.log_weights, point, partial(fitted_values, estimator), what=what)


def fitted_values(estimator: Any) -> list[Values]:
    """What is read of an estimator.

    Raises
    ------
    Unreadable
        Where it holds what nobody can read without its code, or too many things.
    """
    found: list[Values] = []
    for value in _of_estimator("", estimator, 0):
        found.append(value)
        if len(found) > MOST_TENSORS:
            raise Unreadable(f"more than {MOST_TENSORS} arrays and numbers")
    return found


def _held(thing: Any) -> Mapping[str, Any]:
    return answer(dict[str, Any](), object.__getattribute__, thing, "__dict__")


def _of_estimator(path: str, estimator: Any, depth: int) -> Iterator[Values]:
    held = dict(_held(estimator))
    for name in _FITTED_PARAMS:
        for step in held.get(name) or () if type(held.get(name)) is list else ():
            if type(step) is tuple and len(step) >= 2 and type(step[0]) is str:
                yield from _of(f"{path}{step[0]}", step[1], depth + 1)
    tree = held.get("tree_")
    if tree is not None and _is_tree(tree):
        yield from _of(f"{path}tree_", tree, depth + 1)
        return
    for name in sorted(held):
        is_fitted = name.endswith("_") and not name.startswith("_")
        if (is_fitted and name not in _HOW) or name in _PRIVATE:
            yield from _of(path + name, held[name], depth + 1)


def _of(path: str, value: Any, depth: int) -> Iterator[Values]:
    kind = type(value)
    if depth > _DEEPEST:
        raise Unreadable(f"{path} lies too deep")
    if kind in _PLAIN:
        yield _plain(path, value, ())
    elif kind is float:
        yield Values(path, "float64", (), 8, id(value), struct.pack("<d", value))
    elif kind in (np.ndarray, np.memmap):
        yield from _of_array(path, value, depth)
    elif issubclass(kind, np.generic) and kind.__module__ == "numpy":
        yield from _of_array(path, np.asarray(value), depth)
    elif kind in (list, tuple, dict):
        yield from _of_several(path, value, depth)
    elif issubclass(kind, BaseEstimator):
        yield from _of_estimator(f"{path}.", value, depth)
    elif issubclass(kind, _FUNCTIONS):
        name = getattr(value, "__qualname__", None) or getattr(value, "__name__", "")
        yield _plain(path, f"{getattr(value, '__module__', '')}.{name}", ())
    else:
        yield from _of_object(path, value, depth)


def _of_object(path: str, value: Any, depth: int) -> Iterator[Values]:
    kind: Any = type(value)
    held = _held(value)
    if _is_tree(value):
        state = kind.__getstate__(value)
        yield from _of(f"{path}.nodes", state["nodes"], depth + 1)
        yield from _of(f"{path}.values", state["values"], depth + 1)
    elif kind.__module__ in _NEIGHBORS:
        arrays = [one for one in kind.__getstate__(value) if type(one) is np.ndarray]
        yield from _of(path, arrays, depth + 1)
    elif kind.__module__ == "xgboost.core" and kind.__name__ == "Booster":
        yield from _of(path, np.frombuffer(kind.save_raw(value, "ubj"), "u1"), depth + 1)
    elif kind is slice:
        yield _plain(path, repr(value), ())
    elif kind.__module__.startswith("scipy.sparse."):
        for name in _SPARSE:
            if name in held:
                yield from _of(f"{path}.{name}", held[name], depth + 1)
    elif held and kind.__module__.startswith(("sklearn.", "scipy.interpolate.")):
        for name in sorted(held):
            if name not in _HOW:
                yield from _of(f"{path}.{name}", held[name], depth + 1)
    else:
        raise Unreadable(f"{path} is a {class_name(value)}, whose content nobody knows")


def _is_tree(value: Any) -> bool:
    return type(value).__module__ == "sklearn.tree._tree" and type(value).__name__ == "Tree"


def _plain(path: str, value: Any, shape: tuple[int, ...]) -> Values:
    data = repr(value).encode("utf-8", "surrogatepass")
    return Values(path, "value", shape, len(data), id(data), data)


def _of_array(path: str, array: Any, depth: int) -> Iterator[Values]:
    if array.dtype.hasobject:
        if array.dtype.names is not None:
            raise Unreadable(f"{path} is a table of objects")
        yield _plain(f"{path}.shape", array.shape, ())
        yield from _of(path, array.reshape(-1).tolist(), depth + 1)
        return
    found = of_array(path, array)
    if found is None:  # texts, dates, or rows of several fields
        name = "record" if array.dtype.names else f"{array.dtype.kind}{array.dtype.itemsize}"
        found = Values(path, name, array.shape, array.nbytes, id(array), array.tobytes)
    yield found


def _of_several(path: str, value: Any, depth: int) -> Iterator[Values]:
    if len(value) > _MOST_LISTED:
        raise Unreadable(f"{path} has {len(value)} items, more than {_MOST_LISTED}")
    inside = list(value.values()) if type(value) is dict else value
    is_plain = all(type(one) in _PLAIN or type(one) is float for one in inside)
    if type(value) is not dict:
        if is_plain:
            yield _plain(path, list(value), (len(value),))
        else:
            for n, one in enumerate(value):
                yield from _of(f"{path}[{n}]", one, depth + 1)
        return
    if not all(type(key) in _PLAIN or type(key) is float or issubclass(type(key), np.generic) for key in value):
        raise Unreadable(f"{path} has keys whose content nobody knows")
    ordered = sorted(value.items(), key=_key)
    if is_plain:
        yield _plain(path, ordered, (len(value),))
        return
    for key, one in ordered:
        yield from _of(f"{path}[{key!r}]", one, depth + 1)


def _key(item: tuple[Any, Any]) -> tuple[str, str]:
    return type(item[0]).__name__, repr(item[0])
