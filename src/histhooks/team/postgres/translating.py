"""Say in PostgreSQL's words what the reading code, or a person, asks in those of SQLite.

The words of a statement are read into a tree of brackets and written anew. What differs in meaning is said so that the
answer is the same: `IS` between values, where NULL is sorted, LIKE without regard to case, GLOB, a LIMIT of -1, and
functions that one of the two lacks. What is written in PostgreSQL's own words stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from histhooks.history._best_sql import FIRST_EPOCH
from histhooks.team.postgres import functions
from histhooks.team.postgres.words import Group, Node, is_word, parsed, upper

# The first point nearly always has it, and is in the first place of the first chunk.
_FIRST_EPOCH = (
    "SELECT coalesce((SELECT c.epochs[1] FROM point_chunks AS c WHERE c.series = m.series AND c.chunk = 0), "
    f"({FIRST_EPOCH}))"
)
# Columns that are NULL nowhere: the order of an index answers ORDER BY for them.
NEVER_NULL = frozenset({"bucket", "chunk", "id", "key", "ordinal", "seq", "series", "started_at", "subject_id"})
_CLAUSES = frozenset(
    "FROM WHERE GROUP HAVING ORDER LIMIT OFFSET UNION EXCEPT INTERSECT WINDOW ON USING JOIN LEFT RIGHT INNER OUTER "
    "CROSS FULL NATURAL".split()
)
_AFTER_ORDER = frozenset("LIMIT OFFSET UNION EXCEPT INTERSECT ROWS RANGE GROUPS FETCH FOR".split())
_VALUE_ENDS = frozenset("END NULL TRUE FALSE CURRENT_TIMESTAMP CURRENT_DATE CURRENT_TIME".split())
_KEYWORDS = _CLAUSES | _AFTER_ORDER | frozenset(
    "SELECT DISTINCT ALL AS AND OR NOT IN IS LIKE ILIKE GLOB BETWEEN CASE WHEN THEN ELSE END EXISTS OVER FILTER VALUES "
    "BY PARTITION ASC DESC NULLS COLLATE ESCAPE WITH RECURSIVE CAST ANY SOME ARRAY LATERAL NULL TRUE FALSE".split()
)  # fmt: skip
_MASTER = (
    "(SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'i' THEN 'index' ELSE 'table' END AS type, relname::text AS name, "
    "relname::text AS tbl_name, NULL::text AS sql FROM pg_class WHERE relnamespace = to_regnamespace(current_schema()) "
    "AND relkind IN ('r', 'v', 'i'))"
)
_TABLE_INFO = re.compile(r"(?i)\s*PRAGMA\s+table_info\s*\(\s*['\"]?(\w+)['\"]?\s*\)\s*;?\s*")
_VERSION = re.compile(r"(?i)\s*PRAGMA\s+user_version\s*;?\s*")
_VERSION_IS = "SELECT value::bigint AS user_version FROM store_info WHERE key = 'schema_version'"
_INFO = (
    "SELECT attnum - 1 AS cid, attname::text AS name, CASE format_type(atttypid, NULL) "
    "WHEN 'bigint' THEN 'INTEGER' WHEN 'double precision' THEN 'REAL' WHEN 'bytea' THEN 'BLOB' "
    "ELSE upper(format_type(atttypid, NULL)) END AS type, attnotnull::int AS notnull, "
    "NULL::text AS dflt_value, 0 AS pk FROM pg_attribute WHERE attrelid = to_regclass('{}') "
    "AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement in PostgreSQL's words.

    Attributes
    ----------
    sql : str
        With `$1`, `$2` … for its values.
    names : tuple of (str or None), or None
        What SQLite calls its columns, where that is not what PostgreSQL calls them.
    words : frozenset of str
        All names in it.
    """

    sql: str
    names: tuple[str | None, ...] | None
    words: frozenset[str]


@lru_cache(maxsize=1024)
def translated(sql: str) -> Statement:
    """A statement in PostgreSQL's words.

    Parameters
    ----------
    sql : str

    Returns
    -------
    Statement
    """
    info = _TABLE_INFO.fullmatch(sql)
    if info:
        return Statement(_INFO.format(info[1].lower()), None, frozenset())
    if _VERSION.fullmatch(sql):
        return Statement(_VERSION_IS, None, frozenset())
    sql = sql.replace(FIRST_EPOCH, _FIRST_EPOCH)
    nodes = parsed(sql.strip().rstrip(";"))
    words = frozenset(_words(nodes))
    return Statement(_Translation().text(nodes), _names(nodes, sql), words)


def _words(nodes: list[Node]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Group):
            yield from _words(node.nodes)
        elif is_word(node):
            yield node.text.strip('"').lower()


