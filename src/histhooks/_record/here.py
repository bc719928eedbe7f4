"""The run that the calling code belongs to, and calls that say something about it without naming it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from histhooks._host.messages import warn_once
from histhooks._record.engine import engine
from histhooks._record.run import Run, current


def current_run() -> Run | None:
    """The run that the calling code belongs to.

    Returns
    -------
    Run or None
        None outside every run. Also None in a forked child, for a run of its parent.

    Examples
    --------
    >>> with histhooks.start_run("outer"):
    ...     histhooks.current_run().name
    'outer'
    >>> histhooks.current_run() is None
    True
    """
    run = current.get()
    if run is not None:
        return run if run.owner is None else None
    # A plain loop has no enclosing block that could make its run current.
    live = reversed(list(engine.session.live.values()))
    return next((run for run in live if run.kind == "loop" and isinstance(run, Run)), None)


def is_recording() -> bool:
    """Whether a fit that begins now is recorded. Starts nothing."""
    try:
        return engine.is_recording()
    except (RuntimeError, OSError, ValueError) as error:  # of torch.distributed, or of the environment
        engine.session.failed("is_recording", error)
        return False


def log(metrics: Mapping[str, Any], *, step: int | None = None, epoch: int | None = None) -> None:
    """Record one point of each metric in the current run.

    Parameters
    ----------
    metrics : mapping of str to number
    step : int, optional
        0-based step.
    epoch : int, optional
        0-based epoch.

    Examples
    --------
    >>> with histhooks.start_run():
    ...     for epoch in range(3):
    ...         histhooks.log({"loss": 1 / (epoch + 1)}, epoch=epoch)
    """
    run = _run_for("log")
    if run is not None:
        run.log(metrics, step=step, epoch=epoch)


def log_metric(key: str, value: Any, step: int | None = None, *, epoch: int | None = None) -> None:
    """Record one point of one metric in the current run.

    Parameters
    ----------
    key : str
    value : number
    step, epoch : int, optional
        0-based.

    Examples
    --------
    >>> with histhooks.start_run():
    ...     histhooks.log_metric("loss", 0.3, step=10)
    """
    run = _run_for("log_metric")
    if run is not None:
        run.log_metric(key, value, step, epoch=epoch)


def log_metrics(metrics: Mapping[str, Any], step: int | None = None, *, epoch: int | None = None) -> None:
    """Record one point of each metric in the current run; the same as :func:`log`.

    Parameters
    ----------
    metrics : mapping of str to number
    step, epoch : int, optional
        0-based.

    Examples
    --------
    >>> with histhooks.start_run():
    ...     histhooks.log_metrics({"loss": 0.3, "val_loss": 0.4}, step=10)
    """
    run = _run_for("log_metrics")
    if run is not None:
        run.log_metrics(metrics, step, epoch=epoch)


def log_param(key: str, value: Any) -> None:
    """Record one param of the current run.

    Parameters
    ----------
    key : str
    value : object

    Examples
    --------
    >>> with histhooks.start_run():
    ...     histhooks.log_param("lr", 0.1)
    """
    run = _run_for("log_param")
    if run is not None:
        run.log_param(key, value)


def log_params(params: Any) -> None:
    """Record params of the current run.

    Parameters
    ----------
    params : mapping of str to object, or argparse.Namespace, or dataclass
        Nested ones flatten with dots.

    Examples
    --------
    >>> with histhooks.start_run():
    ...     histhooks.log_params({"lr": 0.1, "optimizer": {"name": "sgd"}})
    """
    run = _run_for("log_params")
    if run is not None:
        run.log_params(params)


def log_artifact(
    path: str | os.PathLike[str],
    *,
    role: str = "file",
    direction: str = "out",
    step: int | None = None,
    keep: bool | None = None,
) -> None:
    """Record a file or a folder of the current run by its content hash, and keep a copy if that is asked for.

    Parameters
    ----------
    path : str or path
    role : str
        `model`, `checkpoint`, `file`, ...
    direction : {'out', 'in'}
        Written or read by the run.
    step : int, optional
        0-based step.
    keep : bool, optional
        Whether a copy is kept beside the store; by default what `autolog(keep_models=...)` says.

    Examples
    --------
    >>> with histhooks.start_run():
    ...     histhooks.log_artifact("model.pt", role="model")
    """
    run = _run_for("log_artifact")
    if run is not None:
        run.log_artifact(path, role=role, direction=direction, step=step, keep=keep)


def set_tag(key: str, value: Any = "") -> None:
    """Set one tag of the current run.

    Parameters
    ----------
    key : str
    value : object

    Examples
    --------
    >>> with histhooks.start_run():
    ...     histhooks.set_tag("team", "red")
    """
    run = _run_for("set_tag")
    if run is not None:
        run.set_tag(key, value)


def set_tags(tags: Mapping[str, Any]) -> None:
    """Set several tags of the current run.

    Parameters
    ----------
    tags : mapping of str to object

    Examples
    --------
    >>> with histhooks.start_run():
    ...     histhooks.set_tags({"team": "red", "attempt": 2})
    """
    run = _run_for("set_tags")
    if run is not None:
        run.set_tags(tags)


def _run_for(call: str) -> Run | None:
    """The run that a call is about; if there is none, one warning says so."""
    run = current.get() or current_run()
    if run is None and is_recording():
        text = f"{call}() outside of every run records nothing; use `with histhooks.start_run():`"
        warn_once(f"{call}/no-run", text)
    return run
