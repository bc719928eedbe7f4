"""The rows that transformers of the program transform, and what these were fitted on.

``fit`` and ``fit_transform`` are recorded already (`_fits`). What comes out of ``transform`` is seen in two places: all
transformers that scikit-learn wraps for ``set_output`` pass through one function of ``sklearn.utils._set_output``,
which gets the transformer, what went in and what came out; the others (vectorizers of text, a Pipeline, an estimator
that is no ``TransformerMixin``) are wrapped in the class that defines ``transform``. Inside another call nothing is
followed: a Pipeline is one transformer.

Whether a class learns from data, and from targets, is asked of its tags, of scikit-learn's own classes alone: tags of
other classes run code of the program. Those count as classes that learn.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Generator
from types import FunctionType
from typing import Any

from histhooks.integrations._estimators import find, n_samples
from histhooks.integrations._transformers import came_out, learned
from histhooks.integrations.kit import Patches, Run, answer, bind, gathered, guarded, is_task, outer_run, when_imported

MODULE, FUNCTION = "sklearn.utils._set_output", "_wrap_data_with_container"
_FEW = 8  # rows below which a call, as one of a server, is not followed
# Targets are optional by the tags of classes in here, which use those that they are given.
_SUPERVISED = ("sklearn.feature_selection", "sklearn.cross_decomposition")
# Of a class of scikit-learn: whether it learns from data, and whether from targets.
_traits: weakref.WeakKeyDictionary[type, tuple[bool, bool]] = weakref.WeakKeyDictionary()


def install(patches: Patches) -> None:
    """Watch what comes out of transformers."""

    def wrap(module: Any) -> None:
        patches.wrap(module, FUNCTION, _watch_output)

    when_imported(MODULE, wrap)


def is_wrapped_by_host(function: Any) -> bool:
    """Whether what ``transform`` returns passes through the function that is watched."""
    return isinstance(function, FunctionType) and hasattr(function, "__wrapped__")


def watch_transform(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    """Follow the rows of an outer call of a ``transform`` that scikit-learn does not wrap."""
    if not args or not _is_followed(args[0]):
        return
    out = yield
    bound = guarded(bind)(original, args, kwargs) or {}
    first = next((value for name, value in bound.items() if name != "self"), None)
    if first is not None:
        follow(args[0], first, out)


def _watch_output(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    if len(args) != 4 or kwargs or not _is_followed(args[3]):
        return
    out = yield
    follow(args[3], args[2], out)


def _is_followed(estimator: Any) -> bool:
    """Whether an outer call transforms with a transformer that an outer fit has fitted."""
    known = find(estimator)
    return known is not None and known.transformer is not None and not is_task() and outer_run() is None


@guarded
def follow(estimator: Any, X: Any, out: Any) -> None:
    """Keep the rows that a transformer has transformed."""
    known = find(estimator)
    if known is not None and known.transformer is not None and n_samples(out) >= _FEW:
        came_out(known.run, known.transformer, X, out)


@guarded
def log_learned(run: Run, estimator: Any, y: Any) -> None:
    """Keep in mind what a transformer was fitted on, if its class is one."""
    known = find(estimator)
    if known is None or answer(None, getattr, type(estimator), "transform") is None:
        return
    traits = gathered(run, "transforms", _traits_of, estimator, what="tags") or (True, False)
    kind = type(estimator)
    name = f"{kind.__module__}.{kind.__qualname__}"
    known.transformer = learned(run, name, requires_fit=traits[0], uses_target=traits[1] and y is not None)


def _traits_of(estimator: Any) -> tuple[bool, bool]:
    kind = type(estimator)
    if kind.__module__.partition(".")[0] != "sklearn":
        return True, False
    found = _traits.get(kind)
    if found is None:
        tags = sys.modules["sklearn.utils"].get_tags(estimator)
        uses_target = tags.target_tags.required or kind.__module__.startswith(_SUPERVISED)
        found = _traits[kind] = bool(tags.requires_fit), bool(uses_target) and kind.__name__ != "VarianceThreshold"
    return found
