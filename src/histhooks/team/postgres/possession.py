"""Who has brought shared content: nobody reads a content by its hash alone.

A role that names a content in a run of its own shows it to those who see that run. So it counts only if the role has
brought the content itself, which the target compares with what it has. What a role has brought stands in
`content_holders`, where roles read only their projects.
"""

from __future__ import annotations

from histhooks._store.tables import COVERED, TABLES, of_kind

# Not the packages: those of an environment come together, or none of them counts.
_ONE_ROW = tuple(name for name in of_kind("content") if COVERED[name].order == "1")

_HOLDING = r"""
CREATE OR REPLACE FUNCTION hh_hold(of_table text, content text) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
  INSERT INTO content_holders (table_name, key, role) SELECT of_table, content, session_user::text
  WHERE EXISTS (SELECT 1 FROM store_info WHERE key = 'rights' AND value = 'by-project') ON CONFLICT DO NOTHING
$$;
COMMENT ON FUNCTION hh_hold IS 'Keeps that the role that logged in has brought a content.';
CREATE OR REPLACE FUNCTION hh_lock() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
  -- A lock that no reader can take: an advisory one could be held by whoever may connect.
  LOCK TABLE store_info IN EXCLUSIVE MODE;
END
$$;
COMMENT ON FUNCTION hh_lock IS 'Waits until no other push writes, until the end of the transaction.';
CREATE OR REPLACE FUNCTION hh_hold_packages(environment text, names text[], versions text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM packages WHERE environment_id = environment) AND NOT EXISTS (
    SELECT 1 FROM (SELECT p.name, p.version FROM packages AS p WHERE p.environment_id = environment) AS own
    FULL JOIN unnest(names, versions) AS given (name, version)
      ON given.name = own.name AND given.version IS NOT DISTINCT FROM own.version
    WHERE own.name IS NULL OR given.name IS NULL
  ) THEN
    PERFORM hh_hold('packages', environment);
  END IF;
END
$$;
COMMENT ON FUNCTION hh_hold_packages IS 'Keeps that a role has brought all packages of an environment.';
CREATE OR REPLACE FUNCTION hh_unheld(kinds text[], ids text[]) RETURNS TABLE (kind text, id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT a.kind, a.id FROM unnest(kinds, ids) AS a (kind, id)
  WHERE CASE a.kind
{cases}
    ELSE false
  END AND NOT EXISTS (
    SELECT 1 FROM content_holders AS h WHERE h.table_name = a.kind AND h.key = a.id AND h.role = session_user
  )
$$;
COMMENT ON FUNCTION hh_unheld IS 'Of contents that are named: what is here and the role has not brought.';
CREATE OR REPLACE FUNCTION hh_holds(of_table text, content text, by_session text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT EXISTS (
    SELECT 1 FROM sessions AS s JOIN content_holders AS h ON h.role = s.pushed_by
    WHERE s.id = by_session AND h.table_name = of_table AND h.key = content
  )
$$;
COMMENT ON FUNCTION hh_holds IS 'Whether the role that pushed a session has brought a content.';
CREATE OR REPLACE FUNCTION hh_shows_run(of_table text, content text, by_run text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT hh_sees_run(by_run)
    AND EXISTS (SELECT 1 FROM runs AS r WHERE r.id = by_run AND hh_holds(of_table, content, r.session_id))
$$;
COMMENT ON FUNCTION hh_shows_run IS 'Whether the role that asks sees a content by a run that names it.';
CREATE OR REPLACE FUNCTION hh_shows_session(of_table text, content text, by_session text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT hh_sees_session(by_session) AND hh_holds(of_table, content, by_session)
$$;
COMMENT ON FUNCTION hh_shows_session IS 'Whether the role that asks sees a content by a session that names it.';
CREATE OR REPLACE FUNCTION hh_shows_version(of_table text, content text, by_version text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT hh_sees_version(by_version)
    AND EXISTS (SELECT 1 FROM model_versions AS v WHERE v.id = by_version AND hh_holds(of_table, content, v.session_id))
$$;
COMMENT ON FUNCTION hh_shows_version IS 'Whether the role that asks sees a content by a model version that names it.';
"""
_BRINGING = r"""
CREATE OR REPLACE FUNCTION hh_bring_{table}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
  there {table};
BEGIN
  SELECT * INTO there FROM {table} AS c WHERE c.{key} = NEW.{key};
  IF NOT FOUND THEN
    PERFORM hh_lock(); -- else it would count as new while another push brings it
    SELECT * INTO there FROM {table} AS c WHERE c.{key} = NEW.{key};
  END IF;
{checked}  IF there.{key} IS NULL OR ({theirs}) IS NOT DISTINCT FROM ({given}) THEN
    PERFORM hh_hold('{table}', NEW.{key});
  END IF;
  RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER is_brought BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION hh_bring_{table}();
"""
# A content that is there already has been looked at, unless it came before there was this rule.
_CHECKED = """  IF there.sha256 IS NULL OR ({theirs}) IS DISTINCT FROM ({given}) THEN
    IF NOT hh_is_content(NEW.sha256, NEW.size_bytes, NEW.encoding, NEW.data) THEN
      RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'content ' || NEW.sha256 || ' has another SHA-256';
    ELSIF there.sha256 IS NOT NULL THEN
      PERFORM hh_hold('contents', NEW.sha256); -- two builds of zlib pack a text differently
      IF NOT hh_is_content(there.sha256, there.size_bytes, there.encoding, there.data) THEN
        UPDATE contents SET kind = NEW.kind, size_bytes = NEW.size_bytes, encoding = NEW.encoding, data = NEW.data
        WHERE sha256 = NEW.sha256;
      END IF;
      RETURN NULL;
    END IF;
  END IF;
"""
# Called by functions of the owner's only.
OF_THE_OWNER = (
    "hh_hold(text, text)", "hh_holds(text, text, text)", "hh_shows_run(text, text, text)",
    "hh_shows_session(text, text, text)", "hh_shows_version(text, text, text)",
)  # fmt: skip
OF_WRITERS = ("hh_lock()", "hh_hold_packages(text, text[], text[])", "hh_unheld(text[], text[])")


