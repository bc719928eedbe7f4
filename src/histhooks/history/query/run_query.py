"""Select and order runs in one query, so that a limit reads only the rows it needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from histhooks._base.acting import acted_for
from histhooks._base.values import loads
from histhooks._base.vocabulary import STATUSES
from histhooks.errors import QueryError
from histhooks.history._row_types import TAKEN_OFF
from histhooks.history.query.fields import Field, Joined
from histhooks.history.query.names import STATUS, Names, framework_of, split
from histhooks.history.query.times import EXAMPLES, moment
from histhooks.history.query.where import KINDS, compile_where, unknown_choice

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_CANDIDATES = (
    "(r.kind = 'search' AND EXISTS (SELECT 1 FROM results AS k, json_each(k.value) AS j "
    "WHERE k.run_id = r.id AND k.key GLOB 'candidates_beyond_*' AND {}))"
)
_AT_ONCE = 500
ME = "me"
_EQUAL = {"project": "r.project", "framework": "r.framework", "kind": "r.kind", "group": "r.group_name"}


@dataclass(frozen=True, slots=True)
class Key:
    """What runs are sorted by; NULL comes last, whichever way."""

    sql: str
    values: tuple[Any, ...] = ()
    is_descending: bool = True
    can_be_null: bool = False
    joined: Joined | None = None

    @property
    def written(self) -> str:
        """The key as a term of ORDER BY."""
        return self.term(self.sql)

    def term(self, sql: str) -> str:
        """An expression as a term of ORDER BY, in the order of the key."""
        return f"{sql}{' DESC' if self.is_descending else ''}{' NULLS LAST' if self.can_be_null else ''}"


@dataclass(slots=True)
class Query:
    """A query for runs, as SQL over ``runs AS r``.

    Attributes
    ----------
    clauses : list of str
    values : list
        For the question marks in them.
    order : list of Key
        The sort keys; the last one is unique for each run.
    """

    clauses: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    order: list[Key] = field(default_factory=lambda: [Key("r.started_at"), Key("r.id")])

    def add(self, sql: str, *values: Any) -> None:
        """Ask one thing more."""
        self.clauses.append(sql)
        self.values.extend(values)

    @property
    def condition(self) -> str:
        """All that is asked."""
        return f" WHERE {' AND '.join(self.clauses)}" if self.clauses else ""

    def select(self, columns: str, limit: int | None = None, offset: int = 0) -> tuple[str, list[Any]]:
        """The whole statement, with its values."""
        order = f" ORDER BY {', '.join(key.written for key in self.order)}"
        sorted_by = self._sorted_by()
        if limit is None and not offset:
            return f"SELECT {columns} FROM runs AS r{self.condition}{order}", [*self.values, *sorted_by]
        source, terms, values = self._joined()
        found = f"FROM runs AS r{source}{self.condition} ORDER BY {terms} LIMIT ? OFFSET ?"
        values += [-1 if limit is None else limit, offset]
        if columns != "r.*":
            return f"SELECT {columns} {found}", values
        # Ids are sorted, not whole rows: of 10,000 runs that takes a third of the time.
        return f"SELECT r.* FROM runs AS r WHERE r.id IN (SELECT r.id {found}){order}", [*values, *sorted_by]

    def _joined(self) -> tuple[str, str, list[Any]]:
        """What stands beside the runs to sort them, the terms, and the values of tables, conditions and terms."""
        joined = next((key.joined for key in self.order if key.joined is not None), None)
        if joined is None:
            return "", ", ".join(key.written for key in self.order), [*self.values, *self._sorted_by()]
        is_beside = [key.joined is not None and key.joined.written == joined.written for key in self.order]
        terms, sorted_by = list[str](), list[Any]()
        for key, is_here in zip(self.order, is_beside, strict=True):
            term = key.joined if is_here else None
            terms.append(key.written if term is None else key.term(term.value))
            sorted_by += key.values if term is None else term.values
        return joined.written, ", ".join(terms), [*joined.table_values, *self.values, *sorted_by]

    def _sorted_by(self) -> list[Any]:
        return [value for key in self.order for value in key.values]

    def copy(self) -> Query:
        """The same, to ask more."""
        return Query([*self.clauses], [*self.values], [*self.order])

    def settle(self, history: Reader) -> int:
        """Find the runs now, so that what is asked of them next does not find them again; give how many they are."""
        ids = [i for (i,) in history.cursor(f"SELECT r.id FROM runs AS r{self.condition}", *self.values)]
        self.clauses, self.values = ["r.id IN (SELECT value FROM json_each(?))"], [json.dumps(ids)]
        return len(ids)

    def after(self, place: Sequence[Any]) -> None:
        """Ask for runs that come after a place in the order only, given by the values of the keys there."""
        if len(place) != len(self.order):
            raise QueryError("the key is one of a table in another order; take next_key of the table before")
        parts, values, equal, equal_values = [], list[Any](), "", list[Any]()
        for key, value in zip(self.order, place, strict=True):
            sign = "<" if key.is_descending else ">"
            beyond = f"({key.sql} {sign} ? OR {key.sql} IS NULL)" if key.can_be_null else f"{key.sql} {sign} ?"
            if value is not None:  # nothing comes after NULL
                parts.append(f"({equal}{beyond})")
                values += [*equal_values, *key.values, value, *(key.values if key.can_be_null else ())]
            equal += f"{key.sql} IS ? AND "
            equal_values += [*key.values, value]
        self.add(f"({' OR '.join(parts)})", *values)

    def place_of(self, history: Reader, run_id: str) -> list[Any]:
        """Where a run stands in the order: the values of the keys."""
        values = self._sorted_by()
        columns = ", ".join(key.sql for key in self.order)
        return list(history.cursor(f"SELECT {columns} FROM runs AS r WHERE r.id = ?", *values, run_id).fetchone())


def build(
    history: Reader,
    *,
    status: str | None = None,
    tag: str | Iterable[str] | Mapping[str, Any] | None = None,
    job: str | None = None,
    who: str | None = None,
    since: str | None = None,
    until: str | None = None,
    where: str | None = None,
    order_by: str = "started_at",
    reverse: bool = False,
    is_nested: bool | None = None,
    with_inner: bool = False,
    **equal: str | None,
) -> Query:
    """Understand what is asked; the parameters are those of :meth:`History.runs`.

    Raises
    ------
    QueryError
        If something in it cannot be understood.
    """
    names, query = Names(history), Query()
    for name, value in equal.items():
        if value is not None:
            if name == "kind" and value not in KINDS:
                raise QueryError(unknown_choice("kind", value, KINDS))
            query.add(f"{_EQUAL[name]} = ?", framework_of(value) if name == "framework" else value)
    if status is not None:
        if status not in STATUSES:
            raise QueryError(unknown_choice("status", status, STATUSES))
        query.add(f"{STATUS} = ?", status)
    _times(query, since, until)
    for key, wanted in _tags(tag):
        sql = names.resolve("tags", key, "").sql
        if wanted is None:
            query.add(f"{sql} IS NOT NULL", key)
        else:
            query.add(f"{sql} = ?", key, wanted)
    if job is not None:
        query.add(*job_condition(job))
    if who is not None:
        query.add(*_by(history, who))
    if is_nested is not None:
        # With the plus no index: most runs are outer ones, and what else is asked finds fewer.
        query.add("r.parent_id IS NOT NULL" if is_nested else "+r.parent_id IS NULL")
    if where is not None:
        _where(query, where, names, with_inner=with_inner)
    _order(query, order_by, names, reverse=reverse)
    return query


def job_condition(job: str) -> tuple[Any, ...]:
    """Runs of a batch job: by its id, an array by its id, one of an array by `ARRAY_NUMBER`.

    A session in an array knows the id of its own job with its number, and its runs are grouped by the array's id.
    """
    array, _, number = job.rpartition("_")
    sql = (
        "(r.group_name = ? OR r.session_id IN (SELECT s.id FROM sessions AS s WHERE s.job_id = ? "
        "OR substr(s.job_id, 1, length(?) + 1) = ? || '_') OR (r.group_name = ? AND r.session_id IN "
        "(SELECT s.id FROM sessions AS s WHERE substr(s.job_id, -length(?) - 1) = '_' || ?)))"
    )
    return sql, job, job, job, job, array, number, number


def _by(history: Reader, who: str) -> tuple[Any, ...]:
    """Runs of an actor: by the name, or by the part of an address before its @; `me` is who asks.

    In a target also what a role of this name pushed.
    """
    if who == ME:
        asks = acted_for()
        if asks is None:
            raise QueryError("nobody said who asks; name an actor, or use --mine")
        who = asks[0]
    name = who.lower()
    sql = (
        "r.session_id IN (SELECT s.id FROM sessions AS s WHERE lower(s.actor) = ? "
        "OR substr(lower(s.actor), 1, length(?)) = ?{})"
    )
    begin = f"{name}@"
    if history.is_there:
        return sql.format(" OR lower(s.pushed_by) = ?"), name, begin, begin, name
    return sql.format(""), name, begin, begin


def _times(query: Query, since: str | None, until: str | None) -> None:
    for text, sign, which in ((since, ">=", 0), (until, "<", 1)):
        if text is None:
            continue
        found = moment(text)
        if found is None:
            raise QueryError(f"{text!r} is no time; write {EXAMPLES}")
        query.add(f"r.started_at {sign} ?", found[which])


def _tags(tag: str | Iterable[str] | Mapping[str, Any] | None) -> list[tuple[str, str | None]]:
    if tag is None:
        return []
    if isinstance(tag, Mapping):
        return [(key, None if value is None else str(value)) for key, value in tag.items()]
    out: list[tuple[str, str | None]] = []
    for text in [tag] if isinstance(tag, str) else tag:
        key, sign, value = text.partition("=")
        out.append((key, value if sign else None))
    return out


def _where(query: Query, where: str, names: Names, *, with_inner: bool) -> None:
    asked = compile_where(where, names)
    sql, values = asked.sql, [*asked.values]
    if asked.candidate is not None:
        sql = f"({sql} OR {_CANDIDATES.format(asked.candidate[0])})"
        values += asked.candidate[1]
    if with_inner:
        sql = (
            "r.id IN (WITH RECURSIVE up (id, parent_id) AS "
            f"(SELECT r.id, r.parent_id FROM runs AS r WHERE {sql} UNION "
            "SELECT u.id, u.parent_id FROM up JOIN runs AS u ON u.id = up.parent_id) SELECT id FROM up)"
        )
    query.add(sql, *values)


def _order(query: Query, order_by: str, names: Names, *, reverse: bool) -> None:
    """Sort the rows; what has no value comes last, whichever way.

    A bare name: the greatest on top, of a metric the best. `NAME asc`, `NAME desc` and `-NAME`, which is the latter: by
    the values as they are, as in SQL. Of several names, separated by commas, a later one orders what is equal by those
    before it.
    """
    words = order_by.split(", ")
    for word in reversed(words):
        name, is_descending, is_plain = order_of(word)
        is_descending = is_descending != reverse
        if name == "started_at" and len(words) > 1:
            query.order.insert(0, Key("r.started_at", is_descending=is_descending))
        else:
            _order_by(query, name, names, is_descending=is_descending, is_plain=is_plain)


def order_of(order_by: str) -> tuple[str, bool, bool]:
    """The first name in an order, whether the greatest comes first, and whether values count as they are."""
    order_by = order_by.partition(", ")[0]
    name, _, way = order_by.strip().rpartition(" ")
    if name and way.lower() in ("asc", "desc"):
        return name.strip(), way.lower() == "desc", True
    return order_by.strip().removeprefix("-"), True, order_by.strip().startswith("-")


def _order_by(query: Query, name: str, names: Names, *, is_descending: bool, is_plain: bool) -> None:
    """Sort by a name; by the values as they are, or with the best of a metric for the greatest."""
    if name == "started_at":
        if not is_descending:
            query.order = [Key("r.started_at", is_descending=False), Key("r.id", is_descending=False)]
        return
    found = names.resolve(*split(name))
    templates = ["{0}"]
    if found.kind in ("json", "tag"):
        templates = ["hh_number({0})", "hh_text({0})" if found.kind == "json" else "{0}"]
    elif found.direction is not None and not is_plain:
        templates = ["(CASE {1} WHEN -1 THEN -1 ELSE 1 END * {0})"]
    query.order = [_key(found, template, is_descending=is_descending) for template in templates] + query.order


def _key(found: Field, template: str, *, is_descending: bool) -> Key:
    """A sort key; the template says what of a value counts, and `{1}` in it is the direction of a metric."""
    direction, values = found.direction or ("", ())
    sql = template.format(found.sql, direction)
    values = (*values, *found.values) if "{1}" in template else found.values
    joined = found.latest
    if joined is not None:
        joined = replace(joined, value=template.format(joined.value, "m.direction"))
    return Key(sql, values, is_descending, can_be_null=True, joined=joined)


# --- what a listing shows of its runs, with one query each ------------------------------------------------------------


def rows_of(history: Reader, sql: str, ids: Iterable[str]) -> list[dict[str, Any]]:
    """Rows of a query about some runs or sessions, whose ids stand for ``{}``, some hundred with each question.

    A list of values reaches the tables below the views that show spools; a subquery would read them whole.
    """
    listed = list(dict.fromkeys(ids))
    chunks = [listed[start : start + _AT_ONCE] for start in range(0, len(listed), _AT_ONCE)]
    return [row for part in chunks for row in history.sql(sql.format(f"({', '.join('?' * len(part))})"), *part)]


def summaries_of(history: Reader, ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """The summaries of the metrics of some runs."""
    out: dict[str, list[dict[str, Any]]] = {}
    sql = "SELECT * FROM metric_summaries WHERE run_id IN {} ORDER BY series"
    for row in rows_of(history, sql, ids):
        row.pop("series")
        out.setdefault(row["run_id"], []).append(row)
    return out


def params_of(history: Reader, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The params of some runs."""
    sql = "SELECT run_id, key, value FROM params WHERE run_id IN {} ORDER BY ordinal"
    return _json_of(history, sql, ids)


