"""What the rows about a run hold, for type checkers and for readers. Times are microseconds UTC."""

from __future__ import annotations

from typing import Any, TypedDict

from histhooks._base.vocabulary import ENTROPY


class FileRead(TypedDict):
    """A file that the program read, in the run or before it in its session.

    Attributes
    ----------
    path : str
        Where it was: absolute, or an address.
    sha256 : str or None
        None if it was not hashed: a folder, an address, a file that changed or was too large.
    size_bytes, mtime : int or None
        As they were when it was opened; the time in microseconds UTC.
    function : str
        The reader, such as `pandas.read_csv`, or `open`.
    location : str or None
        `file:line` of the program.
    time : int
    is_before : int
        1 if the session read it before the run began, else 0.
    """

    path: str
    sha256: str | None
    size_bytes: int | None
    mtime: int | None
    function: str
    location: str | None
    time: int
    is_before: int


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


# Whether a row of `seeds` is a seed that was set, not the entropy of a generator without one.
IS_SET = f"coalesce(value, '') NOT LIKE '{ENTROPY}%'"

# Whether a row of `tags` takes the tag off: it never had a value, while one that was erased has no salt any more.
TAKEN_OFF = (
    "(value IS NULL AND EXISTS (SELECT 1 FROM salts AS s WHERE s.subject_id = tags.run_id "
    "AND s.field = 'tags/' || tags.session_id || '/' || tags.ordinal || '/value'))"
)

# How those that belong to a run are asked for, by what they are called.
RELATED = {
    "datasets": "SELECT role, name, source, d.* FROM run_datasets JOIN datasets AS d ON d.id = dataset_id "
    "WHERE run_id = ? ORDER BY ordinal",
    "tags": f"SELECT key, value, author, time, {TAKEN_OFF} AS is_removed FROM tags WHERE run_id = ? ORDER BY time",
    "notes": "SELECT body, author, time FROM notes WHERE run_id = ? ORDER BY time",
    "events": "SELECT time, step, kind, severity, title, body, count FROM events WHERE run_id = ? ORDER BY time",
    "links": "SELECT kind, run_id, other_run_id, sha256, time FROM run_links WHERE run_id = ? ORDER BY time",
    "optimizers": "SELECT id, position, class_name, settings, scheduler FROM optimizers "
    "WHERE run_id = ? ORDER BY ordinal",
    "rng_states": "SELECT point, library, device, algorithm, digest, time FROM rng_states WHERE run_id = ? "
    "ORDER BY ordinal",
}
