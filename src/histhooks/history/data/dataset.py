"""One data set of a run, with what is known of it by content."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from histhooks._base.values import loads
from histhooks.history.data.rows import ColumnFacts, Digest, Overlap, Sketch

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

T = TypeVar("T")
_DIGEST = "part, algorithm, digest, coverage, n_rows, size_bytes, key_id, duration_s, time, run_id"


class Dataset(dict[str, Any]):
    """Data that a run used: a fingerprint, never its rows. The columns below are items; content is in the attributes.

    Digests, columns and sketches are recorded once in a session, by the run that had the data first. The attributes
    find them there, and read the store when they are asked for.

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

    __slots__ = ("_reader", "_run_id")

    def __init__(self, row: dict[str, Any], reader: Reader, run_id: str | None) -> None:
        super().__init__(row)
        self._reader, self._run_id = reader, run_id

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, key: Literal["role", "id", "kind"], /) -> str: ...
        @overload
        def __getitem__(self, key: Literal["name", "source", "coverage", "content_hash"], /) -> str | None: ...
        @overload
        def __getitem__(self, key: Literal["n_rows", "n_columns", "size_bytes"], /) -> int | None: ...
        @overload
        def __getitem__(self, key: str, /) -> Any: ...
        def __getitem__(self, key: str, /) -> Any: ...

    @property
    def digests(self) -> tuple[Digest, ...]:
        """Hashes of it and of its parts, one for each part and algorithm."""
        found = (self._digests_of(run_id, self["id"]) for run_id in self._recorders())
        return next((rows for rows in found if rows), ())

    @property
    def columns(self) -> tuple[ColumnFacts, ...]:
        """What was counted of its columns, in their order."""
        sql = (
            "SELECT position, name, facts, run_id FROM dataset_columns WHERE run_id = ? AND dataset_id = ? "
            "ORDER BY ordinal"
        )
        found = self._first(lambda place: self._reader.sql(sql, *place))
        rows = {row["position"]: ColumnFacts(**{**row, "facts": json.loads(row["facts"])}) for row in found}
        return tuple(rows[position] for position in sorted(rows))

    @property
    def sketches(self) -> tuple[Sketch, ...]:
        """The smallest hashes of its rows, by which it compares with data of other runs."""
        sql = (
            "SELECT part, key_id, n_rows, n_distinct, theta, content_sha256, run_id FROM dataset_sketches "
            "WHERE run_id = ? AND dataset_id = ? ORDER BY ordinal"
        )
        found = self._first(lambda place: self._reader.sql(sql, *place))
        return tuple(Sketch(**{**row, "theta": int(row["theta"])}) for row in found)

    @property
    def overlaps(self) -> tuple[Overlap, ...]:
        """How many of its rows are in other data of the run, measured while both were there."""
        if self._run_id is None:
            return ()
        return tuple(one for one in overlaps_of(self._reader, self._run_id) if one.dataset_id == self["id"])

    def digest(self, part: str = "all", algorithm: str | None = None) -> Digest | None:
        """The hash of one part, of the values where several say so; None if there is none."""
        found = [one for one in self.digests if one.part == part and algorithm in (None, one.algorithm)]
        return min(found, key=lambda one: (one.coverage == "index", one.algorithm == "sha256"), default=None)

    def whole(self) -> dict[str, Any]:
        """All of it as plain values, as ``show --json`` has it."""
        return {
            **self,
            "digests": [asdict(one) for one in self.digests],
            "columns": [asdict(one) for one in self.columns],
            "sketches": [{**asdict(one), "theta": str(one.theta)} for one in self.sketches],
            "overlaps": [asdict(one) for one in self.overlaps],
        }

    def _recorders(self) -> Iterator[str]:
        """The runs that may have recorded its digests: its own, then those of its session, then the newest."""
        if self._run_id is not None:
            yield self._run_id
        if self["coverage"] != "all" and self._run_id is not None:
            return  # its id says less than its content: other runs may have had other data of that id
        sql = (
            "SELECT d.run_id FROM dataset_digests AS d JOIN runs AS r ON r.id = d.run_id WHERE d.dataset_id = ? "
            "GROUP BY d.run_id, r.session_id ORDER BY r.session_id = (SELECT session_id FROM runs WHERE id = ?) DESC, "
            "max(d.time) DESC"
        )
        yield from (row["run_id"] for row in self._reader.sql(sql, self["id"], self._run_id))

    def _digests_of(self, run_id: str, dataset_id: str) -> tuple[Digest, ...]:
        sql = f"SELECT {_DIGEST} FROM dataset_digests WHERE run_id = ? AND dataset_id = ? ORDER BY ordinal"
        rows = [Digest(**row) for row in self._reader.sql(sql, run_id, dataset_id)]
        # Batches of data of one class and size, but of two roles, have one id: nobody can tell them apart.
        batches = [one.digest if one.is_of_batches else None for one in rows]
        keys = [(one.part, one.algorithm, one.coverage == "index") for one in rows]
        return tuple(dict(zip(zip(keys, batches, strict=True), rows, strict=True)).values())

    def _first(self, rows_at: Callable[[tuple[str, str]], list[T]]) -> list[T]:
        """Rows of the first place that has some: under this id, else under that of data with the same whole content."""
        for run_id in self._recorders():
            if rows := rows_at((run_id, self["id"])):
                return rows
        whole = self.digest()
        if whole is None or not whole.is_whole:
            return []
        sql = (
            "SELECT run_id, dataset_id FROM dataset_digests WHERE part = 'all' AND coverage = 'all' AND algorithm = ? "
            "AND digest = ? ORDER BY time DESC"
        )
        places = self._reader.sql(sql, whole.algorithm, whole.digest)
        found = (rows_at((place["run_id"], place["dataset_id"])) for place in places)
        return next((rows for rows in found if rows), [])


