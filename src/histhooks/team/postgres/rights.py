"""Who may do what at a target: three roles of PostgreSQL, and the rows that each of them sees and writes.

Readers read, writers add what their own sessions say, curators remove. Rights are given by GRANT, rows by row security:
a session belongs to the role that pushed it first, and nobody else adds to it. Functions that run with the rights of
the owner answer only about what the asking side already names.
"""

from __future__ import annotations

import re
from importlib import resources

from histhooks._store.tables import COVERED, FOLDS, LIVE_COLUMNS, PERSONAL_COLUMNS, TABLES, TARGET_COLUMNS
from histhooks.team.postgres.possession import OF_THE_OWNER, OF_WRITERS
from histhooks.team.postgres.sight import may_state, seen

READER, WRITER, CURATOR = "histhooks_reader", "histhooks_writer", "histhooks_curator"
ROLES = (READER, WRITER, CURATOR)
OPEN, BY_PROJECT = "open", "by-project"  # what `rights` of store_info says
EVERY_PROJECT = "*"

# What only the owner, or a function of the owner's, writes.
_READ_ONLY = {"store_info", "project_readers", "exports", "merged_spools"}
_OF_CURATORS = {"evictions", "content_holders"}
_SAID_BY_SERVER = {*TARGET_COLUMNS, "pushed_by", "evicted_by"}
_OF_WRITERS = (
    "hh_refold(text[])", "hh_heads(text[], bigint[])", "hh_last_receipt()", "hh_is_known(text)", *OF_WRITERS
)  # fmt: skip
_SHARED = {name for name, table in TABLES.items() if table.kind == "content"}
_OWN = "EXISTS (SELECT 1 FROM sessions AS own WHERE own.id = {} AND own.pushed_by = session_user)"
_OWN_RUN = (
    "EXISTS (SELECT 1 FROM runs AS mine JOIN sessions AS own ON own.id = mine.session_id "
    "WHERE mine.id = {} AND own.pushed_by = session_user)"
)
_OWN_SERIES = (
    "EXISTS (SELECT 1 FROM metric_summaries AS s JOIN runs AS mine ON mine.id = s.run_id "
    "JOIN sessions AS own ON own.id = mine.session_id WHERE s.series = {} AND own.pushed_by = session_user)"
)
_TABLE = re.compile(r"^CREATE TABLE (\w+) \((.*?)^\)", re.M | re.S)
_COLUMN = re.compile(r'^  ("?[a-z]\w*"?) (.*?),?$', re.M)


def columns() -> dict[str, dict[str, str]]:
    """The columns of each table of a target, with what defines them."""
    text = resources.files("histhooks._store").joinpath("schema_pg.sql").read_text(encoding="utf-8")
    return {name: dict(_COLUMN.findall(body)) for name, body in _TABLE.findall(text)}


def roles_sql(*, is_conditional: bool = True) -> str:
    """The SQL that makes the three roles, of which each has the rights of the one before it."""
    made = [f"CREATE ROLE {role} NOLOGIN" for role in ROLES]
    given = [f"GRANT {READER} TO {WRITER}", f"GRANT {WRITER} TO {CURATOR}"]
    if not is_conditional:
        return "".join(f"{line};\n" for line in (*made, *given))
    lines = [f"  IF to_regrole('{r}') IS NULL THEN {line}; END IF;" for r, line in zip(ROLES, made, strict=True)]
    lines += [
        f"  IF NOT pg_has_role('{upper}', '{lower}', 'MEMBER') THEN {line}; END IF;"
        for upper, lower, line in zip((WRITER, CURATOR), (READER, WRITER), given, strict=True)
    ]
    body = "\n".join(lines)
    return f"DO $$ BEGIN\n{body}\nEND $$;\n"


def rights_sql(schema: str, mode: str) -> str:
    """The SQL that gives the roles their rights in a schema, however they were before.

    Parameters
    ----------
    schema : str
        It is first in `search_path`.
    mode : str
        `open` or `by-project`.

    Returns
    -------
    str
    """
    given = "".join(f"{line};\n" for line in (*_grants(schema), *_policies(mode)))
    fact = (
        f"INSERT INTO store_info (key, value) VALUES ('rights', '{mode}') "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value;\n"
    )
    return f"{given}{_temporary()}{_views(mode)}{fact}"


def _grants(schema: str) -> list[str]:
    lines = [
        f"GRANT USAGE ON SCHEMA {schema} TO {READER}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {READER}",
        f"REVOKE ALL ON FUNCTION hh_graves(text[]), {', '.join((*_OF_WRITERS, *OF_THE_OWNER))} FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION {', '.join(_OF_WRITERS)} TO {WRITER}",
        # by which a file that was pulled loses what was deleted since
        f"GRANT EXECUTE ON FUNCTION hh_graves(text[]) TO {READER}",
    ]
    for table, found in columns().items():
        if table in _READ_ONLY:
            continue
        names = [name for name, what in found.items() if name not in _SAID_BY_SERVER and "GENERATED ALWAYS" not in what]
        listed = ", ".join(names)
        lines.append(f"GRANT INSERT ({listed}) ON {table} TO {CURATOR if table in _OF_CURATORS else WRITER}")
        changed = _changed(table, names)
        if changed:
            lines.append(f"GRANT UPDATE ({', '.join(changed)}) ON {table} TO {WRITER}")
        personal = TABLES[table].personal if table in TABLES else ()
        if personal and table not in FOLDS:
            lines.append(f"GRANT UPDATE ({', '.join(personal)}) ON {table} TO {CURATOR}")
        if table not in ("receipts", "conflicts", *_OF_CURATORS):
            lines.append(f"GRANT DELETE ON {table} TO {CURATOR}")
    return lines


