"""Resolve a name in a query: a column, a metric, a param, a result or a tag, as SQL over ``runs AS r``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from histhooks._base.frameworks import NAMES
from histhooks._base.vocabulary import RUNNING
from histhooks.errors import QueryError
from histhooks.history._best_sql import BEST, BOUNDS
from histhooks.history.query.fields import SQL, Among, Field, Joined
from histhooks.history.query.hashes import FILES, HASHES
from histhooks.history.query.latest import AMONG, LATEST

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

STATUS = f"CASE WHEN r.status = '{RUNNING}' THEN hh_settled(r.session_id) ELSE r.status END"
_RUNS = {
    "text": "id session_id parent_id project group_name name kind framework framework_version model_class call_site "
    "error_type error_message traceback architecture_id main_metric",
    "number": "duration_s epochs_planned epochs_done steps_done",
    "time": "started_at ended_at",
}
_SESSIONS = {
    "text": "hostname username actor job_id command cwd signal",
    "number": "exit_code pid rank world_size",
}
_CODE = {"text": "repository commit_hash branch entry_script", "number": "dirty"}
_ALIASES = {
    "started": "started_at", "ended": "ended_at", "duration": "duration_s", "took": "duration_s",
    "group": "group_name", "model": "model_class", "error": "error_type", "commit": "commit_hash", "job": "job_id",
    "host": "hostname", "user": "username", "note": "notes", "hash": "sha256",
}  # fmt: skip
_LAST = "CASE m.last_special WHEN 'inf' THEN 9e999 WHEN '-inf' THEN -9e999 ELSE m.last END"
_FIRST = (
    "coalesce(m.first, (SELECT CASE q.special WHEN 'inf' THEN 9e999 WHEN '-inf' THEN -9e999 END "
    "FROM points AS q WHERE q.series = m.series AND q.n = 0))"
)
_BEST = f"CASE WHEN m.direction <> 0 THEN coalesce({BEST}, {_LAST})"
STATS = {
    "": f"{_BEST} ELSE {_LAST} END",
    "best": f"{_BEST} END",
    "last": _LAST,
    "first": _FIRST,
    "min": "m.min",
    "max": "m.max",
    "count": "m.count",
    "nonfinite": "m.nonfinite",
}
# The last that was recorded at a step: a run that goes on from an earlier step comes back to it.
_AT = (
    "(SELECT CASE q.special WHEN 'inf' THEN 9e999 WHEN '-inf' THEN -9e999 ELSE q.value END FROM points AS q "
    "WHERE q.series = m.series AND coalesce(q.step, q.n) = ? ORDER BY q.n DESC LIMIT 1)"
)
_AT_STEP = re.compile(r"at_(\d{1,18})", re.ASCII)
_PREFIXES = {"metrics": "metrics", "metric": "metrics", "params": "params", "param": "params", "results": "results",
             "result": "results", "tags": "tags", "tag": "tags", "runs": "runs", "run": "runs"}  # fmt: skip
_KNOWN = {
    "metrics": "SELECT 1 FROM metric_summaries WHERE name = ? LIMIT 1",
    "params": "SELECT 1 FROM params WHERE key = ? LIMIT 1",
    "results": "SELECT 1 FROM results WHERE key = ? LIMIT 1",
    "tags": "SELECT 1 FROM tags WHERE key = ? LIMIT 1",
}
_NAMES = {
    # The next name after one, by its index, so that no row is read for the others.
    "metrics": "WITH RECURSIVE a(n) AS (SELECT min(name) FROM metric_summaries UNION ALL SELECT (SELECT min(name) FROM "
    "metric_summaries WHERE name > a.n) FROM a WHERE a.n IS NOT NULL) SELECT n FROM a WHERE n IS NOT NULL",
    "params": "SELECT DISTINCT key FROM params ORDER BY key",
    "results": "SELECT DISTINCT key FROM results WHERE key NOT GLOB 'candidates_beyond_*' ORDER BY key",
    "tags": "SELECT DISTINCT key FROM tags ORDER BY key",
}
_CHOICES = {
    "project": "SELECT DISTINCT project AS x FROM runs WHERE project IS NOT NULL",
    "framework": "SELECT DISTINCT framework AS x FROM runs WHERE framework IS NOT NULL",
    "group": "SELECT DISTINCT group_name AS x FROM runs WHERE group_name IS NOT NULL",
    "who": "SELECT DISTINCT actor AS x FROM sessions WHERE actor IS NOT NULL AND kind <> 'command' ORDER BY 1",
    "job": "SELECT DISTINCT job_id AS x FROM sessions WHERE job_id IS NOT NULL",
    "tag": "SELECT DISTINCT key || '=' || value AS x FROM tags WHERE value IS NOT NULL",
    "metric": "SELECT DISTINCT name AS x FROM metric_summaries",
}
_VALUE = {
    "params": "(SELECT p.value FROM params AS p WHERE p.run_id = r.id AND p.key = ? ORDER BY p.ordinal DESC LIMIT 1)",
    "results": "(SELECT o.value FROM results AS o WHERE o.run_id = r.id AND o.key = ? ORDER BY o.ordinal DESC LIMIT 1)",
    "tags": "(SELECT t.value FROM tags AS t WHERE t.run_id = r.id AND t.key = ? "
    "ORDER BY t.time DESC, t.ordinal DESC LIMIT 1)",
}
_MEASURED = "r.id IN (SELECT m.run_id FROM metric_summaries AS m WHERE m.name = ? AND {0})"
_TAGGED = "(r.id IN (SELECT g.run_id FROM tags AS g WHERE g.key = ?) AND {0})"  # of several values the latest counts
_SESSION = "(SELECT s.{} FROM sessions AS s WHERE s.id = r.session_id)"
_CODE_OF = (
    "(SELECT c.{} FROM code_versions AS c JOIN sessions AS s ON s.code_version_id = c.id WHERE s.id = r.session_id)"
)
_NOTES = "(SELECT group_concat(x.body, char(10)) FROM notes AS x WHERE x.run_id = r.id)"


def _columns() -> dict[str, tuple[str, str, Among | None]]:
    found: dict[str, tuple[str, str, Among | None]] = {
        name: (kind, f"r.{name}", None) for kind, names in _RUNS.items() for name in names.split()
    }
    found["status"] = ("status", STATUS, None)
    sessions = "r.session_id IN (SELECT s.id FROM sessions AS s{} WHERE {{0}})"
    of_code = sessions.format(" JOIN code_versions AS c ON c.id = s.code_version_id")
    for kind, names in _SESSIONS.items():
        for name in names.split():
            found[name] = (kind, _SESSION.format(name), Among(sessions.format(""), (), (f"s.{name}", ())))
    for kind, names in _CODE.items():
        for name in names.split():
            found[name] = (kind, _CODE_OF.format(name), Among(of_code, (), (f"c.{name}", ())))
    noted = "(r.id IN (SELECT x.run_id FROM notes AS x) AND {0})"
    found["notes"] = ("text", _NOTES, Among(noted, (), (_NOTES, ()), is_of_run=True))
    return found


COLUMNS = _columns()
SEVERAL = ("sha256", "data", "file", "check")  # names of what a run has several of
# Of the verdict that was kept last: the checks that warned or failed, and the levels of all.
_SAID = (
    "(SELECT run_id, check_id AS said FROM latest_checks WHERE level IN ('warn', 'fail') "
    "UNION ALL SELECT run_id, level FROM latest_checks)"
)
_SOURCES = {
    "sha256": (HASHES, "hash"), "data": (f"(SELECT * FROM {HASHES} WHERE what = 'data')", "hash"),
    "file": (FILES, "path"), "check": (_SAID, "said"),
}  # fmt: skip


def _several(name: str) -> Field:
    """The hashes, those of its data alone, the files, or what checks said of a run."""
    source, column = _SOURCES[name]
    sql = f"(SELECT group_concat(DISTINCT h.{column}) FROM {source} AS h WHERE h.run_id = r.id)"
    among = f"r.id IN (SELECT h.run_id FROM {source} AS h WHERE {{0}})"
    found = Among(among, (), (f"h.{column}", ()), is_of_run=True, is_several=True)
    return Field("text", sql, (), f"column {name}", among=found)


class Names:
    """The names that a store knows.

    Parameters
    ----------
    history : Reader
    """

    def __init__(self, history: Reader) -> None:
        self._history = history

    def has(self, table: str, name: str) -> bool:
        """Whether any run has such a metric, param, result or tag."""
        return bool(self._history.sql(_KNOWN[table], name))

    def of(self, table: str) -> list[str]:
        """All of them."""
        return [next(iter(row.values())) for row in self._history.sql(_NAMES[table])]

    def choices(self, what: str, limit: int) -> list[str]:
        """Some values that a filter finds runs by: `project`, `framework`, `group`, `who`, `job`, `tag` or `metric`."""
        return [row["x"] for row in self._history.sql(f"{_CHOICES[what]} LIMIT ?", limit)]

    def resolve(self, prefix: str, name: str, stat: str) -> Field:
        """What a name stands for.

        Parameters
        ----------
        prefix : str
            `metrics`, `params`, `results`, `tags`, `runs`, or nothing.
        name : str
        stat : str
            What was asked of it apart from the name, such as `last`, or nothing.

        Raises
        ------
        QueryError
            If nobody knows it; the message names close ones.
        """
        is_metric = name in ("data", "check") and not prefix and self.has("metrics", name)  # programs may call one so
        if prefix in ("", "runs") and not stat and _ALIASES.get(name, name) in SEVERAL and not is_metric:
            return _several(_ALIASES.get(name, name))
        column = COLUMNS.get(_ALIASES.get(name, name)) if prefix in ("", "runs") and not stat else None
        if column is not None:
            return Field(column[0], column[1], (), f"column {_ALIASES.get(name, name)}", among=column[2])
        if prefix in ("", "metrics"):
            found = self._metric(name, stat)
            if found is not None:
                return found
        elif prefix != "runs":
            full = f"{name}.{stat}" if stat else name
            found = self._tag(full) if prefix == "tags" else self._json(prefix, full)
            if found is not None:
                return found
        raise QueryError(self._unknown(prefix, f"{name}.{stat}" if stat else name))

    def _metric(self, name: str, stat: str) -> Field | None:
        wanted = [(f"{name}.{stat}", "")] if stat else []
        for full, asked in [*wanted, (name, stat)]:
            value = _value_of(asked)
            if value is not None and self.has("metrics", full):
                sql, values = value
                source = "FROM metric_summaries AS m WHERE m.run_id = r.id AND m.name = ?)"
                is_value = asked not in ("count", "nonfinite")
                direction = (f"(SELECT m.direction {source}", (full,)) if is_value else None
                bounds = BOUNDS if asked in ("", "best") else None
                among = Among(_MEASURED, (full,), value, is_of_run=True, bounds=bounds)
                title, latest = f"metric {full}", None
                if self._history.is_there:
                    latest = Joined("metric_summaries AS m", (full,), sql, values, more="m.name = ?")
                values = (*values, full)
                return Field(
                    "number",
                    f"(SELECT {sql} {source}",
                    values,
                    title,
                    direction,
                    among=among,
                    stat=asked,
                    latest=latest,
                )
        return None

    def _json(self, table: str, name: str) -> Field | None:
        """A param or a result; what lies inside a result, such as best_params, by its dotted name."""
        parts = name.split(".")
        for length in range(len(parts), 0, -1):
            key, inner = ".".join(parts[:length]), parts[length:]
            if not self.has(table, key):
                continue
            if not inner:
                keys = ("params", key) if table == "params" else (key,)
                among, latest = self._latest(table, key)
                return Field(
                    "json", _VALUE[table], (key,), f"{table[:-1]} {name}", keys=keys, among=among, latest=latest
                )
            if table == "results":  # nested params were flattened when they were recorded
                lies = ".".join(inner)
                among, latest = self._latest(table, key, lies)
                sql = f"hh_at({_VALUE[table]}, ?)"
                return Field("json", sql, (key, lies), f"result {name}", among=among, latest=latest)
        return None

    def _latest(self, table: str, key: str, lies: str | None = None) -> tuple[Among | None, Joined | None]:
        """How a target is asked for the values of all runs at once; a file is not."""
        if not self._history.is_there:
            return None, None
        value: SQL = ("k.value", ()) if lies is None else ("hh_at(k.value, ?)", (lies,))
        return Among(AMONG[table], (key,), value, is_of_run=True), Joined(f"{LATEST[table]} AS k", (key,), *value)

    def _tag(self, name: str) -> Field | None:
        if not self.has("tags", name):
            return None
        there, latest = self._latest("tags", name)
        among = there or Among(_TAGGED, (name,), (_VALUE["tags"], (name,)), is_of_run=True)
        return Field("tag", _VALUE["tags"], (name,), f"tag {name}", among=among, latest=latest)

    def _unknown(self, prefix: str, name: str) -> str:
        from difflib import get_close_matches

        tables = [prefix] if prefix in _NAMES else ["metrics", "params", "results", "tags"]
        names = {table: self.of(table) for table in tables}
        known: dict[str, str] = {}
        for table in tables:
            for word in names[table]:
                known.setdefault(word, written(table if table != "metrics" or prefix else "", word))
        if prefix in ("", "runs"):
            known |= {word: word for word in (*COLUMNS, *SEVERAL, *_ALIASES)}
        what = {"": "column or metric", "runs": "column"}.get(prefix, prefix[:-1])
        close = [known[word] for word in get_close_matches(name, known, n=4, cutoff=0.6)]
        same = [written(table, name) for table in tables if not prefix and table != "metrics" and name in names[table]]
        if same or close:
            return f"no {what} is called {name!r}; did you mean {', '.join(dict.fromkeys([*same, *close]))}?"
        some = ", ".join(list(known.values())[:8]) or "none yet"
        return f"no {what} is called {name!r} in any run here; there are {some}"


def _value_of(stat: str) -> SQL | None:
    """A value of a metric ``m`` as SQL; None if no statistic is called so."""
    if stat in STATS:
        return STATS[stat], ()
    step = step_of(stat)
    return None if step is None else (_AT, (step,))


def step_of(stat: str) -> int | None:
    """The step that a statistic such as `at_120` means."""
    found = _AT_STEP.fullmatch(stat)
    return int(found[1]) if found else None


def framework_of(word: str) -> str:
    """A framework under the name that is recorded: that of its import."""
    return NAMES.get(word.lower(), word)


def written(prefix: str, name: str) -> str:
    """A name as an expression writes it, quoted where it must be."""
    is_plain = bool(name) and not any(sign in " ()<>=!~,\"'&|" for sign in name) and name.isprintable()
    quote = "'" if '"' in name else '"'  # one with both signs cannot be written
    text = name if is_plain else f"{quote}{name}{quote}"
    if not prefix:
        return text if is_plain else f"metrics.{text}"
    return f"{prefix}.{text}"


def split(word: str) -> tuple[str, str, str]:
    """The prefix, the name and the stat of a name without quotes."""
    head, dot, rest = word.partition(".")
    prefix = _PREFIXES.get(head.lower(), "") if dot and rest else ""
    name = rest if prefix else word
    before, dot, stat = name.rpartition(".")
    if prefix in ("", "metrics") and dot and before:
        return prefix, before, stat
    return prefix, name, ""


def has_prefix(word: str) -> bool:
    """Whether a word says itself that it is a name."""
    head, dot, rest = word.partition(".")
    return bool(dot and rest and head.lower() in _PREFIXES)


def prefix_of(word: str) -> str | None:
    """The table that a word before a dot stands for."""
    return _PREFIXES.get(word.lower())
