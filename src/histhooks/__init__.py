"""histhooks: the flight recorder for model training.

Put ``import histhooks; histhooks.autolog()`` at the top of a program. Every training run of a supported framework is
then recorded in one SQLite file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from histhooks._base.version import __version__
from histhooks._host.store_location import fix_named_store, working_folder
from histhooks._record import seeds as seeds  # registers what each run records of the generators
from histhooks.errors import HisthooksError, NotApplicable, QueryError, StoreError
from histhooks.recorder import Run, current_run, flush, log, paused, start_run

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    "paused",
    "start_run",
]


def autolog(
    *frameworks: str,
    store: str | os.PathLike[str] | None = None,
    project: str | None = None,
    group: str | None = None,
    tags: Mapping[str, Any] | None = None,
    metric: str | None = None,
    splits: Mapping[str, str] | None = None,
) -> None:
    """Record every training run from here on.

    Parameters
    ----------
    *frameworks : str
        Any of `sklearn` (or `scikit-learn`), `xgboost`, `keras`, `lightning`, `torch`. By default all of them: each
        is hooked when the program imports it, and skipped if it cannot be recorded.
    store : str or path, optional
        The file to record to; the README describes the default.
    project, group : str, optional
        The project of the runs, and the group of runs that were started together.
    tags : mapping, optional
        Tags of every run.
    metric : str, optional
        The metric that ranks runs.
    splits : mapping of str to str, optional
        The split of each named evaluation set: ``{"holdout": "test"}``.

    Raises
    ------
    ValueError
        If a framework is unknown.
    NotApplicable
        If a framework that was requested by name cannot be recorded here.
    """
    from histhooks import integrations
    from histhooks._record import children
    from histhooks._record.engine import engine

    fix_named_store()
    settings = engine.settings
    if store is not None:
        settings.store = os.path.normpath(os.path.join(working_folder(), os.path.expanduser(os.fspath(store))))
        engine.tell_of_store(settings.store)
    settings.folder = working_folder()
    settings.project = project or settings.project
    settings.group = group or settings.group
    settings.metric = metric or settings.metric
    settings.tags = {**settings.tags, **(tags or {})}
    settings.splits = {**settings.splits, **(splits or {})}
    integrations.enable(*frameworks)
    children.watch(engine.store_or_default, stays=True)


def disable() -> None:
    """Restore the frameworks' own functions. Runs that are being recorded continue to their end."""
    from histhooks import integrations
    from histhooks._record import children
    from histhooks._record.engine import engine

    integrations.disable_all()
    if engine.writer is None or engine.session.is_over:
        children.unwatch(is_all=True)


def __getattr__(name: str) -> Any:
    # A training process does not load the reading half unless it uses it.
    if name == "History":
        from histhooks.history import History

        return History
    if name == "integrations":
        import importlib

        return importlib.import_module("histhooks.integrations")
    raise AttributeError(f"module 'histhooks' has no attribute {name!r}")
