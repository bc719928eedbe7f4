"""scikit-learn: every outer fit leaves a run, whatever estimator it is.

    import histhooks
    histhooks.autolog("sklearn")
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    LogisticRegression(max_iter=1000).fit(*load_iris(return_X_y=True))

===========================================  =========================================================================
scikit-learn                                 record
===========================================  =========================================================================
``fit``, ``fit_predict``                     a run of kind `fit`; of an outer transformer `preprocess`
``fit_transform`` that calls no ``fit``      a run of kind `preprocess`
``partial_fit``                              one run per object, a point of `n_samples` per call
``GridSearchCV`` and its kin                 a run of kind `search`, a child `candidate` per candidate up to 1,000,
                                             the rest as result `candidates_beyond`; scores of folds are points
``cross_validate``, ``cross_val_score``,     a run of kind `validate`, its folds as points (step = fold)
``cross_val_predict``, ``learning_curve``,
``validation_curve``,
``permutation_test_score``
``get_params(deep=True)``                    params, `argument` where they differ from the default, else `default`
fit arguments but X and y                    params `fit.<name>`
X, y                                         a dataset of role `train`
``best_params_``, ``n_iter_`` …              results
``score`` after a fit                        a point `score` (split `test`) of the run that trained that estimator, its
                                             data of role `test`; of a step or member of it `score/<class>`
``score`` of one not trained here            a run of kind `evaluate`
``joblib.dump``                              an artifact of role `model`, of the run that trained what is in it
``partial_fit`` after a fit; `warm_start`    a link `continues` to the run before
===========================================  =========================================================================

``recorded(estimator)`` records that estimator alone, without ``autolog()``, also through ``clone`` and copies.

Seams. Methods are wrapped in the class that defines them, for all subclasses of ``BaseEstimator`` there are and, by
``BaseEstimator.__init_subclass__``, all that come later; scikit-learn has no official registration that reaches every
estimator. Methods behind ``available_if`` are descriptors: the function inside (``fn``) is wrapped. Names of functions
that a program bound earlier are bound anew. Tasks that joblib dispatches carry the current run on the batch
(``joblib.parallel.BatchedCalls``), so that threads belong to it; in a worker process, what scikit-learn's own
``delayed`` dispatches (``sklearn.utils.parallel._FuncWrapper``) is never a run. ``score`` is wrapped in mixins too;
what scikit-learn's own code calls (a scorer, ``permutation_importance``) is none of the program's calls.

Not recorded: estimators that do not derive from ``BaseEstimator``; a name bound in a closure, a partial or a default;
``predict``; curves inside an estimator's own loop; where those are recorded too, ``score`` of Keras's wrappers, and of
an XGBoost model that was not trained here; ``pickle.dump``, and ``joblib.dump`` into an open file. A member that a
worker process fitted came back as another object, whose run nobody knows. The wrapper of a ``fit_transform`` in a class
that is defined after ``autolog()`` lies beneath the one that ``set_output`` puts there; ``disable()`` makes it inert.
Tested with 1.9.
"""

from __future__ import annotations

import weakref
from types import FunctionType
from typing import Any

import sklearn
from sklearn.base import BaseEstimator

from histhooks._guard import guarded
from histhooks._imports import no_longer, when_imported
from histhooks._patching import Around, Patches
from histhooks.errors import NotApplicable
from histhooks.integrations import Integration
from histhooks.integrations.sklearn import _tasks
from histhooks.integrations.sklearn._fits import METHODS, around_method, around_validation
from histhooks.integrations.sklearn._recorded import recorded
from histhooks.integrations.sklearn._scores import around_score

__all__ = ["integration", "recorded"]

_MINIMUM = (1, 6)
_VALIDATIONS = (
    "cross_validate",
    "cross_val_score",
    "cross_val_predict",
    "learning_curve",
    "validation_curve",
    "permutation_test_score",
)

_patches = Patches()
_seen: weakref.WeakSet[type] = weakref.WeakSet()
_seen_scores: weakref.WeakSet[type] = weakref.WeakSet()


def _wrap_class(kind: type) -> None:
    if kind in _seen:
        return
    _seen.add(kind)
    for name in METHODS:
        _wrap_method(kind, name, around_method)
    # Most have it from a mixin, which is no estimator itself.
    for base in kind.__mro__:
        if base not in _seen_scores:
            _seen_scores.add(base)
            _wrap_method(base, "score", around_score)


def _wrap_method(kind: type, name: str, around: Around) -> None:
    found = vars(kind).get(name)
    if isinstance(found, FunctionType):
        _patches.wrap(kind, name, around)
    elif isinstance(getattr(found, "fn", None), FunctionType):
        _patches.wrap(found, "fn", around)


def _wrap_all(kind: type) -> None:
    _wrap_class(kind)
    subclasses: list[type] = type.__subclasses__(kind)
    for below in subclasses:
        _wrap_all(below)


def _install_subclass_hook() -> None:
    def __init_subclass__(cls: type, /, **kwargs: Any) -> None:
        super(BaseEstimator, cls).__init_subclass__(**kwargs)
        guarded(_wrap_class)(cls)

    if "__init_subclass__" in vars(BaseEstimator):
        raise NotApplicable("this scikit-learn has a BaseEstimator.__init_subclass__ of its own; update histhooks")
    BaseEstimator.__init_subclass__ = classmethod(__init_subclass__)


def _wrap_validations(module: Any) -> None:
    for name in _VALIDATIONS:
        _patches.wrap(module, name, around_validation, rebound=True)


_MODULE = "sklearn.model_selection._validation"


def install() -> None:
    """Wrap every estimator there is and will be, and the functions of cross-validation."""
    version = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
    if version < _MINIMUM:
        raise NotApplicable(f"scikit-learn {sklearn.__version__} is too old; 1.6 or newer is needed")
    _install_subclass_hook()
    _wrap_all(BaseEstimator)
    when_imported(_MODULE, _wrap_validations)  # which the program may import later, or never
    _tasks.install()


def uninstall() -> None:
    """Put everything back, by identity."""
    no_longer(_MODULE)
    _tasks.uninstall()
    if "__init_subclass__" in vars(BaseEstimator):
        del BaseEstimator.__init_subclass__
    _patches.undo()
    _seen.clear()
    _seen_scores.clear()


integration = Integration("sklearn", install, uninstall)