def holding_sql() -> str:
    """The SQL of the functions and triggers that keep who has brought what."""
    cases = "\n".join(
        f"    WHEN '{name}' THEN EXISTS (SELECT 1 FROM {name} AS c WHERE c.{COVERED[name].scope} = a.id)"
        for name in of_kind("content")
    )
    return _HOLDING.replace("{cases}", cases).lstrip() + "".join(map(_trigger, _ONE_ROW)).lstrip()


def _trigger(table: str) -> str:
    spec = COVERED[table]
    # Which format a file has is no secret, and versions of histhooks name it differently.
    compared = [name for name in spec.columns if (table, name) != ("artifacts", "format")]
    theirs, given = (", ".join(f"{row}.{name}" for name in compared) for row in ("there", "NEW"))
    checked = _CHECKED.format(theirs=theirs, given=given) if table == "contents" else ""
    return _BRINGING.format(table=table, key=spec.scope, theirs=theirs, given=given, checked=checked)


def backfill_sql() -> str:
    """The SQL that counts whatever is named as brought: what came before there was this rule."""
    found = []
    for table in of_kind("content"):
        named = "\n    UNION ".join(_naming(table))
        found.append(
            f"INSERT INTO content_holders (table_name, key, role) SELECT DISTINCT '{table}', n.key, s.pushed_by\n"
            f"  FROM ({named}) AS n (key, session)\n  JOIN sessions AS s ON s.id = n.session\n"
            f"  WHERE EXISTS (SELECT 1 FROM {table} AS c WHERE c.{COVERED[table].scope} = n.key) "
            "ON CONFLICT DO NOTHING;\n"
        )
    return "".join(found)


def _naming(table: str) -> list[str]:
    """Where a content is named, and by which session."""
    of_run = "SELECT x.{0}, r.session_id FROM {1} AS x JOIN runs AS r ON r.id = x.run_id"
    found = []
    for each in COVERED[table].named_by:
        column = "sha256" if each.column.startswith("(") else each.column
        if each.table == "states":  # the fold of the run has it too
            found.append(f"SELECT {TABLES[table].state_column}, session_id FROM runs")
        elif each.table == "sessions":
            found.append(f"SELECT {column}, id FROM sessions")
        elif "session_id" in TABLES[each.table].columns:
            found.append(f"SELECT {column}, session_id FROM {each.table}")
        else:
            found.append(of_run.format(column, each.table))
    if table == "contents":
        found.append(
            "SELECT d.found[1], x.id FROM sessions AS x JOIN code_versions AS v ON v.id = x.code_version_id "
            "CROSS JOIN LATERAL regexp_matches(v.details, '[0-9a-f]{64}', 'g') AS d (found)"
        )
    return found
