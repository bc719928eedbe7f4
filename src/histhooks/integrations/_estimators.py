"""Which run trained which estimator: by identity, and known no longer than the estimator lives.

One integration may have seen its fit, and another its ``score``: those of XGBoost's estimators are scikit-learn's.

**Scored data.** Whatever an integration logs with ``run.log_dataset("train" or "valid", X, y)`` is kept in mind by a
hash. When the model is scored, that integration calls :func:`log_scored`, which records the data and says its split::

    scored = log_scored(run, X, y, trained_by=run)      # `run` takes the point, `trained_by` trained the model, or None
    name = scored.named("score")                        # score, train_score, valid_score or unsaid_score
    run.declare_metric(name, metric="score", split=scored.split, direction=1)
    run.log({name: value})

It is `train` where the content is that of training data of that run, or of one that it continues (``run.link``);
`valid` where it is that of validation data; `test` where it is known to differ from both. Content is compared across
containers where it is numbers of 1 MiB at most. Else the split is `unsaid` (NULL in the store), with a `captures` row
that says why: content that was not hashed (a loader, a tensor on a device), a hash of a sample that is the same,
another container. Rows of numbers (16 MiB of them), of sparse matrices, of texts and other values are known each by a
hash (:mod:`histhooks._collect.row_hashes`): what was put together from all parts that trained is `train`, a part of it
is `unsaid`.

Data that trains in many calls (``partial_fit``, ``train_on_batch``) is kept in mind by :func:`saw`, without a row. A
model that was not trained here leaves split `test`, unless something else was trained here on that data.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from histhooks._base.exceptions import ask
from histhooks._collect.same_data import Print, is_same
from histhooks._collect.weights import MOST_TENSORS as MOST_TENSORS
from histhooks._collect.weights import Unreadable as Unreadable
from histhooks._collect.weights import Values as Values
from histhooks._collect.weights import of_array as of_array
from histhooks._host.guard import guarded
from histhooks._host.store_location import project_name
from histhooks._record.engine import engine
from histhooks._record.held_data import HeldData, begin_scoring, end_scoring, hold_data, let_go_of, scored_piece
from histhooks._record.run import Run
from histhooks._record.run_data import known_data
from histhooks.integrations.kit import is_recording, outer_run

PREDICTIONS = "predictions"  # the collector


@dataclass(slots=True)
class Trained:
    """What is known of an estimator that was fitted here.

    Attributes
    ----------
    run : Run
    is_own : bool
        Whether the run is of this estimator, and not of one that it is a part of.
    calls : int
        How many calls of ``partial_fit`` the run has seen.
    transformer : Transformer or None
        What it was fitted on, where its rows are followed.
    """

    estimator: weakref.ref[Any]
    run: Run
    is_own: bool
    calls: int = 0
    transformer: Any = None


# By id: an estimator of another package may compare by value, or have no hash.
_trained: dict[int, Trained] = {}


@guarded
def trained_by(run: Run, estimator: Any, *, is_own: bool) -> None:
    """Keep in mind which run has just trained an estimator."""
    if not run.is_recorded:
        return
    key = id(estimator)
    try:
        # Called back without a line of Python, in which a Ctrl-C would be lost.
        reference = weakref.ref(estimator, functools.partial(_trained.pop, key))
    except TypeError:
        return  # of a class with slots
    _trained[key] = Trained(reference, run, is_own)


@guarded
def part_trained(estimator: Any) -> None:
    """Keep in mind that an estimator was fitted inside the run that goes on: a step, a member, the best candidate."""
    run = outer_run()
    if run is None:
        return
    known = find(estimator)
    if known is None or known.run is not run:  # else a `partial_fit` that calls `fit`, of the run's own estimator
        trained_by(run, estimator, is_own=False)


def find(estimator: Any) -> Trained | None:
    """What is known of an estimator."""
    found = _trained.get(id(estimator))
    return found if found is not None and found.estimator() is estimator else None


def forget(estimator: Any) -> None:
    """Forget which run trained an estimator."""
    _trained.pop(id(estimator), None)


@contextmanager
def adding_to(run: Run) -> Iterator[None]:
    """Let a run take more, whether it has ended or not."""
    if run.status == "running":
        yield
        return
    with run.reopened():
        yield


@contextmanager
def scoring(X: Any, y: Any = None) -> Iterator[None]:
    """Around a call that scores a model: large data is looked at while the call goes on, and no longer held after it.

    Parameters
    ----------
    X, y : object
        The data, as :func:`log_scored` will get it.
    """
    begun = _begin_scoring(X, y)
    try:
        yield
    finally:
        if begun is not None:
            guarded(end_scoring)(begun)


@guarded
def _begin_scoring(X: Any, y: Any) -> Any:
    return begin_scoring(X, y, _project())


@guarded
def hold(X: Any, y: Any = None) -> HeldData | None:
    """Hold values that an object of the framework is made of, until a run gets them: :meth:`Run.log_held`.

    What is large is looked at at once: :func:`let_go` says that the call which was given it has ended.
    """
    return hold_data(X, y, _project()) if is_recording() else None


@guarded
def let_go(held: HeldData) -> None:
    """Hold large data no longer: the call that was given it has ended."""
    let_go_of(held)


def _project() -> str:
    return project_name(engine.settings.project, engine.settings.folder)


class Scored(NamedTuple):
    """What is known of data that a model was scored on.

    Attributes
    ----------
    split : str
        `train`, `valid`, `test`, or `unsaid` where that cannot be known: as :meth:`Run.declare_metric` takes it.
    why : str
        Why it is `unsaid`, else empty.
    """

    split: str
    why: str

    def named(self, metric: str) -> str:
        """The name of the series: that of the metric itself on test data, else with the split before it."""
        return metric if self.split == "test" else f"{self.split}_{metric}"


def log_scored(
    run: Run,
    X: Any,
    y: Any = None,
    *,
    trained_by: Run | None,
    is_own: bool = True,
    name: str | None = None,
    source: str | None = None,
    role: str = "test",
) -> Scored:
    """Record data that a model is scored on, and say its split. Never raises; costs the hash that a dataset costs.

    Parameters
    ----------
    run : Run
        The run that takes the point; reopened by the caller where it has ended.
    X : array-like, loader or other data
        The very object that the host was given, or the part of it that was logged for the training.
    y : array-like, optional
    trained_by : Run or None
        The run that trained the model; None where it was not trained here.
    is_own : bool
        Whether that run is of this model, and not of one that it is a part of (a step sees transformed data).
    name, source : str, optional
        As for :meth:`Run.log_dataset`.
    role : str
        What data is called that training has not seen.

    Returns
    -------
    Scored
    """
    found: list[Scored] = []
    run._try("log_dataset", _log_scored, run, X, y, trained_by, is_own, name, source, role, found)
    return found[0] if found else Scored("unsaid", "the data could not be read")


def _log_scored(
    run: Run,
    X: Any,
    y: Any,
    trained_by: Run | None,
    is_own: bool,
    name: str | None,
    source: str | None,
    role: str,
    found: list[Scored],
) -> None:
    from histhooks._collect.fingerprint import look_at

    row, seen = look_at(X, y)
    scored = _judge(seen, trained_by, is_own=is_own)
    if scored.split in ("test", "unsaid") and trained_by is not None:
        by_rows = _by_rows(trained_by, seen, X)
        # All rows, each by its hash, say more than samples of two data that are alike.
        if scored.split == "test" or by_rows.split == "train":
            scored = by_rows
    found.append(scored)
    roles = {"unsaid": "evaluated", "test": role}
    role = roles.get(scored.split, scored.split)
    known = None if trained_by is None else trained_by.data
    is_read = run._look_at(role, row, X, y, known, scored_piece(X, y))
    run._log_fingerprint(role, row, name, source, is_read=is_read)
    if scored.why and scored.why not in run._roles:
        run._roles.add(scored.why)
        run._capture("split", "skipped", f"evaluated: on which data is not said: {scored.why}")


def _judge(seen: Print, trained_by: Run | None, *, is_own: bool) -> Scored:
    if trained_by is None:
        if any(is_same(other, seen) for known in list(known_data.values()) for other in known.prints.get("train", ())):
            return Scored("unsaid", "another model was trained here on this data; this one was trained elsewhere")
        return Scored("test", "")
    known = trained_by.data
    if known is None:
        return Scored("unsaid", "the training data is not known")
    split, why = known.split_of(seen)
    if split == "test" and not is_own and known.has_target(seen):
        return Scored("unsaid", "its targets are those of the training data, and its features are others")
    return Scored(split or "unsaid", why)


def _by_rows(trained_by: Run, seen: Print, X: Any) -> Scored:
    """Of data that is none of the training data as it is: whether its rows are."""
    known = trained_by.data
    for _ in range(100):
        if known is None:
            break
        split, why = known.rows.split_of(X, seen.shape[0] if seen.shape else None) if known.rows else ("test", "")
        if split != "test":
            return Scored(split or "unsaid", why)
        known = known.earlier
    return Scored("test", "")


def scored_by_rows(run: Run, rows: Any, n_rows: int | None, *, trained_by: Run | None) -> Scored:
    """The split of data that is gone, or has changed since: by some rows of it. Never raises; records no data.

    Parameters
    ----------
    run : Run
        The run that takes the point.
    rows : array-like or None
        Rows of the data as it was; None where none were kept.
    n_rows : int or None
        How many it had.
    trained_by : Run or None
        The run that trained the model.

    Returns
    -------
    Scored
        `test` where most of these rows are none of the training data, and no validation data has as many rows.
    """
    found: list[Scored] = []
    run._try("log_dataset", _scored_by_rows, run, rows, n_rows, trained_by, found)
    return found[0] if found else Scored("unsaid", "the data could not be read")


def _scored_by_rows(run: Run, rows: Any, n_rows: int | None, trained_by: Run | None, found: list[Scored]) -> None:
    known = trained_by.data if trained_by is not None else None
    why = "" if known is not None else "the training data is not known"
    for _ in range(100):
        if known is None or why:
            break
        judged = known.prints.get("valid", ())
        are_known = None if rows is None or known.rows is None else known.rows.has(rows)
        if are_known is None:
            why = "what the model predicted on was gone or changed when the metric was computed"
        elif are_known or any(one.shape[:1] in ((n_rows,), ()) for one in judged):
            why = "what the model predicted on was gone, and may be a part of what the model was trained or judged on"
        known = known.earlier
    found.append(Scored("unsaid" if why else "test", why))
    note = f"evaluated: on which data is not said: {why}" if why else "evaluated: judged by rows of data that was gone"
    if note not in run._roles:
        run._roles.add(note)
        run._capture("split", "skipped" if why else "truncated", note)


def saw(run: Run, X: Any, y: Any = None, *, role: str = "train") -> None:
    """Keep in mind data of one of many calls that train a model, without a row of the record."""
    run._try("log_dataset", _saw, run, X, y, role)


def _saw(run: Run, X: Any, y: Any, role: str) -> None:
    from histhooks._collect.fingerprint import print_at

    run.know(role, print_at(X, y), X)


def is_training_data(run: Run, X: Any, y: Any = None) -> bool:
    """Whether data is known to be what a run was trained on, be it in another container."""
    from histhooks._collect.fingerprint import print_at

    return run.data is not None and run.data.split_of(print_at(X, y))[0] == "train"


def was_validated_on(run: Run | None, X: Any) -> bool:
    """Whether a run was validated on data while it trained, be it training data or not."""
    from histhooks._collect.fingerprint import print_at

    prints = run.data.prints.get("valid", ()) if run is not None and run.data is not None else ()
    return bool(prints) and any(is_same(kept, print_at(X)) for kept in prints)


@guarded
def predicted(run: Run, X: Any) -> None:
    """Note once that a model predicted on other rows than it was trained on: the program may judge it by hand."""
    if PREDICTIONS in run._roles or run.data is None or not is_recording():
        return
    n_rows, trained = n_samples(X), [one.shape[:1] for one in run.data.prints.get("train", ())]
    if n_rows and trained and (n_rows,) not in trained:
        run._roles.add(PREDICTIONS)
        with adding_to(run):
            run._capture(PREDICTIONS, "ok", f"on {n_rows} other rows, which the program may judge by hand")


def n_samples(X: Any) -> int:
    """How many rows data has, as far as it says so without being computed; else 0."""
    from histhooks._collect.data_values import at_hand

    X = at_hand(X)
    shape = ask(getattr, X, "shape", None)
    if shape is not None:
        return ask(lambda: int(shape[0]))
    return ask(len, X) if hasattr(type(X), "__len__") else 0