def overlaps_of(reader: Reader, run_id: str) -> list[Overlap]:
    """The overlaps that a run recorded, with the roles of both data sets."""
    sql = (
        "SELECT o.dataset_id, other_dataset_id, other_run_id, part, o.n_rows, n_equal, n_twins, is_identifying, "
        "method, d.n_rows AS n_other FROM dataset_overlaps AS o LEFT JOIN datasets AS d ON d.id = o.other_dataset_id "
        "WHERE o.run_id = ? ORDER BY o.ordinal"
    )
    found = []
    for row in reader.sql(sql, run_id):
        told = row["is_identifying"]
        roles = _roles(reader, run_id, row["dataset_id"])
        others = _roles(reader, row["other_run_id"] or run_id, row["other_dataset_id"])
        if row["dataset_id"] == row["other_dataset_id"] and row["other_run_id"] is None:  # used as both
            roles = tuple(role for role in roles if role != "train") or roles
            others = tuple(role for role in others if role not in roles) or others
        row["is_identifying"] = None if told is None else bool(told)
        found.append(Overlap(**row, roles=roles, other_roles=others))
    return found


def _roles(reader: Reader, run_id: str, dataset_id: str) -> tuple[str, ...]:
    sql = "SELECT role FROM run_datasets WHERE run_id = ? AND dataset_id = ? ORDER BY ordinal"
    return tuple(dict.fromkeys(row["role"] for row in reader.sql(sql, run_id, dataset_id)))


def dataset_with_id(reader: Reader, dataset_id: str) -> Dataset | None:
    """Data by its id alone, without the run that used it; None if the store has none."""
    rows = reader.sql(
        "SELECT NULL AS role, NULL AS name, NULL AS source, d.* FROM datasets AS d WHERE id = ?", dataset_id
    )
    return Dataset(parsed(rows[0]), reader, None) if rows else None


def by_role(found: list[Dataset]) -> dict[str, Dataset]:
    """Data sets by their role; the second of one role is `valid 2`. What was used twice stands once."""
    out: dict[str, Dataset] = {}
    for row in found:
        key, n = row["role"], 1
        while key in out and out[key]["id"] != row["id"]:
            n += 1
            key = f"{row['role']} {n}"
        out[key] = out.get(key, row)
    return out


def parsed(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its JSON as values."""
    return {**row, **{name: loads(row[name] or "null") for name in ("schema", "profile")}}
