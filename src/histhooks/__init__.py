"""histhooks: the flight recorder for model training.

Put ``import histhooks; histhooks.autolog()`` at the top of a program. Every training run of a supported framework is
then recorded in one SQLite file.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from histhooks._base.other_names import MODULE, explained, unknown
from histhooks._base.version import __version__
from histhooks._host.named_columns import name_columns
from histhooks._host.store_location import FILE_ONLY, fix_named_store, is_target, working_folder
from histhooks._record import seeds as seeds  # registers what each run records of the generators
from histhooks.errors import HisthooksError, NotApplicable, QueryError, StoreError
from histhooks.recorder import (
    Run,
    current_run,
    flush,
    log,
    log_artifact,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    paused,
    set_tag,
    set_tags,
    start_run,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from histhooks._watch.asking import observe, watch
    from histhooks.history import History

fix_named_store()

__all__ = [
    "HisthooksError",
    "History",
    "NotApplicable",
    "QueryError",
    "Run",
    "StoreError",
    "__version__",
    "autolog",
    "current_run",
    "disable",
    "flush",
    "log",
    "log_artifact",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "observe",
    "paused",
    "set_tag",
    "set_tags",
    "start_run",
    "watch",
]

# Public rooms that a training process does not load unless it uses them.
_ROOMS = (
    *("checks", "curate", "evidence", "export", "history", "integrations", "models", "monitor", "plot", "report"),
    *("reproduce", "team", "testing", "ui", "verify"),
)


@explained
def autolog(
    *frameworks: str,
    store: str | os.PathLike[str] | None = None,
    project: str | None = None,
    group: str | None = None,
    tags: Mapping[str, Any] | None = None,
    metric: str | None = None,
    splits: Mapping[str, str] | None = None,
    groups: str | Iterable[str] | None = None,
    time: str | Iterable[str] | None = None,
    keep_models: bool | None = None,
) -> None:
    """Record every training run from here on.

    Parameters
    ----------
    *frameworks : str
        Any of `sklearn` (or `scikit-learn`), `xgboost`, `keras`, `lightning`, `torch`. By default all of them: each
        is hooked when the program imports it, and skipped if it cannot be recorded.
    store : str or path, optional
        The file to record to; the README describes the default.
    project : str, optional
        The project of the runs; by default the name of the repository (of its remote,
        if it has one), else of the folder.
    group : str, optional
        A name for runs that were started together, such as those of a sweep.
    tags : mapping, optional
        Tags of every run.
    metric : str, optional
        The metric that ranks runs.
    splits : mapping of str to str, optional
        The split of each named evaluation set: ``{"holdout": "test"}``.
    groups : str or iterable of str, optional
        Columns of frames whose equal values mean rows that belong together, as those of one patient or user. How many
        rows of validation and test data are of a group of the training data is counted, by keyed hashes. No column is
        guessed.
    time : str or iterable of str, optional
        Columns of frames that say when rows were. How many rows of validation and test data are before the last one of
        the training data is counted; the first and the last time of each data set are recorded.
    keep_models : bool, optional
        Whether models and checkpoints that runs write are copied into ``<store>.files/``, so that they can be had again
        when their files are overwritten or gone. By default only their hashes are recorded.

    Raises
    ------
    ValueError
        If a framework is unknown.
    NotApplicable
        If a framework that was requested by name cannot be recorded here.

    Examples
    --------
    >>> histhooks.autolog()  # before or after the framework is imported
    >>> histhooks.autolog(project="churn", tags={"team": "red"}, splits={"holdout": "test"})
    """
    from histhooks import integrations
    from histhooks._record import children, program_end
    from histhooks._record.engine import engine

    fix_named_store()
    settings = engine.settings
    if is_target(store):
        raise StoreError(FILE_ONLY)
    if store is not None:
        settings.store = os.path.normpath(os.path.join(working_folder(), os.path.expanduser(os.fspath(store))))
        engine.tell_of_store(settings.store)
    settings.folder = working_folder()
    settings.project = project or settings.project
    settings.group = group or settings.group
    settings.metric = metric or settings.metric
    settings.tags = {**settings.tags, **(tags or {})}
    settings.splits = {**settings.splits, **(splits or {})}
    settings.keep_models = settings.keep_models if keep_models is None else keep_models
    name_columns(groups, time)
    integrations.enable(*frameworks)
    if os.environ.get("HISTHOOKS_WATCH"):
        from histhooks._watch import watching

        watching.from_environment()
    children.watch(engine.store_or_default, stays=True)
    program_end.watch()


def disable() -> None:
    """Restore the frameworks' own functions. Runs that are being recorded continue to their end.

    Examples
    --------
    >>> histhooks.disable()
    """
    from histhooks import integrations
    from histhooks._record import children, program_end
    from histhooks._record.engine import engine

    integrations.disable_all()
    if watching := sys.modules.get("histhooks._watch.watching"):
        watching.stop()
    program_end.unwatch()
    if engine.writer is None or engine.session.is_over:
        children.unwatch(is_all=True)


def __getattr__(name: str) -> Any:
    if name in ("observe", "watch"):  # loaded by a program that serves
        from histhooks._watch import asking

        return getattr(asking, name)
    # A training process does not load the reading half unless it uses it.
    if name == "History":
        from histhooks.history import History

        return History
    if name in _ROOMS:
        import importlib

        return importlib.import_module(f"histhooks.{name}")
    raise AttributeError(unknown("module 'histhooks'", name, MODULE))
