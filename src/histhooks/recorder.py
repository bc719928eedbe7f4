"""Open and record runs: the calls for programs, and those for integrations.

``start_run``, ``current_run``, ``log`` and ``paused`` are for programs. The rest is for integrations, which open a run
when the framework's outer fit begins, make it current during the fit, and end it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from histhooks._base.call_site import call_site
from histhooks._base.other_names import explained
from histhooks._base.secrets import mask_text
from histhooks._base.values import key_text
from histhooks._collect import sources
from histhooks._host.guard import gathered
from histhooks._host.ipython import is_notebook, notebook_name
from histhooks._host.store_location import is_strict, project_name
from histhooks._record.engine import engine
from histhooks._record.here import (
    current_run,
    is_recording,
    log,
    log_artifact,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    set_tag,
    set_tags,
)
from histhooks._record.run import Run, current, in_task, is_paused
from histhooks._store.entries import capture_entry, state_entry

__all__ = [
    "Run",
    "call_site",
    "current_run",
    "ensure_session",
    "flush",
    "is_recording",
    "is_task",
    "log",
    "log_artifact",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "main_metric",
    "note_capture",
    "note_rank",
    "open_run",
    "paused",
    "scope",
    "set_tag",
    "set_tags",
    "splits",
    "start_run",
    "task",
]

# Packages whose files start a worker process, and values of argv[0] for programs without a file.
_WORKERS = ("joblib", "loky", "multiprocess", "multiprocessing")
_SHELLS = ("", "-c", "-m", "ipykernel_launcher.py", "ipython", "ipython3")

_inert = Run(None, {"name": "off", "kind": "block"})


@explained
def start_run(name: str | None = None, *, params: Any = None, tags: Any = None) -> Run:
    """Open a run, for use with ``with``: for a loop, or as the parent of the runs inside.

    Parameters
    ----------
    name : str, optional
        A name for people; it need not be unique.
    params : mapping, argparse.Namespace or dataclass, optional
        The values chosen before training, such as ``vars(args)`` of argparse. Nested ones flatten with dots.
    tags : mapping or iterable of str, optional
        Words to find the run by.

    Returns
    -------
    Run
        If histhooks is off or paused, a run that does nothing and whose ``id`` is None.

    Examples
    --------
    >>> import argparse, histhooks
    >>> parser = argparse.ArgumentParser()
    >>> _ = parser.add_argument("--lr", type=float, default=0.1)
    >>> args = parser.parse_args([])
    >>> with histhooks.start_run("my loop", params=vars(args), tags={"team": "red"}) as run:
    ...     run.log({"loss": 0.3}, step=0)
    """
    name = None if name is None else mask_text(key_text(name))
    run = open_run(kind="block", name=name, params=params, call_site=call_site(), implicit=False)
    if tags is not None:
        run.tag(tags)
    return run


@contextmanager
def paused() -> Iterator[None]:
    """Do not record runs that begin inside the block.

    Examples
    --------
    >>> with histhooks.paused():
    ...     with histhooks.start_run() as run:
    ...         run.id is None
    True
    """
    token = is_paused.set(True)
    try:
        yield
    finally:
        is_paused.reset(token)


def ensure_session() -> bool:
    """For integrations, when a fit begins: start the session of a rank that has no runs.

    Returns
    -------
    bool
        Whether the fit is recorded; see :func:`is_recording`.
    """
    try:
        return engine.ensure_session()
    except (RuntimeError, OSError, ValueError) as error:  # as in open_run()
        engine.session.failed("ensure_session", error)
        return False


def open_run(
    *,
    kind: str,
    framework: str | None = None,
    framework_version: str | None = None,
    model_class: str | None = None,
    call_site: str | None = None,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    parent: Run | None = None,
    implicit: bool = True,
    **facts: Any,
) -> Run:
    """Open a run. Never raises.

    Parameters
    ----------
    kind : str
        A kind of run, such as `fit` (docs/develop/architecture.md lists them).
    framework, framework_version, model_class, call_site : str, optional
    name : str, optional
        By default the program's stem and the model's class.
    params : mapping, optional
    parent : Run, optional
        By default the current run.
    implicit : bool
        Whether a hook opened it, instead of the program.
    **facts
        Further columns of `runs`.

    Returns
    -------
    Run
        An inert run if nothing is to be recorded.
    """
    try:
        if not engine.ensure_session():
            return _inert
        engine.start_soon()
        settings = engine.settings
        project = project_name(settings.project, settings.folder)
        name = name or _default_name(model_class)
    except Exception as error:  # no thread is left, no folder is to be found
        engine.session.failed("open_run", error)
        if is_strict():
            raise
        return _inert
    above = parent or current.get()
    row = {
        "parent_id": above.id if above is not None else None,
        "project": project,
        "group_name": settings.group or _group(),
        "name": name,
        "kind": kind,
        "framework": framework,
        "framework_version": framework_version,
        "model_class": model_class,
        "call_site": call_site,
        "main_metric": settings.metric,
        **facts,
    }
    run = Run(engine.session, row, is_implicit=implicit)
    try:
        sources.saw(sys._getframe(1))
        _begin(run, params, settings.tags)
    except BaseException as error:  # Ctrl-C, or a failure that HISTHOOKS_STRICT=1 raises: no caller has the run yet
        if hasattr(run, "_opening"):
            run.end(error=error)
        raise
    return run


def _begin(run: Run, params: Mapping[str, Any] | None, tags: Mapping[str, Any]) -> None:
    """Record the random states, params and tags of a run that begins."""
    if run.kind != "candidate":
        for begin in engine.at_run_start:
            gathered(run, "random states", begin, run)
    if params is not None:
        run.log_params(params)
    if tags:
        run.tag(tags)


def is_task() -> bool:
    """Whether a framework called this from inside one of its own fits, so that it is not a separate run."""
    return in_task.get()


@contextmanager
def task() -> Iterator[None]:
    """Mark a block as called by a framework from inside its own fit."""
    before = in_task.get()
    try:  # Ctrl-C may come right after any call, so nothing is set outside the try
        in_task.set(True)
        yield
    finally:
        in_task.set(before)


def main_metric() -> str | None:
    """The metric that ``autolog(metric=...)`` ranks runs by."""
    return engine.settings.metric


def splits() -> Mapping[str, str]:
    """The split of each evaluation set that ``autolog(splits=...)`` named."""
    return engine.settings.splits


@contextmanager
def scope(run: Run | None) -> Iterator[None]:
    """Make a run the current one for a block, without ending it."""
    before = current.get()
    try:  # Ctrl-C may come right after any call, so nothing is set outside the try
        current.set(run)
        yield
    finally:
        try:
            if current.get() is run:
                current.set(before)
        except BaseException:
            current.set(before)
            raise


def flush(timeout_s: float = 10.0) -> bool:
    """Wait until everything recorded so far is in the store; False if that took longer than ``timeout_s`` seconds.

    Examples
    --------
    >>> histhooks.flush()
    True
    """
    return engine.flush(timeout_s)


def note_rank(rank: int, world_size: int) -> None:
    """Record the rank of this process and the world size, if they are known only after training has begun."""
    engine.session.buffer.append(state_entry("session", engine.session.id, {"rank": rank, "world_size": world_size}))


def note_capture(
    collector: str, status: str, note: str | None = None, duration_s: float | None = None, run: Run | None = None
) -> None:
    """Record the outcome of a collector."""
    run_id = run.id if run is not None else None
    session = engine.session
    session.buffer.append(capture_entry(session.id, run_id, collector, status, note, duration_s))


def _default_name(model_class: str | None) -> str:
    stem = _stem()
    return f"{stem}·{model_class.rpartition('.')[2]}" if model_class else stem


def _stem() -> str:
    """The stem of the program or notebook. A loky worker runs a file of loky, but has the program's arguments."""
    main = sys.modules.get("__main__")
    path, package = getattr(main, "__file__", None), getattr(main, "__package__", None)
    if path is None and is_notebook():
        return notebook_name() or "notebook"
    argument = sys.argv[0] if sys.argv else None
    if all(type(word) in (str, type(None)) for word in (path, package, argument)):
        return _stem_of(path, package or "", argument)
    return _stem_of.__wrapped__(path, package or "", argument)


@lru_cache(maxsize=4)  # asked for at the start of each run
def _stem_of(path: str | None, package: str, argument: str | None) -> str:
    if path and os.path.basename(path) == "__main__.py":
        # `python -m package`, a folder, or a zip file (zipapp): each is named after the container of that file.
        path = os.path.dirname(os.path.abspath(path))
    if path and package.partition(".")[0] in _WORKERS:
        path = argument
        if os.path.basename(path or "-c") in _SHELLS:
            path = None
    return os.path.splitext(os.path.basename(path))[0] if path else "session"


def _group() -> str | None:
    return os.environ.get("HISTHOOKS_GROUP") or os.environ.get("SLURM_ARRAY_JOB_ID")
