"""What the rows about a run hold, for type checkers and for readers. Times are microseconds UTC."""

from __future__ import annotations

from typing import Any, TypedDict


class Dataset(TypedDict):
    """Data that a run used: a fingerprint, never its rows.

    Attributes
    ----------
    role : str
        `train`, `valid`, `test`, ...
    name, source : str or None
        What the program calls it, and where it came from.
    id : str
        The same for the same fingerprint.
    kind : str
        Its container: ndarray, DataFrame, ...
    n_rows, n_columns, size_bytes : int or None
    coverage : str or None
        What `content_hash` covers: `all`, `sample` or `none`.
    content_hash : str or None
    schema, profile : object
        Columns with types and shapes; counts and moments.
    """

    role: str
    name: str | None
    source: str | None
    id: str
    kind: str
    n_rows: int | None
    n_columns: int | None
    size_bytes: int | None
    coverage: str | None
    content_hash: str | None
    schema: Any
    profile: Any


class Artifact(TypedDict):
    """A file that a run read or wrote.

    Attributes
    ----------
    path : str
        Where it was.
    role : str
        `model`, `checkpoint`, `file`, ...
    direction : str
        `in` or `out`.
    step : int or None
        0-based step at which it was written.
    time : int
    sha256 : str
    size_bytes : int
    format : str or None
    """

    path: str
    role: str
    direction: str
    step: int | None
    time: int
    sha256: str
    size_bytes: int
    format: str | None


class Group(TypedDict):
    """The settings of one param group of an optimizer, from a step on.

    Attributes
    ----------
    position : int
        0-based, among the groups of the optimizer.
    n_parameters : int or None
    lr : float or None
    settings : dict
    step : int or None
        First step for which these settings held.
    """

    position: int
    n_parameters: int | None
    lr: float | None
    settings: dict[str, Any]
    step: int | None


class Optimizer(TypedDict):
    """An optimizer of a run.

    Attributes
    ----------
    id : str
    position : int
        0-based, among the optimizers of the run.
    class_name : str
    settings : dict
    scheduler : object
        The schedule of the learning rate; None if none is known.
    groups : list of Group
        In order of time: a change of settings is one more.
    """

    id: str
    position: int
    class_name: str
    settings: dict[str, Any]
    scheduler: Any
    groups: list[Group]


class Note(TypedDict):
    """A note on a run; `body` and `author` are None if they were erased."""

    body: str | None
    author: str | None
    time: int


class Event(TypedDict):
    """Something that happened.

    Attributes
    ----------
    time : int
    step : int or None
    kind : str
        What, in one word.
    severity : str
        `debug`, `info`, `warning` or `error`.
    title : str
    body : str or None
    count : int
        How many times.
    """

    time: int
    step: int | None
    kind: str
    severity: str
    title: str
    body: str | None
    count: int


class Link(TypedDict):
    """How a run relates to another one.

    Attributes
    ----------
    kind : str
        `resumes`, `continues`, `fine-tunes`, `reproduces` or `uses`.
    run_id, other_run_id : str
        The later run and the earlier one; that one may lie in another store.
    sha256 : str or None
        The file that shows it.
    time : int
    """

    kind: str
    run_id: str
    other_run_id: str | None
    sha256: str | None
    time: int


class Architecture(TypedDict):
    """The shape of a model.

    Attributes
    ----------
    id : str
        The same for the same shape.
    framework, class_name : str
    n_parameters, n_trainable : int or None
    layers : object
        Layers with class, shape and parameters.
    """

    id: str
    framework: str
    class_name: str
    n_parameters: int | None
    n_trainable: int | None
    layers: Any


# How those that belong to a run are asked for, by what they are called.
RELATED = {
    "datasets": "SELECT role, name, source, d.* FROM run_datasets JOIN datasets AS d ON d.id = dataset_id "
    "WHERE run_id = ? ORDER BY ordinal",
    "artifacts": "SELECT path, role, direction, step, time, a.* FROM run_artifacts JOIN artifacts AS a USING (sha256) "
    "WHERE run_id = ? ORDER BY ordinal",
    "tags": "SELECT key, value, author, time FROM tags WHERE run_id = ? ORDER BY time",
    "notes": "SELECT body, author, time FROM notes WHERE run_id = ? ORDER BY time",
    "events": "SELECT time, step, kind, severity, title, body, count FROM events WHERE run_id = ? ORDER BY time",
    "links": "SELECT kind, run_id, other_run_id, sha256, time FROM run_links WHERE run_id = ? ORDER BY time",
    "optimizers": "SELECT id, position, class_name, settings, scheduler FROM optimizers "
    "WHERE run_id = ? ORDER BY ordinal",
    "rng_states": "SELECT point, library, device, algorithm, digest, time FROM rng_states WHERE run_id = ? "
    "ORDER BY ordinal",
}