def sources_of(history: Reader, ids: Iterable[str]) -> dict[str, dict[str, str]]:
    """Where the params of some runs came from: argument, default, user, ..."""
    out: dict[str, dict[str, str]] = {}
    sql = "SELECT run_id, key, source FROM params WHERE run_id IN {} ORDER BY ordinal"
    for row in rows_of(history, sql, ids):
        out.setdefault(row["run_id"], {})[row["key"]] = row["source"]
    return out


def results_of(history: Reader, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The results of some runs; not the long tables of candidates."""
    sql = "SELECT run_id, key, value FROM results WHERE run_id IN {} AND length(value) < 2000 ORDER BY ordinal"
    return _json_of(history, sql, ids)


def beyond_of(history: Reader, ids: Iterable[str]) -> dict[str, int]:
    """How many candidates of a search have no run of their own, and stand in a table of its results."""
    sql = (
        "SELECT run_id, sum(json_array_length(value)) AS n FROM latest_results WHERE run_id IN {} "
        "AND key GLOB 'candidates_beyond_*' GROUP BY run_id"
    )
    return {row["run_id"]: row["n"] for row in rows_of(history, sql, ids)}


def tags_of(history: Reader, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The tags of some runs."""
    out: dict[str, dict[str, Any]] = {}
    sql = f"SELECT run_id, key, value, {TAKEN_OFF} AS is_removed FROM tags WHERE run_id IN {{}} ORDER BY time, ordinal"
    for row in rows_of(history, sql, ids):
        tags = out.setdefault(row["run_id"], {})
        if row["is_removed"]:
            tags.pop(row["key"], None)
        else:
            tags[row["key"]] = row["value"]
    return out


def _json_of(history: Reader, sql: str, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for row in rows_of(history, sql, ids):
        out.setdefault(row["run_id"], {})[row["key"]] = loads(row["value"])
    return out
