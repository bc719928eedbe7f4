"""How two data sets compare: by digests, by hashes of rows, by what was counted of their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from histhooks.history._shown import Shown
from histhooks.history.data.columns import ColumnChange, changed_columns
from histhooks.history.data.sketches import Shared, shared

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.history.data.dataset import Dataset
    from histhooks.history.data.rows import Digest, Sketch

PARTS = ("features", "target", "rows", "order")


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether one part of two data sets is the same.

    Attributes
    ----------
    part : str
        `all`, `features`, `target`, `rows` (in any order) or `order` (the rows as they stand).
    is_same : bool or None
        None if the record cannot tell.
    why : str
        Why it cannot, or by what it is known.
    """

    part: str
    is_same: bool | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two data sets.

    Attributes
    ----------
    data : Dataset
    run : dict or None
        `id`, `name`, `status`, `started_at` of the run that used it; None for data that was named by its id.
    """

    data: Dataset
    run: Mapping[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """As plain values: the fingerprint without its profile, and the digests."""
        kept = {key: value for key, value in self.data.items() if key not in ("schema", "profile")}
        return {"run": self.run, **kept, "digests": [asdict(one) for one in self.data.digests]}


@dataclass(frozen=True, slots=True, repr=False)
class DataComparison(Shown):
    """How two data sets compare.

    Attributes
    ----------
    a, b : Side
    answers : tuple of Answer
        For `all`, `features`, `target`, `rows` and `order`; without those that neither of them has.
    shape : dict
        What differs in kind, rows and columns: a pair of values for each.
    shared : Shared or None
        How many rows of A are in B; None if that is unknown.
    columns : tuple of ColumnChange
        Columns in which something that was counted differs.
    n_columns : int
        Columns of which something was counted in both.
    unknown : tuple of str
        Why something cannot be told.

    Examples
    --------
    >>> found = history.compare_data("last", "last", role="train", against="test")
    >>> found.is_same, found.answer("rows").is_same, found.shared.n_equal
    (False, False, 1)
    >>> found.as_json()["is_same"]
    False
    """

    a: Side
    b: Side
    answers: tuple[Answer, ...]
    shape: Mapping[str, tuple[Any, Any]]
    shared: Shared | None
    columns: tuple[ColumnChange, ...]
    n_columns: int
    unknown: tuple[str, ...]

    def __repr__(self) -> str:
        told = ", ".join(f"{one.part}={one.is_same}" for one in self.answers)
        return f"<DataComparison is_same={self.is_same}: {told}>"

    @property
    def is_same(self) -> bool | None:
        """Whether both are the same content; None if the record cannot tell."""
        return self.answer("all").is_same

    @property
    def is_reordered(self) -> bool:
        """Whether both have the same rows in another order."""
        return self.answer("rows").is_same is True and self.answer("order").is_same is False

    def answer(self, part: str) -> Answer:
        """The answer for one part: `all`, `features`, `target`, `rows`, `order`."""
        found = (one for one in self.answers if one.part == part)
        return next(found, Answer(part, None, "neither of them has it"))

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "is_same": self.is_same, "is_reordered": self.is_reordered, "a": self.a.as_json(), "b": self.b.as_json(),
            "answers": {one.part: {"is_same": one.is_same, "why": one.why} for one in self.answers},
            "shape": {name: list(pair) for name, pair in self.shape.items()},
            "shared_rows": None if self.shared is None else asdict(self.shared),
            "columns": [asdict(one) for one in self.columns], "n_columns": self.n_columns,
            "unknown": list(self.unknown),
        }  # fmt: skip


def compare_data(reader: Reader, a: Side, b: Side) -> DataComparison:
    """Compare two data sets of one store."""
    shape = {
        name: (a.data[name], b.data[name]) for name in ("kind", "n_rows", "n_columns") if a.data[name] != b.data[name]
    }
    is_one_process = _session(reader, a) is not None and _session(reader, a) == _session(reader, b)
    parts = {part: _answer(part, a.data, b.data, is_one_process=is_one_process) for part in PARTS}
    answers = [_whole(a.data, b.data, shape), *(one for one in parts.values() if one is not None)]
    rows, why = _shared(reader, a.data, b.data)
    columns, n_columns = changed_columns(a.data, b.data)
    unknown = [f"{one.part}: {one.why}" for one in answers if one.is_same is None]
    return DataComparison(
        a,
        b,
        tuple(answers),
        shape,
        rows,
        tuple(columns),
        n_columns,
        (*unknown, *([f"shared rows: {why}"] if why else [])),
    )


def _session(reader: Reader, side: Side) -> str | None:
    rows = reader.sql("SELECT session_id FROM runs WHERE id = ?", side.run["id"]) if side.run is not None else []
    return rows[0]["session_id"] if rows else None


def _whole(a: Dataset, b: Dataset, shape: Mapping[str, Any]) -> Answer:
    """Whether all of both is the same: by their digests, else by their fingerprints."""
    if any(name in shape and None not in shape[name] for name in ("n_rows", "n_columns")):
        return Answer("all", False, "their shapes differ")
    mine, others = a.digest("all"), b.digest("all")
    if mine is not None and others is not None:
        found = _compare(mine, others, "all")
        if found.is_same is not None or found.why != "they were hashed by other algorithms":
            return found
    if a["content_hash"] is None or b["content_hash"] is None:
        return Answer("all", None, _none_of(a, b))
    is_whole = a["coverage"] == b["coverage"] == "all"
    if a["id"] == b["id"]:
        return Answer("all", True if is_whole else None, "" if is_whole else "only a sample of it was hashed")
    if a["kind"] != b["kind"] or a["schema"] != b["schema"] or a["coverage"] != b["coverage"]:
        return Answer("all", None, "they are of other containers or types, and hashed in another way")
    return Answer("all", a["content_hash"] == b["content_hash"], "by their fingerprints")


def _none_of(a: Dataset, b: Dataset) -> str:
    lacking = [name for name, data in (("A", a), ("B", b)) if data["content_hash"] is None and not data.digests]
    return f"the content of {' and '.join(lacking) or 'one of them'} was not hashed"


def _answer(part: str, a: Dataset, b: Dataset, *, is_one_process: bool) -> Answer | None:
    """Whether one part is the same; None if neither has it."""
    mine, others = a.digest(part), b.digest(part)
    if mine is None and others is None:
        if part == "target" and (a.digests or b.digests):
            return None  # data without a target
        return Answer(part, None, "not recorded")
    if mine is None or others is None:
        name, lacking = ("A", a) if mine is None else ("B", b)
        if part == "target" and not all(one.is_of_batches for one in lacking.digests):
            return Answer(part, False, f"{name} has none")
        return Answer(part, None, f"not recorded of {name}")
    if mine.is_of_batches and others.is_of_batches:
        one, other = ({each.digest for each in data.digests if each.is_of_batches} for data in (a, b))
        return Answer(part, None, f"{'the same' if one == other else 'other'} batches passed first, a sample of it")
    is_keyed = part in ("rows", "order") and (mine.coverage, others.coverage) != ("index", "index")
    if is_keyed and (mine.key_id != others.key_id or (mine.key_id is None and not is_one_process)):
        return Answer(part, None, "rows were hashed with another key")
    return _compare(mine, others, part)


def _compare(a: Digest, b: Digest, part: str) -> Answer:
    """Compare two digests; only those of all values are identity."""
    if a.digest is None or b.digest is None:
        return Answer(part, None, "one of them could not be hashed")
    if a.algorithm != b.algorithm or (a.coverage == "index") != (b.coverage == "index"):
        return Answer(part, None, "they were hashed by other algorithms")
    is_equal = a.digest == b.digest
    if a.coverage == b.coverage == "all":
        return Answer(part, is_equal)
    if a.coverage == "index":
        return Answer(
            part, None, f"{'the same' if is_equal else 'other'} samples of a Dataset whose values were not read"
        )
    if not is_equal and (a.coverage, a.n_rows) == (b.coverage, b.n_rows):
        return Answer(part, False, f"their first {a.n_rows:,} rows differ" if a.n_rows else "")
    return Answer(part, None, "only a sample of it was hashed")


def _shared(reader: Reader, a: Dataset, b: Dataset) -> tuple[Shared | None, str]:
    """How many rows of A are in B, by their sketches; and why not, if that is unknown."""
    pairs = [(one, other) for one in a.sketches for other in b.sketches if one.part == other.part]
    if not pairs:
        return None, "hashes of rows were not kept of both"
    same_key = [pair for pair in pairs if pair[0].key_id == pair[1].key_id and pair[0].key_id is not None]
    if not same_key:
        return None, "rows were hashed with another key"
    one, other = min(same_key, key=_rank)
    found = shared(reader, one, other)
    return found, "" if found is not None else "the hashes are not in this store"


def _rank(pair: tuple[Sketch, Sketch]) -> int:
    return {"features": 0, "rows": 1}.get(pair[0].part, 2)
