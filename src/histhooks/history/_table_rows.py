"""What each row of a table of runs shows: its outcome, and what tells it from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso
from histhooks._base.telling import telling
from histhooks._base.vocabulary import RUNNING
from histhooks.history._around import kept_risks
from histhooks.history._marks import code_names, code_of, data_names, data_of, notes_of, origins_of, versions_of
from histhooks.history._progress import lately, latest_steps, progress_of, rate_of
from histhooks.history._ranking import Outcome, leader_of, outcomes_of
from histhooks.history._reader import last_heard
from histhooks.history._run_rows import RunRows
from histhooks.history.compare.command import is_option, options_in
from histhooks.history.query.run_query import beyond_of, params_of, rows_of, sources_of, summaries_of, tags_of

if TYPE_CHECKING:
    from histhooks.history._reader import Reader


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table.

    Attributes
    ----------
    name : str
        The key of its values in each row.
    title : str
    kind : str
        `id`, `text`, `status`, `time` (ISO 8601), `seconds`, `number`, `texts` (distinct texts) or `params` (for each
        name its distinct values).
    """

    name: str
    title: str
    kind: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table: one run, or several from one call site.

    Attributes
    ----------
    run_id : str
        The run, or the newest of several.
    ids : tuple of str
        All of them, the newest first.
    depth : int
        How deep inside another run.
    values : dict
        A value by the name of each column, and beside them `statuses` (how many ended in each way), `framework`,
        `error_type`, `direction` of the metric (1, -1 or 0), `mean_of` (`epoch` or `part` if the best is a mean),
        `inside` (how many runs inside it are not shown),
        `progress` of a run that still runs, `links`: ids of the runs that it repeats or goes on from, by the kind of
        the link, `versions` of models that it made, as `versions` of a run has them, and
        `risks`: how many checks, whose verdict is kept or that were asked, found something at the levels `fail` and
        `warn`. `columns` is
        there if columns were asked for: a value by each of their names, None where the run has none.
        `params`, `command` (options of the program), `data` and `code` are there
        where runs that are like each other differ in them.
    """

    run_id: str
    ids: tuple[str, ...]
    depth: int
    values: dict[str, Any]


COLUMNS = (
    TableColumn("id", "RUN", "id"), TableColumn("name", "NAME", "text"), TableColumn("kind", "KIND", "text"),
    TableColumn("status", "STATUS", "status"), TableColumn("started_at", "STARTED", "time"),
    TableColumn("took_s", "TOOK", "seconds"), TableColumn("metric", "METRIC", "text"),
    TableColumn("best", "BEST", "number"), TableColumn("last", "LAST", "number"),
    TableColumn("params", "PARAMS", "params"), TableColumn("project", "PROJECT", "text"),
    TableColumn("command", "COMMAND", "params"), TableColumn("data", "DATA", "texts"),
    TableColumn("code", "CODE", "texts"), TableColumn("tags", "TAGS", "params"), TableColumn("note", "NOTE", "text"),
    TableColumn("error", "ERROR", "text"),
)  # fmt: skip


@dataclass(slots=True)
class Line:
    """A row before its values are read."""

    run: RunRows
    ids: list[str]
    statuses: Counter[str]
    took_s: float | None
    depth: int = 0


def line_of(run: RunRows, depth: int = 0) -> Line:
    return Line(run, [run.id], Counter([run.status]), run.duration_s, depth)


def rows_for(history: Reader, runs: Iterable[RunRows]) -> list[TableRow]:
    """A row for each of some runs."""
    return rows_of_lines(history, [line_of(run) for run in runs])


def rows_of_lines(
    history: Reader,
    shown: Sequence[Line],
    metric: str | None = None,
    param: str | None = None,
    inner: int | None = 0,
) -> list[TableRow]:
    """Read what the rows show: a handful of queries, however many rows there are, and one for each run that runs."""
    mains: dict[str, str | None] = {i: line.run.main_metric for line in shown for i in line.ids}
    outcomes, params = outcomes_of(history, mains, metric), params_of(history, mains)
    inside, told = _inside(history, shown, inner), _Told(history, shown, params)
    risks, versions = kept_risks(history, list(mains)), versions_of(history, list(mains))
    summaries = summaries_of(history, [line.run.id for line in shown if line.run.status == RUNNING])
    rows = []
    for line in shown:
        run = line.run
        is_running = run.status == RUNNING
        values = {
            "name": run.name, "kind": run.kind, "status": run.status, "statuses": dict(line.statuses),
            "framework": run.framework, "started_at": run.started_at, "took_s": line.took_s,
            "error_type": run.error_type, "error": _error(line), "inside": inside.get(run.id, 0),
            "project": run.project, **told.of(line, param),
            "versions": [each for i in line.ids for each in versions.get(i, [])],
            "risks": dict(sum((risks.get(i, Counter()) for i in line.ids), Counter[str]())),
            "progress": progress_row(run, summaries.get(run.id, []), params.get(run.id, {})) if is_running else None,
        }  # fmt: skip
        rows.append(TableRow(run.id, tuple(line.ids), line.depth, {**values, **_outcome(line, outcomes)}))
    return rows


def _error(line: Line) -> str | None:
    """What it failed with, in one line; of several runs, of the first that failed."""
    run = line.run
    if run.error_type is None:
        return None
    lines = (run.error_message or "").strip().splitlines()
    return f"{run.error_type}: {lines[0]}" if lines else str(run.error_type)


def _inside(history: Reader, shown: Sequence[Line], most: int | None) -> dict[str, int]:
    """How many runs lie inside those that are shown, where they are not all shown themselves."""
    sql = "SELECT parent_id, count(*) AS n FROM runs WHERE parent_id IN {} GROUP BY parent_id"
    inside = {row["parent_id"]: row["n"] for row in rows_of(history, sql, [line.run.id for line in shown])}
    for run_id, beyond in beyond_of(history, list(inside)).items():
        inside[run_id] += beyond
    if most == 0:
        return inside
    whole = {line.run.parent_id for line in shown}
    return {i: n for i, n in inside.items() if i not in whole or n > FEW_INSIDE}


FEW_INSIDE = 10  # runs inside another that are shown unless all are asked for


def _outcome(line: Line, outcomes: Mapping[str, Outcome | None]) -> dict[str, Any]:
    """The metric that ranks the row, of the best of its runs."""
    name = next((o.name for i in line.ids if (o := outcomes.get(i)) is not None), None)
    best = leader_of({i: outcomes.get(i) for i in line.ids}, name) if name else None
    found = outcomes.get(best or line.run.id)
    out: dict[str, Any] = {"id": best or line.run.id if len(line.ids) > 1 else line.run.id}
    if found is None:
        return {**out, "metric": None, "direction": 0, "best": None, "last": None, "mean_of": None}
    last = found.special or found.last
    told = {"metric": found.name, "direction": found.direction, "best": found.best, "last": last}
    return {**out, **told, "mean_of": found.mean_of}


def progress_row(run: RunRows, summaries: Iterable[Mapping[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
    """How far a running run is: epochs, steps and steps a second; an epoch counts from 0."""
    found = progress_of(run, summaries, params, rate_of(lately(latest_steps(run))))
    return {
        "epoch": None if found.epoch is None else found.epoch - 1, "epochs_done": found.epochs_done,
        "epochs_planned": found.epochs_planned, "steps_done": found.steps_done or 0, "rate": found.rate or 0.0,
        **({"last_heard_at": iso(heard)} if (heard := last_heard(run.history, run.row["session_id"])) else {}),
    }  # fmt: skip


class _Told:
    """What tells the runs of a table apart, each from those that are like it."""

    def __init__(self, history: Reader, shown: Sequence[Line], params: Mapping[str, dict[str, Any]]) -> None:
        ids = [i for line in shown for i in line.ids]
        columns = (
            "SELECT r.id, r.session_id, s.kind, s.command FROM runs AS r JOIN sessions AS s ON s.id = r.session_id"
        )
        rows = rows_of(history, columns + " WHERE r.id IN {}", ids)
        sessions = {row["session_id"]: options_in(row["kind"], row["command"]) for row in rows}
        self._options = {row["id"]: sessions[row["session_id"]] for row in rows}
        self._params = {i: {**params.get(i, {}), **self._options.get(i, {})} for i in ids}
        self._data = data_of(history, ids)
        self._code = code_of(history, {row["id"]: row["session_id"] for row in rows})
        self._links = origins_of(history, ids)
        self._tags, self._notes = tags_of(history, ids), notes_of(history, [line.run.id for line in shown])
        self._kins = kins(history, [line.run for line in shown])
        sources = sources_of(history, ids)
        alike: dict[tuple[Any, ...], list[str]] = {}
        for line in shown:
            alike.setdefault(self._kin_of(line), []).extend(line.ids)
        self._keys = {kin: self._telling(found, sources) for kin, found in alike.items()}
        self._names = {kin: self._names_of(found) for kin, found in alike.items()}

    def _kin_of(self, line: Line) -> tuple[Any, ...]:
        return (line.depth, *self._kins[line.run.id])

    def _telling(self, ids: list[str], sources: Mapping[str, Mapping[str, str]]) -> list[str]:
        told = {i: {**sources.get(i, {}), **dict.fromkeys(self._options.get(i, {}), "command")} for i in ids}
        return telling({i: self._params[i] for i in ids}, told)

    def _names_of(self, ids: list[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Short names of the data by run, and of codes by their hash, where there are several."""
        data: dict[str, str] = {}
        for role in dict.fromkeys(["train", *(role for i in ids for role in self._data.get(i, {}))]):
            data = data or data_names({i: told[role] for i in ids if role in (told := self._data.get(i, {}))})
        codes = [self._code[i] for i in ids if i in self._code]
        names = code_names(codes) if len({digest for digest, _ in codes}) > 1 else {}
        return data, names

    def of(self, line: Line, param: str | None) -> dict[str, Any]:
        """The values of one row."""
        keys = dict.fromkeys([*([] if param is None else [param]), *self._keys[self._kin_of(line)]])
        found = _values(line, self._params, keys)
        data, code = self._names[self._kin_of(line)]
        codes = [self._code[i][0] for i in line.ids if i in self._code]
        tags = dict.fromkeys(key for i in line.ids for key in self._tags.get(i, {}))
        return {
            "params": {key: values for key, values in found.items() if not is_option(key)},
            "command": {key: values for key, values in found.items() if is_option(key)},
            "data": list(dict.fromkeys(data[i] for i in line.ids if i in data)),
            "code": list(dict.fromkeys(code[each] for each in codes if each in code)),
            "links": _values_of_links(line, self._links),
            "tags": _values(line, self._tags, tags),
            "note": self._notes.get(line.run.id),
        }  # fmt: skip


