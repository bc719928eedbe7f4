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
``transform``, ``fit_transform``             rows of `transforms` in each run whose data came out of it: how many rows,
                                             and how many of them the transformer had been fitted on
``partial_fit``                              one run per object, a point of `n_samples` per call
``GridSearchCV`` and its kin                 a run of kind `search`, a child `candidate` per candidate up to 1,000,
                                             the rest as result `candidates_beyond`; scores of folds are points
``cross_validate``, ``cross_val_score``,     a run of kind `validate`, its folds as points (step = fold)
``cross_val_predict``, ``learning_curve``,
``validation_curve``,
``permutation_test_score``
``train_test_split``                         a row of `splits`: its settings, and the sizes of the parts
``cv=``                                      a row of `splits`: the splitter that it means, with its settings
``get_params(deep=True)``                    params, `argument` where they differ from the default, else `default`
fit arguments but X and y                    params `fit.<name>`
X, y                                         a dataset of role `train`
``groups`` of a search or a validation       part `group:groups` of that dataset, by keyed hashes; no param
``best_params_``, ``n_iter_`` …              results
fitted attributes, trees, steps and members  `weights`: digest, norm, number of non-finite values; at the start too
                                             where ``warm_start`` or ``partial_fit`` goes on
``loss_curve_``, ``validation_scores_``      points, step = iteration, under the attribute's name: `loss` on `train`,
                                             `score` on `valid`; of a member `loss_curve_/<name or number>`
``train_score_``, ``validation_score_``      points: losses of GradientBoosting*, scores of HistGradientBoosting* (loss:
                                             `neg_loss`); the one before the first iteration is result `….initial`
``oob_scores_``, ``oob_improvement_``,       points of split `train`; those of out-of-bag rows have no split
``lower_bounds_``, ``estimator_errors_``,
``scores_`` of BayesianRidge
``feature_importances_``, ``coef_``          results `feature_importances`, `coef` (by class), `intercept`: the 50
                                             largest, by feature; else result `feature_names`
y of a classifier                            result `class_counts` (of whole numbers: in the profile of its data)
``sklearn.metrics`` of predictions           points of the run that trained the model: `f1_score`, `f1_score/macro`,
                                             `train_accuracy_score`; tables and curves (100 points at most) are results:
                                             `roc_curve`
``learning_curve``, ``validation_curve``     result of that name: sizes or values, means and deviations of the folds
a candidate whose fits all raised            status `failed`, whatever stands in for its score, with the error; of some
                                             fits result `n_failed_fits` and an event
halving searches                             results `iter` and `n_resources` of each candidate
``score`` after a fit                        a point of the run that trained that estimator: `score` (split `test`) on
                                             new data, `train_score` on the training data, `valid_score` on validation
                                             data, `unsaid_score` where that is not known; of a step or member of it
                                             `score/<class>`; its data
``score`` of one not trained here            a run of kind `evaluate`
``joblib.dump``                              an artifact of role `model`, of the run that trained what is in it
``partial_fit`` after a fit; `warm_start`    a link `continues` to the run before
===========================================  =========================================================================

``recorded(estimator)`` records that estimator alone, without ``autolog()``, also through ``clone`` and copies.

How it hooks in.

Methods are recorded in the class that defines them, for every subclass of ``BaseEstimator`` that is loaded.
Later subclasses are found through the ``__init_subclass__`` that all of them pass (``_MetadataRequester``), since
scikit-learn has no official registration that reaches every estimator. A wrapped function stays the same object and
gets other code, so it is recorded under every name that it is bound to. Of a method behind ``available_if``, a
descriptor, the function inside (``fn``) is wrapped. If a class has `fit = partial_fit`, one of the two becomes a copy.
Tasks that joblib dispatches carry the current run on the batch (``joblib.parallel.BatchedCalls``), so that work in
threads belongs to it. In a worker process, scikit-learn's own functions and tasks dispatched by its ``delayed`` inside
a run never open a run; a function of the program does. ``score`` is wrapped in mixins too. Calls of ``score`` from
scikit-learn's own code (a scorer, ``permutation_importance``) are not recorded as the program's. Why fits failed inside
a search, also in workers, is read from the arguments of ``_warn_or_raise_about_fit_failures`` in ``model_selection``.

