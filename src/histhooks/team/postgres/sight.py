"""What a role sees of a target whose projects are not for everybody: runs of its projects, and what belongs to them.

Each rule is a condition that row security adds to whatever is asked. Rules of rows ask for their run, whose own rule is
flat; what is shared by many runs, and sessions, are asked for by functions with the rights of the owner, which tell
nothing but whether the asking role sees what it names. Nested conditions would take the planner minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from histhooks._store.tables import COVERED, RUN_OR_SESSION, TABLES
from histhooks.errors import QueryError

_ASKING = (
    "SELECT array_to_string(hh_projects(), chr(10)) AS projects, row_security_active('runs') "
    "AND NOT has_table_privilege('runs', 'DELETE') AND NOT hh_sees_all() "
    "AND EXISTS (SELECT 1 FROM store_info WHERE key = 'rights' AND value = 'by-project') AS is_part"
)
_ALL = "(SELECT hh_sees_all())"
_RUN = "EXISTS (SELECT 1 FROM runs AS r WHERE r.id = {})"
_SESSION = "hh_sees_session({})"
_VERSION = "hh_sees_version({})"
_WROTE = "{}.session_id IN (SELECT hh_own_sessions())"
_OWN = "({0}.pushed_by = session_user AND (SELECT hh_is_oneself()))"
_RULES = {
    "runs": f"{_ALL} OR project = ANY ((SELECT hh_projects())::text[]) OR {_WROTE.format('runs')}",
    "sessions": f"{_ALL} OR {_OWN.format('sessions')} OR {_SESSION.format('id')}",
    "states": (
        f"{_ALL} OR {_RUN.format('subject_id')} OR (subject = 'session' AND {_SESSION.format('subject_id')}) "
        f"OR {_WROTE.format('states')}"
    ),
    "salts": " OR ".join((_ALL, *(rule.format("subject_id") for rule in (_RUN, _SESSION, _VERSION)))),
    "model_versions": (
        f"{_ALL} OR {_RUN.format('model_versions.run_id')} OR (run_id IS NULL AND {_SESSION.format('session_id')}) "
        f"OR {_WROTE.format('model_versions')}"
    ),
    "model_events": f"{_ALL} OR {_VERSION.format('version_id')} OR {_WROTE.format('model_events')}",
    "windows": f"{_ALL} OR {_SESSION.format('session_id')} OR {_VERSION.format('version_id')}",
    "window_metrics": f"{_ALL} OR EXISTS (SELECT 1 FROM windows AS w WHERE w.id = window_metrics.window_id)",
    "waivers": (
        f"{_ALL} OR {_RUN.format('waivers.run_id')} OR {_VERSION.format('version_id')} "
        f"OR (run_id IS NULL AND version_id IS NULL AND {_SESSION.format('session_id')}) OR {_WROTE.format('waivers')}"
    ),
    "ledger_parts": f"{_ALL} OR {_WROTE.format('ledger_parts')} OR hh_sees_part(session_id, table_name, scope)",
    "point_chunks": f"{_ALL} OR EXISTS (SELECT 1 FROM metric_summaries AS m WHERE m.series = point_chunks.series)",
    "receipts": f"{_ALL} OR {_OWN.format('receipts')}",
    "conflicts": f"{_ALL} OR {_OWN.format('conflicts')} OR {_SESSION.format('session_id')}",
    "evictions": f"{_ALL} OR {_RUN.format('evictions.scope')}",
    "content_holders": f"{_ALL} OR (role = session_user::text AND (SELECT hh_is_oneself()))",
    "store_info": "true",
    "exports": "true",
    "merged_spools": "true",
}


def projects_of(ask: Callable[[str], list[dict[str, Any]]]) -> list[str] | None:
    """The projects of a target that a role reads; None for all, and where none keeps others out.

    Parameters
    ----------
    ask : callable
        Gives the rows of a query that this role asks.
    """
    try:
        (row,) = ask(_ASKING)
    except QueryError:  # of an older version
        return None
    if not row["is_part"]:
        return None
    return row["projects"].split("\n") if row["projects"] else []


def seen(table: str) -> str:
    """The condition for the rows of a table that a role sees.

    Parameters
    ----------
    table : str

    Returns
    -------
    str
    """
    spec = TABLES.get(table)
    if table in _RULES:
        return _RULES[table]
    if spec is not None and spec.kind == "content":
        return f"{_ALL} OR hh_sees_content('{table}', {spec.scope})"
    if spec is not None and spec.scope == "session_id":
        return f"{_ALL} OR {_WROTE.format(table)} OR {_SESSION.format('session_id')}"
    run = f"{_ALL} OR {_RUN.format(f'{table}.run_id')}"
    if spec is None or "session_id" not in spec.columns:
        return run
    if spec.scope == RUN_OR_SESSION:
        return f"{run} OR (run_id IS NULL AND {_SESSION.format('session_id')}) OR {_WROTE.format(table)}"
    return f"{run} OR {_WROTE.format(table)}"


def may_state() -> str:
    """The subjects that a writer may say something of: none that it does not see, or its words would bring it there."""
    return (
        f"{_ALL} OR hh_sees_run(subject_id) OR {_SESSION.format('subject_id')} OR subject_id = session_id "
        "OR NOT hh_is_known(subject_id)"
    )


def functions() -> str:
    """The SQL of the functions that these rules ask.

    Each keeps the search path that it was made with: else a role would put a function of its own in place of one of
    these.
    """
    content = [name for name, spec in TABLES.items() if spec.kind == "content"]
    cases = "\n".join(f"    WHEN '{name}' THEN\n      RETURN {_named(name)};" for name in content)
    listed = ", ".join(f"'{name}'" for name in content)
    return _FUNCTIONS.replace("{cases}", cases).replace("{content}", listed)


def _named(table: str) -> str:
    """Whether a run or a session that is seen names a row of shared content, and whoever pushed that has brought it."""
    found = []
    for each in COVERED[table].named_by:
        if each.column.startswith("("):
            continue
        row = f"EXISTS (SELECT 1 FROM {each.table} AS x WHERE x.{each.column} = key AND "
        has_session = "session_id" in TABLES[each.table].columns
        if each.owner == "run_id" and has_session:
            beside = " OR (x.run_id IS NULL AND hh_sees_session(x.session_id))" if each.table == "rng_states" else ""
            found.append(f"{row}hh_holds(kind, key, x.session_id) AND (hh_sees_run(x.run_id){beside}))")
        elif each.owner == "run_id":
            found.append(f"{row}hh_shows_run(kind, key, x.run_id))")
        elif each.owner == "subject_id":  # the fold of the run has it too
            column = TABLES[table].state_column
            found.append(f"EXISTS (SELECT 1 FROM runs AS x WHERE x.{column} = key AND hh_shows_run(kind, key, x.id))")
        elif each.table == "model_versions":
            found.append(f"{row}hh_shows_version(kind, key, x.id))")
        else:
            owner = "id" if each.table == "sessions" else "session_id"
            found.append(f"{row}hh_shows_session(kind, key, x.{owner}))")
    if table == "contents":
        found += [
            # Texts of code lie there under the hashes that a version of the code names.
            "EXISTS (SELECT 1 FROM sessions AS x JOIN code_versions AS v ON v.id = x.code_version_id "
            "WHERE strpos(v.details, key) > 0 AND hh_shows_session(kind, key, x.id))",
            "EXISTS (SELECT 1 FROM run_artifacts AS x JOIN contents AS c ON c.sha256 = x.sha256 "
            "WHERE x.sha256 = key AND c.kind = 'manifest' AND hh_shows_run(kind, key, x.run_id))",
            "EXISTS (SELECT 1 FROM model_versions AS x JOIN contents AS c ON c.sha256 = x.sha256 "
            "WHERE x.sha256 = key AND c.kind = 'manifest' AND hh_shows_version(kind, key, x.id))",
        ]
    return "\n        OR ".join(found)


_FUNCTIONS = r"""
CREATE OR REPLACE FUNCTION hh_role() RETURNS name LANGUAGE sql STABLE
SET search_path FROM CURRENT AS $$
  SELECT CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role')::name END
