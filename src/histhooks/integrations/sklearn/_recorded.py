"""One estimator that is recorded wherever it goes in its process, without ``autolog()``."""

from __future__ import annotations

import copy
import copyreg
import functools
import weakref
from types import FunctionType
from typing import Any, TypeVar

from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if

from histhooks.integrations.kit import Patches
from histhooks.integrations.sklearn import _tasks
from histhooks.integrations.sklearn._fits import METHODS, watch_method
from histhooks.integrations.sklearn._scores import watch_score

E = TypeVar("E", bound=BaseEstimator)

_NEWOBJ = vars(copyreg)["__newobj__"]

_classes: weakref.WeakSet[type] = weakref.WeakSet()


def recorded(estimator: E) -> E:
    """Give a copy of an estimator whose every outer fit leaves a run, and every ``score`` after it a point.

    It is still that estimator to ``isinstance``, ``clone``, ``copy``, ``get_params``, a Pipeline, a search with
    processes and ``check_estimator``, and keeps recording through ``clone``, ``copy`` and ``deepcopy``. Its pickle
    gives the plain class, and loads where histhooks is not installed. Beside ``autolog()`` a fit is recorded once.

    Parameters
    ----------
    estimator : BaseEstimator
        Fitted or not; it is left as it is.

    Returns
    -------
    BaseEstimator
        Its class is a subclass of the estimator's, of the same name.

    Raises
    ------
    TypeError
        Where it is no estimator of scikit-learn's API.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from histhooks.integrations.sklearn import recorded
    >>> model = recorded(Ridge(alpha=0.5))
    >>> isinstance(model, Ridge), model
    (True, Ridge(alpha=0.5))
    """
    if isinstance(estimator, type) or not isinstance(estimator, BaseEstimator) or not hasattr(estimator, "fit"):
        kind = estimator if isinstance(estimator, type) else type(estimator)
        what = "the class" if isinstance(estimator, type) else "an object of"
        raise TypeError(
            f"recorded() takes an estimator that derives from BaseEstimator, not {what} {kind.__qualname__}"
        )
    _tasks.install()
    return _as(copy.copy(estimator), _class_of(type(estimator)))


def _as(estimator: E, kind: type) -> E:
    object.__setattr__(estimator, "__class__", kind)
    return estimator


def _plain(estimator: Any) -> Any:
    """The same object but for its class: that which was recorded."""
    kind: Any = type(estimator).__mro__[1]
    plain = kind.__new__(kind)
    vars(plain).update(vars(estimator))
    return plain


def _copy(self: Any) -> Any:
    return _as(copy.copy(_plain(self)), type(self))


def _deepcopy(self: Any, memo: dict[int, Any]) -> Any:
    return _as(copy.deepcopy(_plain(self), memo), type(self))


def _reduce(self: Any, protocol: Any) -> Any:
    reduced = _plain(self).__reduce_ex__(protocol)
    if reduced[0] is not _NEWOBJ:
        return reduced
    # Pickle refuses this form where the class is not the object's own.
    kind, *rest = reduced[1]
    return (kind.__new__, (kind, *rest), *reduced[2:])


def _class_of(kind: type) -> type:
    if kind in _classes:
        return kind
    below: list[type] = type.__subclasses__(kind)
    found = next((one for one in below if one in _classes), None)
    if found is None:
        names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
        ours = {"__copy__": _copy, "__deepcopy__": _deepcopy, "__reduce_ex__": _reduce}
        found = type(kind)(kind.__name__, (kind,), {**names, **ours})
        for name in (*METHODS, "score"):
            # After the class is made: scikit-learn wraps what it finds in a new class (set_output), which is done.
            method = _method(kind, name)
            if method is not None:
                setattr(found, name, method)
        _classes.add(found)
    return found


def _method(kind: type, name: str) -> Any:
    raw = next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)
    if isinstance(raw, FunctionType):
        return _watched(raw, name)
    function, check = getattr(raw, "fn", None), getattr(raw, "check", None)
    if isinstance(function, FunctionType) and check is not None:
        return available_if(check)(_watched(function, name))
    return None


def _watched(function: FunctionType, name: str) -> FunctionType:
    return Patches.copy_of(function, watch_score if name == "score" else functools.partial(watch_method, name, bool))