def _names(nodes: list[Node], sql: str) -> tuple[str | None, ...] | None:
    """What SQLite calls the columns of a statement: an expression by its words."""
    if not nodes or upper(nodes[0]) != "SELECT":
        return None
    start = 2 if len(nodes) > 1 and upper(nodes[1]) in ("DISTINCT", "ALL") else 1
    end = next((i for i, node in enumerate(nodes) if upper(node) in _CLAUSES), len(nodes))
    names = list[str | None]()
    for term in split(nodes[start:end]):
        if not term or getattr(term[-1], "text", "") == "*":
            return None
        is_plain = (len(term) == 1 and is_word(term[0])) or (len(term) == 3 and getattr(term[1], "text", "") == ".")
        is_named = len(term) > 1 and is_word(term[-1]) and upper(term[-1]) not in _VALUE_ENDS and not is_plain
        if is_plain or is_named:
            names.append(None)
        else:
            names.append(" ".join(sql.strip()[term[0].start : term[-1].end].split()))
    return tuple(names) if any(name is not None for name in names) else None


def split(nodes: list[Node]) -> list[list[Node]]:
    """The parts between commas."""
    parts: list[list[Node]] = [[]]
    for node in nodes:
        if not isinstance(node, Group) and node.text == ",":
            parts.append([])
        else:
            parts[-1].append(node)
    return parts


class _Translation:
    """One statement: how many values it has had, and how many subqueries were named."""

    def __init__(self) -> None:
        self.n_values = 0
        self.n_named = 0
        self.is_json = 0

    def text(self, nodes: list[Node]) -> str:
        """Some words of a statement."""
        out, i = list[str](), 0
        while i < len(nodes):
            i = self._next(nodes, i, out)
        return " ".join(out)

    def _next(self, nodes: list[Node], i: int, out: list[str]) -> int:
        node, following = nodes[i], nodes[i + 1] if i + 1 < len(nodes) else None
        if isinstance(node, Group):
            is_list = not node.nodes and bool(out) and out[-1].upper() == "IN"
            out.append("(SELECT NULL WHERE FALSE)" if is_list else f"({self.text(node.nodes)})")
            return i + 1 + self._alias(nodes, i, out)
        if node.text.startswith("?"):
            out.append(self.value(node.text))
            return i + 1
        word = upper(node)
        handler = _HANDLERS.get(word)
        if handler is not None:
            return handler(self, nodes, i, out)
        if is_word(node) and isinstance(following, Group) and word not in _KEYWORDS:
            is_named = i > 0 and getattr(nodes[i - 1], "text", "") == "."
            out.append(f"{node.text}({self.text(following.nodes)})" if is_named else self._call(node.text, following))
            return i + 2
        out.append(node.text)
        return i + 1

    def value(self, mark: str) -> str:
        """A question mark, with a number or without."""
        self.n_values = int(mark[1:]) if len(mark) > 1 else self.n_values + 1
        return f"${self.n_values}"

    def _call(self, name: str, group: Group) -> str:
        distinct = bool(group.nodes) and upper(group.nodes[0]) == "DISTINCT"
        given = group.nodes[1:] if distinct else group.nodes
        if name.lower() == "cast":
            return f"CAST({self._cast(given)})"
        makes_json = name.lower() in functions.JSON
        self.is_json += makes_json
        parts = [self.text(part) for part in split(given)] if given else []
        self.is_json -= makes_json
        return functions.call(name, parts, is_distinct=distinct, is_inside=bool(self.is_json))

    def _cast(self, nodes: list[Node]) -> str:
        at = max(i for i, node in enumerate(nodes) if upper(node) == "AS")
        kind = upper(nodes[at + 1])
        rest = " ".join(node.text for node in nodes[at + 1 :] if not isinstance(node, Group))
        return f"{self.text(nodes[:at])} AS {functions.TYPES.get(kind, rest)}"

    # --- words that begin something ---

    def _is(self, nodes: list[Node], i: int, out: list[str]) -> int:
        following = [upper(node) for node in nodes[i + 1 : i + 3]]
        negated = following[:1] == ["NOT"]
        what = following[1:2] if negated else following[:1]
        if what and what[0] in ("NULL", "TRUE", "FALSE", "DISTINCT", "UNKNOWN"):
            out.append("IS NOT" if negated else "IS")
        else:
            out.append("IS DISTINCT FROM" if negated else "IS NOT DISTINCT FROM")
        return i + 1 + negated

    def _like(self, nodes: list[Node], i: int, out: list[str]) -> int:
        end = operand_end(nodes, i + 1)
        out += ["ILIKE", self.text(nodes[i + 1 : end])]
        if end >= len(nodes) or upper(nodes[end]) != "ESCAPE":
            out.append("ESCAPE ''")
        return end

    def _glob(self, nodes: list[Node], i: int, out: list[str]) -> int:
        is_not = bool(out) and out[-1].upper() == "NOT"
        if is_not:
            out.pop()
        end = operand_end(nodes, i + 1)
        out += ["!~" if is_not else "~", f"hh_glob({self.text(nodes[i + 1 : end])}::text)"]
        return end

    def _cross(self, nodes: list[Node], i: int, out: list[str]) -> int:
        """SQLite reads the tables of a CROSS JOIN in their order; ON may follow."""
        place = i + 2
        while place < len(nodes) and upper(nodes[place]) not in _CLAUSES and getattr(nodes[place], "text", "") != ",":
            place += 1
        is_inner = place < len(nodes) and upper(nodes[place]) in ("ON", "USING")
        out.append("JOIN" if is_inner else "CROSS JOIN")
        return i + 2

    def _plus(self, nodes: list[Node], i: int, out: list[str]) -> int:
        before = nodes[i - 1] if i else None
        is_unary = before is None or (not isinstance(before, Group) and not _ends_value(before))
        if not is_unary:
            out.append("+")
        return i + 1

    def _order(self, nodes: list[Node], i: int, out: list[str]) -> int:
        if i + 1 >= len(nodes) or upper(nodes[i + 1]) != "BY":
            out.append("ORDER")
            return i + 1
        end = next((n for n in range(i + 2, len(nodes)) if upper(nodes[n]) in _AFTER_ORDER), len(nodes))
        terms = [self._term(term) for term in split(nodes[i + 2 : end])]
        out.append(f"ORDER BY {', '.join(terms)}")
        return end

    def _term(self, nodes: list[Node]) -> str:
        """A term of ORDER BY: to SQLite, NULL is the least."""
        text = self.text(nodes)
        words = [upper(node) for node in nodes]
        plain = nodes[:-1] if words[-1:] in (["ASC"], ["DESC"]) else nodes
        is_known = len(plain) in (1, 3) and is_word(plain[-1]) and getattr(plain[-1], "text", "") in NEVER_NULL
        if "NULLS" in words or is_known:
            return text
        return f"{text} NULLS {'LAST' if words[-1:] == ['DESC'] else 'FIRST'}"

    def _limit(self, nodes: list[Node], i: int, out: list[str]) -> int:
        following = nodes[i + 1] if i + 1 < len(nodes) else None
        out.append("LIMIT")
        if following is not None and not isinstance(following, Group) and following.text.startswith("?"):
            out.append(f"nullif({self.value(following.text)}::bigint, -1)")
            return i + 2
        if following is not None and getattr(following, "text", "") == "-":
            out.append("ALL")
            return i + 3
        return i + 1

    def _indexed(self, nodes: list[Node], i: int, out: list[str]) -> int:
        if out and out[-1].upper() == "NOT":
            out.pop()
            return i + 1
        return i + 3

    def _master(self, nodes: list[Node], i: int, out: list[str]) -> int:
        out.append(_MASTER)
        following = upper(nodes[i + 1]) if i + 1 < len(nodes) else ""
        if following != "AS" and (following in _KEYWORDS or not following):
            out.append("AS sqlite_master")
        return i + 1

    def _alias(self, nodes: list[Node], i: int, out: list[str]) -> int:
        """A subquery in FROM has a name; before version 16, PostgreSQL asks for one."""
        if not i or upper(nodes[i - 1]) not in ("FROM", "JOIN") or not isinstance(nodes[i], Group):
            return 0
        following = nodes[i + 1] if i + 1 < len(nodes) else None
        is_bare = following is None or isinstance(following, Group)
        if is_bare or _word(following) in _CLAUSES or getattr(following, "text", "") == ",":
            self.n_named += 1
            out.append(f"AS q{self.n_named}")
        return 0