$$;
COMMENT ON FUNCTION hh_role IS 'The role that asks, also inside functions with the rights of the owner.';
CREATE OR REPLACE FUNCTION hh_is_oneself() RETURNS boolean LANGUAGE sql STABLE
SET search_path FROM CURRENT AS $$
  SELECT hh_role() = session_user
$$;
COMMENT ON FUNCTION hh_is_oneself IS 'Whether the role that asks is the one that logged in, not one that it acts for.';
CREATE OR REPLACE FUNCTION hh_projects() RETURNS text[] LANGUAGE sql STABLE SECURITY DEFINER
SET search_path FROM CURRENT AS $$
  SELECT coalesce(array_agg(p.project), '{}') FROM project_readers AS p
  JOIN pg_catalog.pg_roles AS r ON r.rolname = p.role WHERE pg_has_role(hh_role(), r.oid, 'USAGE')
$$;
COMMENT ON FUNCTION hh_projects IS 'The projects that the role that asks may read; * stands for all.';
CREATE OR REPLACE FUNCTION hh_sees_all() RETURNS boolean LANGUAGE sql STABLE
SET search_path FROM CURRENT AS $$
  SELECT '*' = ANY (hh_projects())
$$;
COMMENT ON FUNCTION hh_sees_all IS 'Whether the role that asks may read all projects.';
CREATE OR REPLACE FUNCTION hh_own_sessions() RETURNS SETOF text LANGUAGE sql STABLE SECURITY DEFINER
SET search_path FROM CURRENT AS $$
  SELECT id FROM sessions WHERE pushed_by = session_user AND hh_is_oneself()