Odd estimators. Before a fit, only the class of an estimator, its ``get_params`` and its ``__dict__`` are read. Params,
arguments, data, results, candidates and scores are read one by one: if reading one raises, only that one is missing,
and a row of `captures` (status `failed`) names it. If ``get_params`` fails, params are read by the names of the
constructor's parameters.

Weights. Fitted attributes are read without a call to the estimator and without a pickle: equal fits, and an estimator
that was saved and loaded, have one digest. If an attribute is an object of the program, there is none, and `captures`
names it.

Transformers. Rows are followed by their hashes, from the data of a run to what came out of an outer transformer, to
what went in, to what it was fitted on, also through several of them; where columns were taken out or put together
since, by single columns of numbers. All transformers that scikit-learn wraps for ``set_output`` pass through one
private function, ``_wrap_data_with_container``; of the others, ``transform`` is wrapped. Data above 1 MiB is not kept
alive, and followed if it still exists a moment later. Not seen: what NumPy computes by hand, and values changed in
place.

Metrics. Functions of ``sklearn.metrics`` whose name says score, loss, error, deviance or curve are hooked once it is
imported (64 of them in 1.9, 1 ms), ``predict`` and its kin of a class once it was fitted; each `predict` costs 10 to
40 µs more, of a frame 50 to 80 µs. A call counts if one argument is the very array that a model returned which was
trained here, or a column of it. What is computed of it (``proba.argmax(axis=1)``, ``proba > 0.5``, some of its rows)
leaves nothing, and neither do metrics between two models, those that a search, a validation, a scorer inside them or
another metric computes, and ``score``, which has its own point. Options that are not the default, the column, and a
method other than the usual one are in the name. The split is that of the data predicted on, as for ``score``; of
``cross_val_predict`` it is `valid`. Of data above 256 KiB that is gone by then, 64 rows decide.

scikit-learn's own callbacks (``sklearn.callback``, since 1.9) are not used: they are an attribute of the estimator,
which ``clone`` and ``pickle`` carry, and of the estimators with curves none calls them yet.

A `fit` that is not a function, or that is set after the class was made, is reported once (`captures`, collector
`fits`).

Not recorded: estimators that do not derive from ``BaseEstimator``; ``predict`` itself; curves that no attribute has;
``score`` of Keras's wrappers, and of an XGBoost model that was not trained here, if that framework is recorded too;
``pickle.dump``, and ``joblib.dump`` into an open file. A member that a worker process fitted comes back as another
object, so its run is unknown. What a function of the program fits in a joblib process is recorded under
``histhooks run``, or if that function calls ``autolog()``: the call in the main program does not run there. Tested
with 1.9.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import sklearn
from sklearn.base import BaseEstimator

from histhooks.integrations.kit import (
    Integration,
    NotApplicable,
    Patches,
    no_longer,
    owner_of,
    require,
    when_imported,
)
from histhooks.integrations.sklearn import _metrics, _predicting, _tasks, _transforms, _unseen
from histhooks.integrations.sklearn._fits import METHODS, watch_method
from histhooks.integrations.sklearn._recorded import recorded
from histhooks.integrations.sklearn._scores import watch_score
from histhooks.integrations.sklearn._search import watch_failures
from histhooks.integrations.sklearn._splits import watch_check, watch_split
from histhooks.integrations.sklearn._validation import watch_validation

__all__ = ["integration", "recorded"]

_VALIDATIONS = (
    "cross_validate",
    "cross_val_score",
    "cross_val_predict",
    "learning_curve",
    "validation_curve",
    "permutation_test_score",
)

_patches = Patches()
_Watch = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Iterator[Any] | None]
_METHODS: dict[str, _Watch] = {
    name: functools.partial(watch_method, name, lambda: _unseen.look_again(_patches, _wrap_again)) for name in METHODS
}
_seen: weakref.WeakSet[type] = weakref.WeakSet()
_seen_scores: weakref.WeakSet[type] = weakref.WeakSet()


