"""Rows about data, splits, transformers and weights as typed values. Times are microseconds UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_WHOLE = 1 << 64


@dataclass(frozen=True, slots=True)
class Digest:
    """A hash of data, or of a part of it.

    Attributes
    ----------
    part : str
        `all`, `features`, `target`, `rows` (in any order) or `order` (the rows as they stand, or as they passed).
    algorithm : str
        `xxh3_128`, `sha256`, `bag64`.
    digest : str or None
        Hexadecimal; None if it could not be made.
    coverage : str
        `all`, `sample`, `index` (which samples, not their values) or `none`. Only `all` is identity.
    n_rows, size_bytes : int or None
        How much was hashed.
    key_id : str or None
        The key of hashes of rows: they compare with those of the same key.
    duration_s : float or None
        Seconds it took, beside the training.
    time : int
    run_id : str
        The run that recorded it: this one, or another one that had the same data.
    """

    part: str
    algorithm: str
    digest: str | None
    coverage: str
    n_rows: int | None
    size_bytes: int | None
    key_id: str | None
    duration_s: float | None
    time: int
    run_id: str

    @property
    def is_whole(self) -> bool:
        """Whether it covers all of the values, so that equal digests mean equal data."""
        return self.coverage == "all" and self.digest is not None

    @property
    def is_of_batches(self) -> bool:
        """Whether it is of the first batches of a loader, hashed as they passed: of their order, a sample."""
        return (self.part, self.coverage, self.key_id) == ("order", "sample", None)


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What was counted of one column.

    Attributes
    ----------
    position : int
        0-based.
    name : str or None
    facts : dict
        As recorded: `count`, `missing`, `infinite`, `distinct`, `zero`, `monotone`, `edges` (deciles), `counts` between
        them, `alone`, `equals_target`, `categories` (hashes with counts).
    run_id : str
        The run that recorded it.
    """

    position: int
    name: str | None
    facts: Mapping[str, Any]
    run_id: str


@dataclass(frozen=True, slots=True)
class Sketch:
    """The smallest hashes of the rows of data, by which data of other runs can be compared.

    Attributes
    ----------
    part : str
        `features`, `rows` or `group:<column>`.
    key_id : str or None
        Hashes compare with those of the same key.
    n_rows : int
    n_distinct : int or None
        Rows with different hashes.
    theta : int
        Hashes below this are kept; 2^64 if all are.
    content_sha256 : str
        The hashes themselves, in `contents`.
    run_id : str
        The run that recorded it.
    """

    part: str
    key_id: str | None
    n_rows: int
    n_distinct: int | None
    theta: int
    content_sha256: str
    run_id: str

    @property
    def is_whole(self) -> bool:
        """Whether all hashes are kept."""
        return self.theta >= _WHOLE

    @property
    def share(self) -> float:
        """The part of all possible hashes that is kept."""
        return min(1.0, self.theta / _WHOLE)


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many rows of data are in other data, and how many of them chance explains.

    Attributes
    ----------
    dataset_id, other_dataset_id : str
        The data whose rows were looked up, and the data that they were looked up in.
    other_run_id : str or None
        The run that used the other data; None for this run.
    part : str
        `features`, `rows`, `index` (the same samples of one Dataset), `group:<column>` or `time:<column>`.
    n_rows, n_equal : int
        Rows, and those of them that are in the other data, are of a group that is in it, or are before its last time.
    n_twins : int or None
        Rows of the other data that have an equal row in it: the baseline of chance.
    is_identifying : bool or None
        Whether a column tells rows apart, so that equal rows are no chance.
    method : str
        `exact`, `sketch` or `index`.
    n_other : int or None
        Rows of the other data.
    roles, other_roles : tuple of str
        What both were used for.
    """

    dataset_id: str
    other_dataset_id: str
    other_run_id: str | None
    part: str
    n_rows: int
    n_equal: int
    n_twins: int | None
    is_identifying: bool | None
    method: str
    n_other: int | None
    roles: tuple[str, ...] = ()
    other_roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """A split of data by the program.

    Attributes
    ----------
    function : str
        The function or the splitter.
    arguments : dict
        Its settings.
    n_in : int or None
        Samples that were split.
    n_out : tuple of int
        Samples of each part; empty if unknown.
    is_shuffled : bool or None
    location : str or None
        `file:line` of the call.
    time : int
    is_before : bool
        Whether it was made outside this run, in its session.
    """

    function: str
    arguments: Mapping[str, Any]
    n_in: int | None
    n_out: tuple[int, ...]
    is_shuffled: bool | None
    location: str | None
    time: int
    is_before: bool


@dataclass(frozen=True, slots=True)
class Transform:
    """A transformer that data of a run came out of.

    Attributes
    ----------
    position : int
        0-based, among the transformers that the data went through.
    class_name : str
    role : str
        Of the data: `train`, `valid`, `test`.
    n_rows, n_fitted : int or None
        Rows of that data that came out of the transformer, and those of them that it had been fitted on.
    by : str
        How they were found: `rows` or `columns`.
    uses_target, requires_fit : bool or None
        Whether it was fitted with a target, and whether it learns from data at all.
    transform_run_id, fitted_dataset_id, state_sha256 : str or None
        The run that fitted it, the data it was fitted on, and its fitted state.
    time : int
    """

    position: int
    class_name: str
    role: str
    n_rows: int | None
    n_fitted: int | None
    by: str
    uses_target: bool | None
    requires_fit: bool | None
    transform_run_id: str | None
    fitted_dataset_id: str | None
    state_sha256: str | None
    time: int


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of a model at one point of its training.

    Attributes
    ----------
    point : str
        `start`, `end`, `best` or `saved`.
    n_tensors, n_values : int
    nonfinite : int or None
        Values that are NaN or infinite.
    l2 : float or None
        Euclidean norm of the finite ones.
    digest, algorithm : str or None
        Of all of them; None if not all could be read.
    tensors : dict
        Name to the first 12 digits of its digest.
    step : int or None
        0-based step after which they were taken.
    time : int
    """

    point: str
    n_tensors: int
    n_values: int
    nonfinite: int | None
    l2: float | None
    digest: str | None
    algorithm: str | None
    step: int | None
    time: int
    tensors: Mapping[str, str] = field(default_factory=dict)