def kins(history: Reader, runs: Iterable[RunRows]) -> dict[str, tuple[Any, ...]]:
    """By run, what runs that are compared with each other share: their kind, and the call in one file.

    An edited program calls from another line, which is the same place among its calls.
    """
    listed = list(runs)
    places = _places_in_file(history, (run.session_id for run in listed))
    out: dict[str, tuple[Any, ...]] = {}
    for run in listed:
        file = (run.call_site or "").rpartition(":")[0]
        if run.kind == "candidate":
            out[run.id] = (run.parent_id, run.kind)
        elif not file or file.startswith("<") or "ipykernel" in file:  # a cell has another file whenever it runs
            out[run.id] = (run.parent_id, run.kind, run.name)
        else:
            place = places.get((run.session_id, run.kind, run.call_site or ""), 0)
            out[run.id] = (run.parent_id, run.kind, file, place)
    return out


def _places_in_file(history: Reader, sessions: Iterable[str]) -> dict[tuple[str, str, str], int]:
    """Which of the calls of its process a call site is, from the top of the file; by session, kind and call site."""
    sql = "SELECT DISTINCT session_id, kind, call_site FROM runs WHERE call_site IS NOT NULL AND session_id IN {}"
    sites: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
    for row in rows_of(history, sql, sessions):
        file, _, line = row["call_site"].rpartition(":")
        number = int(line) if line.isdigit() else 0
        sites.setdefault((row["session_id"], row["kind"], file), []).append((number, row["call_site"]))
    return {
        (session, kind, site): place
        for (session, kind, _), found in sites.items()
        for place, (_, site) in enumerate(sorted(found))
    }


def _values_of_links(line: Line, links: Mapping[str, dict[str, list[str]]]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for run_id in line.ids:
        for kind, others in links.get(run_id, {}).items():
            found.setdefault(kind, {}).update(dict.fromkeys(others))
    return {kind: list(others) for kind, others in found.items()}


def _values(line: Line, told: Mapping[str, dict[str, Any]], keys: Iterable[str]) -> dict[str, list[Any]]:
    """The distinct values of each name in the runs of a row."""
    out = {}
    for key in keys:
        seen = {repr(v): v for i in line.ids if (v := told.get(i, {}).get(key)) is not None}
        if seen:
            out[key] = list(seen.values())
    return out
