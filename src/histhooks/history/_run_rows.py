"""The rows of one run, read lazily."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from histhooks._base.clock import from_iso
from histhooks._base.other_names import RECORD, unknown
from histhooks._base.text import largest_first
from histhooks._base.values import loads
from histhooks._base.vocabulary import RUNNING, UNREPORTED
from histhooks.history._artifacts import Artifacts, artifacts_of
from histhooks.history._row_types import IS_SET, RELATED
from histhooks.history.curves.thinning import find_series
from histhooks.history.data.dataset import Dataset, overlaps_of, parsed
from histhooks.history.data.origins import splits_of, transforms_of, weights_of

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.history._row_types import Architecture, Event, FileRead, Link, Note, Optimizer
    from histhooks.history.data.rows import Overlap, Split, Transform, Weights


class RunRows:
    """The rows of one run. Columns of `runs` are attributes.

    Parameters
    ----------
    history : Reader
    row : dict
        Its row of `runs`.
    """

    def __init__(self, history: Reader, row: dict[str, Any]) -> None:
        self._history = history
        self.row = row
        self.id: str = row["id"]
        self.name: str = row["name"]
        self.kind: str = row["kind"]
        self.status = history.settled(row["session_id"], row["status"])

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["row"][name]
        except KeyError:
            raise AttributeError(unknown("a run", name, RECORD)) from None

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.row})

    def _rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        return self._history.sql(sql, *values)

    @property
    def history(self) -> Reader:
        """The store it is read from: the :class:`histhooks.History` that gave the run."""
        return self._history

    @property
    def params(self) -> dict[str, Any]:
        """Latest value of each param."""
        rows = self._rows("SELECT key, value FROM params WHERE run_id = ? ORDER BY ordinal", self.id)
        return {row["key"]: loads(row["value"]) for row in rows}

    @property
    def chosen(self) -> dict[str, Any]:
        """The params that are not the host's defaults."""
        sql = "SELECT key, value FROM params WHERE run_id = ? AND source <> 'default' ORDER BY ordinal"
        return {row["key"]: loads(row["value"]) for row in self._rows(sql, self.id)}

    @property
    def param_sources(self) -> dict[str, str]:
        """Where the latest value of each param came from: argument, default, user, ..."""
        rows = self._rows("SELECT key, source FROM params WHERE run_id = ? ORDER BY ordinal", self.id)
        return {row["key"]: row["source"] for row in rows}

    @property
    def results(self) -> dict[str, Any]:
        """Outcomes that are no curve; of numbers by name, such as coefficients, the largest first."""
        rows = self._rows("SELECT key, value FROM results WHERE run_id = ? ORDER BY ordinal", self.id)
        return {row["key"]: largest_first(loads(row["value"])) for row in rows}

    @property
    def summaries(self) -> Sequence[dict[str, Any]]:
        """A row per metric: count, first, last, min, max."""
        rows = self._rows("SELECT * FROM metric_summaries WHERE run_id = ? ORDER BY series", self.id)
        return [{key: value for key, value in row.items() if key != "series"} for row in rows]

    def metrics(self, name: str | None = None) -> list[dict[str, Any]]:
        """Points in order, of one metric or of all; QueryError where the run has no such metric.

        Examples
        --------
        >>> [(point["epoch"], point["value"]) for point in run.metrics("val_loss")]
        [(0, 1.0), (1, 0.5), (2, 0.25)]
        """
        if name is not None:
            find_series(self._history, self.id, name)
        which = " AND name = ?" if name is not None else ""
        values = (self.id, name) if name is not None else (self.id,)
        columns = "name, metric, split, step, epoch, time, value, special"
        return self._rows(f"SELECT {columns} FROM metrics WHERE run_id = ?{which} ORDER BY name, n", *values)

    @property
    def session(self) -> dict[str, Any]:
        """The process it ran in; its status as it is now."""
        row = self._rows("SELECT * FROM sessions WHERE id = ?", self.row["session_id"])[0]
        return {**row, "status": self._history.settled(row["id"], row["status"])}

    @property
    def environment(self) -> dict[str, Any] | None:
        """What it ran on."""
        rows = self._rows("SELECT * FROM environments WHERE id = ?", self.session["environment_id"])
        return {**rows[0], "details": json.loads(rows[0]["details"])} if rows else None

    @property
    def packages(self) -> dict[str, str]:
        """What was installed: version by name."""
        sql = "SELECT name, version FROM packages WHERE environment_id = ? ORDER BY lower(name)"
        return {row["name"]: row["version"] for row in self._rows(sql, self.session["environment_id"])}

    @property
    def code(self) -> dict[str, Any] | None:
        """Which code ran; :attr:`code_diff` and :attr:`untracked` are the texts."""
        rows = self._rows("SELECT * FROM code_versions WHERE id = ?", self.session["code_version_id"])
        return {**rows[0], "details": json.loads(rows[0]["details"])} if rows else None

    @property
    def datasets(self) -> list[Dataset]:
        """Fingerprints of the data it used, each with its digests, columns, sketches and overlaps."""
        return [Dataset(parsed(row), self._history, self.id) for row in self.related("datasets")]

    @property
    def overlaps(self) -> list[Overlap]:
        """Rows that its data sets share."""
        return overlaps_of(self._history, self.id)

    @property
    def splits(self) -> list[Split]:
        """Splits of data in the run, or before its end in its process, oldest first."""
        return splits_of(self._history, self.row)

    @property
    def transforms(self) -> list[Transform]:
        """The transformers that its data came out of, in order."""
        return transforms_of(self._history, self.id)

    @property
    def weights(self) -> list[Weights]:
        """The weights of its model, by content, at the points at which they were taken."""
        return weights_of(self._history, self.id)

    @property
    def artifacts(self) -> Artifacts:
        """Files and folders that it read or wrote, in order, also by name; they lead to the bytes."""
        return artifacts_of(self._history, self.id)

    @property
    def file_reads(self) -> list[FileRead]:
        """Files that the program read in this run, or before it in its session, in order; once each."""
        sql = (
            "SELECT path, sha256, size_bytes, mtime, function, location, time, "
            "run_id IS NULL AS is_before FROM file_reads WHERE run_id = ? "
            "OR (run_id IS NULL AND session_id = ? AND time <= ?) ORDER BY time, ordinal"
        )
        rows: list[Any] = self._rows(sql, self.id, self.row["session_id"], from_iso(self.row["started_at"]))
        # A large file has a row when it is read, and one more with its hash.
        return list({(row["is_before"], row["path"], row["time"]): row for row in rows}.values())

    @property
    def optimizers(self) -> list[Optimizer]:
        """Its optimizers, with their groups and schedules."""
        sql = (
            "SELECT optimizer_id, position, n_parameters, lr, settings, step FROM optimizer_groups "
            "WHERE run_id = ? ORDER BY ordinal"
        )
        groups: dict[str, list[Any]] = {}
        for row in _parsed(self._rows(sql, self.id), "settings"):
            groups.setdefault(row.pop("optimizer_id"), []).append(row)
        rows = _parsed(self.related("optimizers"), "settings", "scheduler")
        found: list[Any] = [{**row, "groups": groups.get(row["id"], [])} for row in rows]
        return found

    @property
    def architecture(self) -> Architecture | None:
        """The shape of its model."""
        rows: list[Architecture] = _parsed(
            self._rows("SELECT * FROM architectures WHERE id = ?", self.row["architecture_id"]), "layers"
        )
        return rows[0] if rows else None

    @property
    def tags(self) -> dict[str, str | None]:
        """Latest value of each tag that was not taken off; empty for a bare word, None if it was erased."""
        latest = {row["key"]: row for row in self.related("tags")}
        return {key: row["value"] for key, row in latest.items() if not row["is_removed"]}

    @property
    def notes(self) -> list[Note]:
        """Notes on it, oldest first."""
        rows: list[Any] = self.related("notes")
        return rows

    @property
    def events(self) -> list[Event]:
        """What happened in it, oldest first."""
        rows: list[Any] = self.related("events")
        return rows

    @property
    def links(self) -> list[Link]:
        """How it relates to earlier runs: what it resumes, continues, ..."""
        rows: list[Any] = self.related("links")
        return rows

    @property
    def linked_by(self) -> list[Link]:
        """How later runs of this store relate to it: what resumes or continues it, also by a file that it wrote."""
        sql = (
            "SELECT kind, run_id, other_run_id, sha256, time FROM run_links WHERE other_run_id = ? "
            "OR (other_run_id IS NULL AND run_id <> ? AND sha256 IN "
            "(SELECT sha256 FROM run_artifacts WHERE run_id = ? AND direction = 'out')) ORDER BY time"
        )
        rows: list[Any] = self._rows(sql, self.id, self.id, self.id)
        return rows

    @property
    def readers(self) -> list[dict[str, Any]]:
        """The other runs of this store that read a file that this one wrote, the first reader first.

        Each has `run_id`, `sha256` and `path`, where this run wrote it.
        """
        made = "FROM run_artifacts AS o CROSS JOIN {} AS f ON f.sha256 = o.sha256 "
        made += "WHERE o.run_id = ? AND o.direction = 'out' AND f.run_id <> o.run_id"
        sql = (
            f"SELECT run_id, sha256, max(path) AS path FROM (SELECT f.run_id, o.sha256, o.path, f.time "
            f"{made.format('run_artifacts')} AND f.direction = 'in' UNION ALL "
            f"SELECT f.run_id, o.sha256, o.path, f.time {made.format('file_reads')}) GROUP BY 1, 2 ORDER BY min(time)"
        )
        return self._rows(sql, self.id, self.id)

    def writers_of(self, sha256: str | None) -> list[str]:
        """Ids of the other runs of this store that wrote a file of that content, the latest first.

        Examples
        --------
        >>> run.writers_of(run.artifacts[0]["sha256"]) == [history.run("last~1").id]
        True
        """
        sql = "SELECT DISTINCT run_id FROM run_artifacts WHERE sha256 = ? AND direction = 'out' AND run_id <> ?"
        return sorted((row["run_id"] for row in self._rows(sql, sha256, self.id)), reverse=True)

    @property
    def parent(self) -> Self | None:
        """The run that it is part of; None for an outer one, or where that run is not in this store."""
        rows = self._rows("SELECT * FROM runs WHERE id = ?", self.row["parent_id"])
        return type(self)(self._history, rows[0]) if rows else None

    @property
    def children(self) -> list[Self]:
        """The runs inside this one."""
        rows = self._rows("SELECT * FROM runs WHERE parent_id = ? ORDER BY started_at, id", self.id)
        return [type(self)(self._history, row) for row in rows]

    @cached_property
    def duration_s(self) -> float | None:
        """Seconds it took; of one whose process is gone, until the last that was seen of it."""
        told: float | None = self.row["duration_s"]
        if told is not None or self.status == RUNNING or self.status not in UNREPORTED:
            return told
        end = self.row["ended_at"] or self.session["ended_at"] or self.session["heartbeat_at"]
        return max(0.0, (from_iso(end) - from_iso(self.row["started_at"])) / 1e6) if end else None

    @cached_property
    def steps_done(self) -> int | None:
        """Completed steps; if the process is gone or still runs, at least as many as its metrics show."""
        told: int | None = self.row["steps_done"]
        if self.status not in UNREPORTED:
            return told
        steps = [
            row["last_step"] for row in self.summaries if row["split"] != "system" and row["last_step"] is not None
        ]
        return max([told or 0, *(step + 1 for step in steps)]) or told

    @property
    def determinism(self) -> dict[str, Any]:
        """The flags that decide whether the same seed gives the same numbers; empty if none are known."""
        told = self.session_events("determinism")
        return dict(json.loads(told[-1]["body"])) if told else {}

    @property
    def ledger(self) -> dict[str, Any]:
        """The ledger of its session: `lines`, `rows`, `head` (digest of the last line) and `time` of that line."""
        sql = "SELECT count(*) AS lines, coalesce(sum(n_rows), 0) AS rows FROM ledger WHERE session_id = ?"
        (counts,) = self._rows(sql, self.row["session_id"])
        sql = "SELECT digest AS head, time FROM ledger WHERE session_id = ? ORDER BY seq DESC LIMIT 1"
        return {**counts, **next(iter(self._rows(sql, self.row["session_id"])), {"head": None, "time": None})}

    def related(self, table: str) -> list[dict[str, Any]]:
        """Rows of a table about this run: datasets, tags, notes, events, links, optimizers.

        Examples
        --------
        >>> [(row["key"], row["value"]) for row in run.related("tags")]
        [('team', 'red')]
        """
        return self._rows(RELATED[table], self.id)

    @property
    def seeds(self) -> list[dict[str, Any]]:
        """Seeds that were set in the run, or before it in its process."""
        sql = (
            "SELECT library, call, value, location, time FROM seeds "
            f"WHERE (run_id = ? OR (session_id = ? AND time <= ?)) AND {IS_SET} ORDER BY time"
        )
        return self._rows(sql, self.id, self.row["session_id"], from_iso(self.row["started_at"]))

    @property
    def unseeded(self) -> list[dict[str, Any]]:
        """Generators that were made without a seed, in the run or outside of runs before its end."""
        sql = (
            "SELECT library, call, value, location, time FROM seeds "
            "WHERE (run_id = ? OR (session_id = ? AND run_id IS NULL AND time <= coalesce(?, time))) "
            f"AND NOT {IS_SET} ORDER BY time"
        )
        until = from_iso(self.row["ended_at"]) if self.row["ended_at"] else None
        return self._rows(sql, self.id, self.row["session_id"], until)

    @property
    def states_at_start(self) -> list[dict[str, Any]]:
        """Where the global generators stood at the start of the run."""
        return [row for row in self.related("rng_states") if row["point"] == "run_start"]

    def session_events(self, kind: str) -> list[dict[str, Any]]:
        """Events of one kind in the run's process, up to its start.

        Examples
        --------
        >>> run.session_events("cell")
        []
        """
        sql = "SELECT time, title, body FROM events WHERE session_id = ? AND kind = ? AND time <= ? ORDER BY time"
        second = 1_000_000  # what belongs to the start of a run is noted just after it
        return self._rows(sql, self.row["session_id"], kind, from_iso(self.row["started_at"]) + second)

    @property
    def captures(self) -> list[dict[str, Any]]:
        """What came of gathering things, for the run and its session."""
        sql = "SELECT * FROM captures WHERE coalesce(run_id, session_id) IN (?, ?) ORDER BY time"
        return self._rows(sql, self.id, self.row["session_id"])

    def __iter__(self) -> Iterator[str]:
        return iter(self.row)


def _parsed(rows: list[dict[str, Any]], *columns: str) -> Any:
    """Rows whose columns of JSON are values."""
    return [{**row, **{name: loads(row[name] or "null") for name in columns}} for row in rows]