def _changed(table: str, names: list[str]) -> list[str]:
    """Columns that follow from other rows, which a writer brings up to date."""
    if table == "sessions":
        return [name for name in names if name not in ("id", "started_at")]
    if table == "runs":
        return [name for name in names if name not in ("id", "session_id")]
    if table == "metric_summaries":
        return [name for name in names if name not in ("series", "run_id", "name")]
    return [name for name in names if name not in ("series", "chunk")] if table == "point_chunks" else []


def _policies(mode: str) -> list[str]:
    lines = []
    for table in columns():
        lines.append(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        lines += [f"DROP POLICY IF EXISTS {each} ON {table}" for each in ("reading", "adding", "updating", "curating")]
        sight = seen(table) if mode == BY_PROJECT else None
        if table == "project_readers":  # a role that was dropped is no error
            sight = "EXISTS (SELECT 1 FROM pg_roles AS r WHERE r.rolname = role AND pg_has_role(r.oid, 'USAGE'))"
        lines.append(f"CREATE POLICY reading ON {table} FOR SELECT USING ({sight or 'true'})")
        if table in _READ_ONLY:
            continue
        if table not in _OF_CURATORS:
            check = own(table)
            if table == "states" and mode == BY_PROJECT:
                check += f" AND ({may_state()})"
            lines.append(f"CREATE POLICY adding ON {table} FOR INSERT TO {WRITER} WITH CHECK ({check})")
        if _changed(table, ["x"]):
            lines.append(f"CREATE POLICY updating ON {table} FOR UPDATE TO {WRITER} USING ({own(table)})")
        lines.append(f"CREATE POLICY curating ON {table} TO {CURATOR} USING (true) WITH CHECK (true)")
    return lines


def own(table: str) -> str:
    """The rows of a table that a writer may add."""
    if table in _SHARED or table in ("conflicts", "receipts"):
        return "true"
    if table == "sessions":
        return "pushed_by = session_user"
    if table == "salts":
        writer = "split_part(salts.field, '/', 2)"  # of a value in a row
        return f"{_OWN.format('salts.subject_id')} OR {_OWN.format(writer)}"
    if table == "point_chunks":
        return _OWN_SERIES.format("point_chunks.series")
    if table in ("runs", "ledger", "ledger_parts") or "session_id" in COVERED.get(table, TABLES["runs"]).columns:
        return _OWN.format(f"{table}.session_id")
    return _OWN_RUN.format(f"{table}.run_id")


def _temporary() -> str:
    """Pushing needs temporary tables, which a database gives everybody unless its owner took that away."""
    return (
        "DO $$ BEGIN\n"
        f"  IF NOT has_database_privilege('{WRITER}', current_database(), 'TEMPORARY') THEN\n"
        f"    EXECUTE 'GRANT TEMPORARY ON DATABASE ' || quote_ident(current_database()) || ' TO {WRITER}';\n"
        "  END IF;\nEND $$;\n"
    )


def _views(mode: str) -> str:
    """A view has the rights of who made it, unless it says otherwise."""
    verb = "SET (security_invoker = true)" if mode == BY_PROJECT else "RESET (security_invoker)"
    return (
        "DO $$ DECLARE each record; BEGIN\n"
        "  IF current_setting('server_version_num')::integer >= 150000 THEN\n"
        "    FOR each IN SELECT oid::regclass::text AS name FROM pg_class\n"
        "      WHERE relnamespace = current_schema()::regnamespace AND relkind = 'v' LOOP\n"
        f"      EXECUTE 'ALTER VIEW ' || each.name || ' {verb}';\n"
        "    END LOOP;\n  END IF;\nEND $$;\n"
    )


def fold_sql() -> list[str]:
    """The statements that make `sessions` and `runs` again from states, as `_store/refolding.py` does."""
    return [_fold(table, found) for table, found in columns().items() if table in FOLDS]


def _fold(table: str, found: dict[str, str]) -> str:
    # A run stays with the session under which it came: by this its rows are somebody's.
    kept = {"id", "session_id", *_SAID_BY_SERVER, *(PERSONAL_COLUMNS if table == "sessions" else ())}
    names = [name for name in found if name not in kept]
    new = ",\n      ".join(f"CASE WHEN {_is_said(name)} THEN r.{name} ELSE o.{name} END AS {name}" for name in names)
    listed = ", ".join(names)
    return (
        f"  UPDATE {table} AS o SET ({listed}) = ROW (n.{', n.'.join(names)}) FROM (\n"
        f"    SELECT o.id,\n      {new}\n"
        f"    FROM facts AS f JOIN {table} AS o ON o.id = f.subject_id\n"
        f"    CROSS JOIN LATERAL json_populate_record(NULL::{table}, f.said) AS r\n"
        f"  ) AS n WHERE n.id = o.id AND (o.{', o.'.join(names)}) IS DISTINCT FROM (n.{', n.'.join(names)});\n"
    )


def _is_said(name: str) -> str:
    said = f"'{name}' = ANY (f.keys)"
    return said if name in LIVE_COLUMNS else f"{said} OR f.is_whole"
