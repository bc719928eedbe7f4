"""Data by content: digests of its values, hashes of its rows, facts of its columns.

:func:`hold` keeps data on the training thread in some microseconds, :func:`look` hashes and counts it later on another
thread. Nothing of the values comes out: only hashes, counts, and the deciles of columns of numbers.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable
from typing import Any

from histhooks._collect.content_blocks import Table, Unreadable, are_in, np
from histhooks._collect.content_columns import facts_of
from histhooks._collect.content_digest import joined, xxh3
from histhooks._collect.content_identity import is_identifying
from histhooks._collect.content_kept import Index, Kept, index_of, keep, set_of
from histhooks._collect.content_named import Marks, marks_of, with_marks
from histhooks._collect.content_rows import Hasher, RowHashes, blocks_of, final, overlap, sketch
from histhooks._collect.content_steps import row, take
from histhooks._collect.content_tables import numbers_of, table_of

__all__ = [
    "Held",
    "Look",
    "RowHashes",
    "hold",
    "index_overlap",
    "look",
    "ordered_row_hashes",
    "overlap",
    "row_hashes",
    "sketch",
]

# Of rows that are compared within one process only, where there is no key of the project.
_KEY_OF_PROCESS = os.urandom(16)
# What a container of another library, or one that somebody derived from it, may raise.
FAILURES = (
    *(AttributeError, TypeError, ValueError, LookupError, BufferError, ArithmeticError, AssertionError),
    *(RuntimeError, MemoryError, OSError, Unreadable),
)


class Held:
    """What is kept of data until it is looked at.

    Attributes
    ----------
    n_rows : int or None
    kind : str
        Class of the features.
    coverage : {'all', 'index', 'none'}
        Whether its values can be read whole; `index` if only names of its rows can.
    why : str
        Why values cannot be read; empty if they can.
    is_copy : bool
        Whether nothing of the program's data is kept alive.
    """

    __slots__ = (
        *("_X", "_base", "_groups", "_index", "_indices", "_why_groups", "_why_y", "_y"),
        *("coverage", "is_copy", "kind", "n_rows", "why"),
    )

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._X: Kept | None = None
        self._y: Kept | None = None
        self._groups: Kept | None = None
        self._index: Index | None = None
        self._base: weakref.ref[Any] | None = None
        self._indices: list[Any] = []
        self.n_rows: int | None = None
        self.coverage, self.why, self._why_y, self._why_groups = "none", "", "", ""
        self.is_copy = True

    def _keep(self, X: Any, y: Any, groups: Any, copy_up_to: int) -> None:
        self._index = index_of(X)
        found = set_of(X, copy_up_to)
        if found is None and self._index is None:
            self._X = keep(X, copy_up_to)
        elif found is not None:
            self._base, self._indices = weakref.ref(found.base), found.indices
            self._X, self._y = found.X, found.y
        if y is not None:
            try:
                self._y = keep(y, copy_up_to)
            except FAILURES as error:
                self._y, self._why_y = None, f"the target: {_why(error)}"
        if self._X is not None:
            self.coverage, self.n_rows = "all", self._X.n_rows
            if groups is not None:
                try:
                    self._groups = keep(groups, copy_up_to)
                except FAILURES as error:
                    self._why_groups = f"groups: {_why(error)}"
            self.is_copy = all(kept.is_copy for kept in (self._X, self._y, self._groups) if kept is not None)
        elif self._index is not None:
            self.coverage, self.n_rows = "index", self._index.n_rows
        else:
            self.n_rows = len(found.indices[0]) if found is not None and found.indices else None
            raise Unreadable(found.why if found is not None else f"values of class {self.kind} are not read")

    @property
    def is_part(self) -> bool:
        """Whether it is known which rows of a Dataset it has."""
        return self._base is not None

    def settle(self) -> None:
        """Forget the data, and keep the numbers of its rows if it is a part of a Dataset."""
        base = None if self._base is None else self._base()
        if self._indices:
            self._indices = [] if base is None else [_rows_of(self, base).copy()]
        self._X = self._y = self._groups = self._index = None

    def tables(self) -> tuple[Table | None, Table | None]:
        """Features and target as tables, made on the thread that asks."""
        X, y = (None if kept is None else table_of(kept) for kept in (self._X, self._y))
        return X, y


def hold(X: Any, y: Any = None, *, groups: Any = None, copy_up_to: int = 1 << 20) -> Held:
    """Keep data until it is looked at: a copy if it is small, else a reference.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), or Dataset
    y : array-like of shape (n_samples,), optional
        A TensorDataset has its own: its last tensor, if it has several.
    groups : array-like of shape (n_samples,), optional
        Which rows belong together.
    copy_up_to : int, bytes
    """
    held = Held(type(X).__name__)
    try:
        held._keep(X, y, groups, copy_up_to)
    except FAILURES as error:
        held._X = held._y = held._groups = None
        held.coverage, held.why = "none", _why(error)
    return held


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, Unreadable) else f"reading it raised {type(error).__name__}"


def index_overlap(a: Held, b: Held) -> dict[str, Any] | None:
    """How many rows two parts of one Dataset share, by their numbers: columns of `dataset_overlaps`.

    Returns
    -------
    dict or None
        None if they are not of one Dataset, or both are all of it.
    """
    base = None if a._base is None or b._base is None else a._base()
    if base is None or base is not b._base():  # type: ignore[misc]
        return None
    if not a._indices and not b._indices:
        return None
    try:
        one, other = _rows_of(a, base), _rows_of(b, base)
        numpy = np()
        counts = numpy.unique(other, return_counts=True)[1]
        return {
            "n_rows": len(one),
            "n_equal": int(are_in(one, numpy.sort(other)).sum()),
            "n_twins": int(counts[counts > 1].sum()),
            "is_identifying": 1,
            "method": "index",
        }
    except FAILURES:
        return None


def _rows_of(held: Held, base: Any) -> Any:
    """The numbers of the rows of a Dataset that are in one part of it."""
    numpy = np()
    if not held._indices:
        return numpy.arange(len(base))
    rows = numbers_of(held._indices[-1])
    for indices in reversed(held._indices[:-1]):
        rows = rows[numbers_of(indices)]
    return numpy.where(rows < 0, rows + len(base), rows) if (rows < 0).any() else rows


class Look:
    """What was seen of data.

    Attributes
    ----------
    digests : list of dict
        Columns of `dataset_digests`: part, algorithm, digest, coverage, n_rows, size_bytes, duration_s. Of coverage
        `sample`, the digest covers the first ``n_rows`` rows.
    columns : list of dict
        Position, name and facts of each column.
    rows : RowHashes or None
        Of the features; None if not all were hashed.
    why : str
        What could not be read, and why.
    columns_why : str
        Why some columns have no facts.
    named : list of Marks
        What the columns that the program named say of the rows.
    named_why : str
        Which of them could not be read, and why.
    is_marked : bool
        Whether all of that is done.
    share : float
        The part of the rows that the digests cover.
    sample : list of ndarray
        Single values of some rows, hashed, by which columns are known elsewhere; made where that is asked for.
    """

    __slots__ = (
        *("columns", "columns_why", "digests", "is_marked", "named", "named_why"),
        *("rows", "sample", "share", "why"),
    )

    def __init__(self) -> None:
        self.digests: list[dict[str, Any]] = []
        self.columns: list[dict[str, Any]] = []
        self.rows: RowHashes | None = None
        self.named: list[Marks] = []
        self.is_marked = False
        self.why = self.columns_why = self.named_why = ""
        self.share = 0.0
        self.sample: list[Any] = []


def _always() -> bool:
    return True


def look(
    held: Held,
    *,
    key: bytes | None,
    may_go_on: Callable[[], bool] = _always,
    with_columns: bool = True,
    at: list[dict[str, Any]] | None = None,
    into: Look | None = None,
) -> Look:
    """Hash and count data that is kept.

    Parameters
    ----------
    held : Held
    key : bytes or None
        Of the project; without one, hashes of rows and categories are of this process only.
    may_go_on : callable
        Asked between blocks of rows; what is not done then has coverage `sample`.
    with_columns : bool
    at : list of dict, optional
        The columns of the training data, at whose edges values are counted.
    into : Look, optional
        Takes what is seen, the digests first.
    """
    seen = Look() if into is None else into
    if held.coverage == "none":
        seen.why = held.why
        return seen
    try:
        with np().errstate(all="ignore"):
            if held._index is not None and held._X is None:
                _add_index(seen, held, held._index)
                return seen
            X, y = _features_of(held), _target(held, seen)
            try:
                _look_at(seen, X, y, key or _KEY_OF_PROCESS, may_go_on)
            except FAILURES as error:
                if y is None:
                    raise
                y, seen.why = None, f"the target: {_why(error)}"  # or the features, which the next line finds out
                _look_at(seen, X, y, key or _KEY_OF_PROCESS, may_go_on)
            seen.named, why = marks_of(X, held._groups, key or _KEY_OF_PROCESS, may_go_on)
            seen.named_why, seen.is_marked = why or held._why_groups, True
            if with_columns and not may_go_on():
                seen.columns_why = "no column, in the time there was"
            elif with_columns:
                seen.columns, seen.columns_why = facts_of(X, y, key or _KEY_OF_PROCESS, may_go_on, at)
                with_marks(seen.columns, seen.named)
    except FAILURES as error:
        seen.why = _why(error)
    return seen


def _features_of(held: Held) -> Table:
    if held._X is None:
        raise Unreadable(held.why)
    return table_of(held._X)


def _target(held: Held, seen: Look) -> Table | None:
    """The target; if it cannot be read, why."""
    seen.why = held._why_y
    try:
        return None if held._y is None else table_of(held._y)
    except FAILURES as error:
        seen.why = f"the target: {_why(error)}"
        return None


def _add_index(seen: Look, held: Held, index: Index) -> None:
    """A digest of what names the rows; of their values nothing is known."""
    since = time.perf_counter()
    words = index.words()
    for indices in held._indices:
        words.append(joined(xxh3, *map(str, numbers_of(indices).tolist())))
    digest, seconds = joined(xxh3, "index", *words), time.perf_counter() - since
    found = row("all", "xxh3_128", digest, index.n_rows, index.n_rows, 0, seconds)
    seen.digests.append({**found, "coverage": "index"})
    seen.why = index.why


def _look_at(seen: Look, X: Table, y: Table | None, key: bytes, may_go_on: Callable[[], bool]) -> None:
    if y is not None and y.n_rows != X.n_rows:
        raise Unreadable(f"{X.n_rows} rows of features and {y.n_rows} of the target")
    digests, seen.share, hashes = take(X, y, key, may_go_on)
    # Beside a target that cannot be read, nothing is known of features and target together.
    seen.digests = [row for row in digests if row["part"] == "features" or not seen.why]
    if hashes is not None:
        seen.rows = _identified(hashes, X, may_go_on)


# --- rows alone -------------------------------------------------------------------------------------------------------


def ordered_row_hashes(X: Any, key: bytes | None) -> Any:
    """A hash of each row, in the order of the rows, as uint64; None if they cannot be read."""
    try:
        return hashes_of(_features(X), key)
    except FAILURES:
        return None


def row_hashes(X: Any, key: bytes | None) -> RowHashes | None:
    """The rows of data, each by a hash; None if they cannot be read.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), or Dataset
    key : bytes or None
        Of the project; without one, the hashes are of this process only.
    """
    try:
        table = _features(X)
        return _identified(hashes_of(table, key), table, _always)
    except FAILURES:
        return None


def _features(X: Any) -> Table:
    return _features_of(hold(X, copy_up_to=0))


def hashes_of(table: Table, key: bytes | None) -> Any:
    """The same of a table, by which rows are compared within this process where there is no key."""
    hasher = Hasher(table, key or _KEY_OF_PROCESS)
    found = [final(hasher.sums(start, stop)) for start, stop in blocks_of(table)]
    return np().concatenate(found) if found else np().empty(0, "u8")


def _identified(hashes: Any, table: Table, may_go_on: Callable[[], bool]) -> RowHashes:
    rows = RowHashes(hashes)
    try:
        with np().errstate(all="ignore"):
            rows.is_identifying = is_identifying(table, rows.n_distinct, may_go_on)
    except FAILURES:
        pass  # it says of equal rows only that they are no chance
    return rows