def _word(node: Node | None) -> str:
    return "" if node is None else upper(node)


def operand_end(nodes: list[Node], start: int) -> int:
    """Where the value ends that begins at a place: a name, a text, a call, with `||` and more."""
    i = start
    while i < len(nodes):
        i += 1
        while i < len(nodes) and (isinstance(nodes[i], Group) or getattr(nodes[i], "text", "") in (".", "::")):
            i += 1 if isinstance(nodes[i], Group) else 2
        if i >= len(nodes) or getattr(nodes[i], "text", "") != "||":
            break
        i += 1
    return i


def _ends_value(node: Node) -> bool:
    if isinstance(node, Group):
        return True
    word = upper(node)
    if is_word(node):
        return word not in _KEYWORDS or word in _VALUE_ENDS
    return node.text[:1] in "'\"?)*" or node.text[:1].isdigit()


_Handler = Callable[[_Translation, "list[Node]", int, "list[str]"], int]


def _says(text: str) -> _Handler:
    def handler(_: _Translation, nodes: list[Node], i: int, out: list[str]) -> int:
        out.append(text)
        return i + 1

    return handler


_HANDLERS: dict[str, _Handler] = {
    "IS": _Translation._is,
    "LIKE": _Translation._like,
    "GLOB": _Translation._glob,
    "CROSS": _Translation._cross,
    "+": _Translation._plus,
    "ORDER": _Translation._order,
    "LIMIT": _Translation._limit,
    "INDEXED": _Translation._indexed,
    "SQLITE_MASTER": _Translation._master,
    "SQLITE_SCHEMA": _Translation._master,
    "==": _says("="),
    "9E999": _says("'Infinity'::float8"),
}