$$;
COMMENT ON FUNCTION hh_own_sessions IS 'The sessions that the role that asks has pushed.';
CREATE OR REPLACE FUNCTION hh_sees_run(key text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path FROM CURRENT AS $$
  SELECT EXISTS (
    SELECT 1 FROM runs AS r JOIN sessions AS s ON s.id = r.session_id WHERE r.id = key
      AND (r.project = ANY (hh_projects()) OR hh_sees_all() OR (s.pushed_by = session_user AND hh_is_oneself()))
  )
$$;
COMMENT ON FUNCTION hh_sees_run IS 'Whether the role that asks sees a run.';
CREATE OR REPLACE FUNCTION hh_sees_version(key text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path FROM CURRENT AS $$
  SELECT EXISTS (SELECT 1 FROM model_versions AS v WHERE v.id = key AND hh_sees_run(v.run_id))
$$;
COMMENT ON FUNCTION hh_sees_version IS 'Whether the role that asks sees a version of a model.';
CREATE OR REPLACE FUNCTION hh_sees_session(key text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path FROM CURRENT AS $$
  SELECT EXISTS (
    SELECT 1 FROM sessions AS s WHERE s.id = key AND s.pushed_by = session_user AND hh_is_oneself()
  ) OR EXISTS (
    SELECT 1 FROM runs AS r WHERE r.session_id = key AND r.project = ANY (hh_projects())
  ) OR EXISTS (
    SELECT 1 FROM ledger_parts AS p WHERE p.session_id = key AND p.scope <> key AND hh_sees_run(p.scope)
  )
$$;
COMMENT ON FUNCTION hh_sees_session IS 'Whether the role that asks sees a session: one that wrote of a run it sees.';
CREATE OR REPLACE FUNCTION hh_sees_content(kind text, key text) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
BEGIN
  CASE kind
{cases}
    ELSE RETURN false;
  END CASE;
END
$$;
COMMENT ON FUNCTION hh_sees_content IS 'Whether the role that asks sees shared content: by a run or session it sees.';
CREATE OR REPLACE FUNCTION hh_sees_part(session text, kind text, key text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF kind IN ({content}) THEN
    RETURN hh_sees_content(kind, key) AND hh_sees_session(session);
  ELSIF kind IN ('model_versions', 'model_events') THEN
    RETURN hh_sees_version(key);
  ELSIF key = session THEN
    RETURN hh_sees_session(session);
  END IF;
  RETURN hh_sees_run(key);
END
$$;
COMMENT ON FUNCTION hh_sees_part IS 'Whether the role that asks sees a part of a ledger line: what it covers.';
"""