def _wrap_class(kind: type) -> None:
    if kind in _seen:
        return
    _seen.add(kind)
    for name in METHODS:
        _wrap_method(kind, name, _METHODS[name])
    if not _transforms.is_wrapped_by_host(vars(kind).get("transform")):
        _wrap_method(kind, "transform", _transforms.watch_transform)
    for base in kind.__mro__[1:]:
        # A mixin of the program, which is no estimator itself; what is inherited from a framework is recorded there.
        if base not in _seen and base.__module__ != "builtins" and owner_of(base) is None:
            _seen.add(base)
            for name in METHODS:
                _wrap_method(base, name, _METHODS[name])
            _unseen.look_at(base)
    _unseen.met(kind)
    # Most have it from a mixin, which is no estimator itself.
    for base in kind.__mro__:
        if base not in _seen_scores:
            _seen_scores.add(base)
            _wrap_method(base, "score", watch_score)


def _wrap_method(kind: type, name: str, around: _Watch) -> None:
    try:
        _wrap_found(kind, name, around)
    except Patches.Unfit as why:
        _unseen.is_unfit(kind, name, str(why))


def _wrap_found(kind: type, name: str, around: _Watch) -> None:
    found = vars(kind).get(name)
    if isinstance(found, functools.partialmethod):
        if isinstance(found.func, FunctionType):
            _patches.wrap(found, "func", around, is_apart=True)  # which has a name of its own
        return
    owner, attribute = (kind, name) if isinstance(found, FunctionType) else (found, "fn")
    function = vars(owner).get(attribute) if hasattr(owner, "__dict__") else None
    if not isinstance(function, FunctionType):
        return
    known = _patches.of(function)
    if known is None:
        _patches.wrap(owner, attribute, around)
    elif known.around is not around:
        _patches.wrap(owner, attribute, around, is_apart=True)  # `fit = partial_fit`


def _wrap_again(kind: type, name: str) -> None:
    _wrap_method(kind, name, _METHODS[name])


def _wrap_all(kind: type) -> None:
    _wrap_class(kind)
    subclasses: list[type] = type.__subclasses__(kind)
    for below in subclasses:
        _wrap_all(below)


def _watch_subclass(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    yield
    if args and issubclass(args[0], BaseEstimator):
        _wrap_class(args[0])


def _install_subclass_hook() -> None:
    requester = next((kind for kind in BaseEstimator.__mro__ if "__init_subclass__" in vars(kind)), object)
    if requester is object:
        raise NotApplicable("this scikit-learn has no __init_subclass__ that estimators pass through; update histhooks")
    _patches.wrap(requester, "__init_subclass__", _watch_subclass)


def _wrap_validations(module: Any) -> None:
    for name in _VALIDATIONS:
        _patches.wrap(module, name, watch_validation)
    if _FAILURES in vars(module):
        _patches.wrap(module, _FAILURES, watch_failures)


def _wrap_splits(module: Any) -> None:
    _patches.wrap(module, "train_test_split", watch_split)
    _patches.wrap(module, "check_cv", watch_check)


_FAILURES = "_warn_or_raise_about_fit_failures"
_MODULE = "sklearn.model_selection._validation"
_SPLITS = "sklearn.model_selection._split"


def install() -> None:
    """Wrap every estimator there is and will be, and the functions of cross-validation."""
    require("sklearn", sklearn.__version__)
    _install_subclass_hook()
    _wrap_all(BaseEstimator)
    when_imported(_MODULE, _wrap_validations)  # which the program may import later, or never
    when_imported(_SPLITS, _wrap_splits, "splits")
    _tasks.install()
    _predicting.install()
    _metrics.install()
    _transforms.install(_patches)


def uninstall() -> None:
    """Put everything back, by identity."""
    no_longer(_MODULE)
    no_longer(_SPLITS, "splits")
    no_longer(_transforms.MODULE)
    _tasks.uninstall()
    _metrics.uninstall()
    _predicting.uninstall()
    _patches.undo()
    _seen.clear()
    _seen_scores.clear()
    _unseen.forget()


integration = Integration("sklearn", install, uninstall)
