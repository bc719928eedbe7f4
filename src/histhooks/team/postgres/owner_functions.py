"""Functions of a target that act with the rights of its owner: each does, or tells, only what its words say."""

from __future__ import annotations

import re
from importlib import resources

from histhooks.team.postgres.possession import holding_sql
from histhooks.team.postgres.rights import fold_sql
from histhooks.team.postgres.sight import functions

_OF_SQL = re.compile(
    r"(CREATE OR REPLACE FUNCTION \w+\([^)]*\) RETURNS (?:boolean|name|text\[\])\s+LANGUAGE )sql( STABLE[^$]*\$\$\n)"
    r"((?:(?!\$\$).)*?)\n\$\$;",
    re.S,
)
_BEFORE = r"""
CREATE OR REPLACE FUNCTION hh_is_known(subject text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path FROM CURRENT AS $$
  SELECT EXISTS (SELECT 1 FROM runs WHERE id = subject) OR EXISTS (SELECT 1 FROM sessions WHERE id = subject)
$$;
COMMENT ON FUNCTION hh_is_known IS 'Whether there is such a run or session.';
CREATE OR REPLACE FUNCTION hh_heads(ids text[], seqs bigint[])
RETURNS TABLE (session_id text, seq bigint, digest text, same text, is_mine boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT a.id, l.seq, l.digest, o.digest, coalesce(w.pushed_by = session_user, true)
  FROM unnest(ids, seqs) AS a (id, seq)
  CROSS JOIN LATERAL (
    SELECT t.seq, t.digest FROM ledger AS t WHERE t.session_id = a.id ORDER BY t.seq DESC LIMIT 1
  ) AS l
  LEFT JOIN ledger AS o ON o.session_id = a.id AND o.seq = a.seq
  LEFT JOIN sessions AS w ON w.id = a.id
$$;
COMMENT ON FUNCTION hh_heads IS 'Of sessions that are named: their last lines here, and who may add to them.';
CREATE OR REPLACE FUNCTION hh_graves(ids text[])
RETURNS TABLE (action text, subject_id text, digests text, session_id text, seq bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT t.action, t.subject_id, t.digests, t.session_id, p.seq FROM tombstones AS t
  JOIN ledger_parts AS p ON p.session_id = t.session_id AND p.table_name = 'tombstones'
    AND p.scope = t.session_id AND t.ordinal BETWEEN p.first AND p.last
  WHERE t.subject_id = ANY (ids)
  UNION ALL SELECT 'evict', e.scope, '[]', e.table_name, 0 FROM evictions AS e WHERE e.scope = ANY (ids)
$$;
COMMENT ON FUNCTION hh_graves IS 'Of runs and contents that are named: what was deleted, redacted or evicted.';
CREATE OR REPLACE FUNCTION hh_last_receipt() RETURNS TABLE (seq bigint, digest text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT r.seq, r.digest FROM receipts AS r ORDER BY r.seq DESC LIMIT 1
$$;
COMMENT ON FUNCTION hh_last_receipt IS 'The receipt that the next one follows.';
CREATE OR REPLACE FUNCTION hh_canonical(said text) RETURNS text LANGUAGE plpgsql IMMUTABLE
SET search_path FROM CURRENT AS $$
DECLARE
  written text := to_json(said)::text;
  sign text;
  code integer;
BEGIN
  IF said IS NULL THEN
    RETURN 'null';
  END IF;
  FOREACH sign IN ARRAY regexp_split_to_array(regexp_replace(written, '[\u0001-\u007e]', '', 'g'), '') LOOP
    code := ascii(sign);
    IF code > 65535 THEN
      written := replace(written, sign, '\u' || to_hex(55296 + ((code - 65536) >> 10))
        || '\u' || to_hex(56320 + ((code - 65536) & 1023)));
    ELSIF code > 126 THEN
      written := replace(written, sign, '\u' || lpad(to_hex(code), 4, '0'));
    END IF;
  END LOOP;
  RETURN written;
END
$$;
COMMENT ON FUNCTION hh_canonical IS 'A text in canonical JSON, as digests take it.';
CREATE OR REPLACE FUNCTION hh_check_receipt() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
  before record;
  heads text;
BEGIN
  IF pg_has_role(session_user, current_user, 'MEMBER') THEN
    RETURN NEW;
  END IF;
  SELECT r.seq, r.digest INTO before FROM receipts AS r ORDER BY r.seq DESC LIMIT 1;
  IF NEW.seq <> coalesce(before.seq + 1, 0) OR NEW.previous IS DISTINCT FROM before.digest
    OR abs(extract(epoch FROM NEW.pushed_at::timestamptz - clock_timestamp())) > 3600
  THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'receipt ' || NEW.seq || ' does not follow the last';
  END IF;
  IF EXISTS (
    SELECT 1 FROM jsonb_array_elements(NEW.heads::jsonb) AS h WHERE NOT EXISTS (
      SELECT 1 FROM ledger AS l WHERE l.session_id = h ->> 0 AND l.seq = (h ->> 1)::bigint AND l.digest = h ->> 2
    )
  ) THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'receipt ' || NEW.seq || ' names a line of nobody';
  END IF;
  SELECT coalesce(string_agg(
    concat('[', hh_canonical(h.v ->> 0), ',', h.v ->> 1, ',', hh_canonical(h.v ->> 2), ']'), ',' ORDER BY h.i
  ), '') INTO heads FROM jsonb_array_elements(NEW.heads::jsonb) WITH ORDINALITY AS h (v, i);
  IF NEW.digest <> encode(sha256(convert_to(
    concat_ws(',', '["histhooks-receipt-1"', NEW.seq, hh_canonical(NEW.pushed_by), hh_canonical(NEW.pushed_at),
      hh_canonical(NEW.store_id), hh_canonical(NEW.recorder_version), NEW.n_rows, '[' || heads || ']',
      hh_canonical(NEW.previous) || ']'), 'UTF8')), 'hex')
  THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'receipt ' || NEW.seq || ' has another digest';
  END IF;
  RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER follows BEFORE INSERT ON receipts FOR EACH ROW EXECUTE FUNCTION hh_check_receipt();
CREATE OR REPLACE FUNCTION hh_check_package() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
  -- The packages of an environment come with it: one that was here before has all of them.
  IF has_table_privilege(session_user, TG_RELID, 'DELETE') OR EXISTS (
    SELECT 1 FROM environments AS e WHERE e.id = NEW.environment_id
      AND e.xmin::text::bigint = (pg_current_xact_id()::text::bigint & 4294967295)
  ) THEN
    RETURN NEW;
  END IF;
  RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER comes_whole BEFORE INSERT ON packages FOR EACH ROW EXECUTE FUNCTION hh_check_package();
CREATE OR REPLACE FUNCTION hh_check_times() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  each record;
BEGIN
  -- Readers take them for times: one that is none would stop whoever reads the row.
  FOR each IN SELECT e.key, e.value FROM jsonb_each_text(to_jsonb(NEW)) AS e WHERE e.key ~ '_at$' LOOP
    IF each.value !~ '^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.\d{1,6})?Z$' THEN
      RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = each.key || ' is no time: ' || left(each.value, 40);
    END IF;
  END LOOP;
  RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER has_times BEFORE INSERT OR UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION hh_check_times();
CREATE OR REPLACE TRIGGER has_times BEFORE INSERT OR UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION hh_check_times();
CREATE OR REPLACE FUNCTION hh_check_chunk() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
  IF NOT has_table_privilege(session_user, TG_RELID, 'DELETE') AND (
    NEW.count <= OLD.count
    OR (NEW.times[1:OLD.count], NEW."values"[1:OLD.count]) IS DISTINCT FROM (OLD.times, OLD."values")
    OR (OLD.steps IS NOT NULL AND NEW.steps[1:OLD.count] IS DISTINCT FROM OLD.steps)
    OR (OLD.epochs IS NOT NULL AND NEW.epochs[1:OLD.count] IS DISTINCT FROM OLD.epochs)
  ) THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'permission denied to change points';
  END IF;
  RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER only_grows BEFORE UPDATE ON point_chunks FOR EACH ROW EXECUTE FUNCTION hh_check_chunk();
CREATE OR REPLACE FUNCTION hh_refold(subjects text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
"""
_FACTS = r"""  WITH facts AS (
    SELECT l.subject_id, json_object_agg(l.key, l.value) AS said, array_agg(l.key) AS keys,
      bool_or(l.key = 'started_at') AS is_whole
    FROM (
      SELECT DISTINCT ON (s.subject_id, e.key) s.subject_id, e.key, e.value
      FROM states AS s
      CROSS JOIN LATERAL pg_catalog.json_each(hh_said(s.state)) AS e
      WHERE s.subject_id = ANY (subjects)
      ORDER BY s.subject_id, e.key, s.time DESC, s.session_id DESC, s.ordinal DESC
    ) AS l
    GROUP BY l.subject_id
  )
"""
_AFTER = r"""END
$$;
COMMENT ON FUNCTION hh_refold IS 'Makes the rows of some sessions and runs what their states say.';
CREATE OR REPLACE FUNCTION hh_check_states() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
  others text[];
BEGIN
  IF has_table_privilege(session_user, TG_RELID, 'DELETE') THEN
    RETURN NULL;
  END IF;
  SELECT array_agg(DISTINCT n.subject_id) INTO others FROM new_states AS n WHERE hh_is_known(n.subject_id)
    AND NOT EXISTS (SELECT 1 FROM sessions AS s WHERE s.id = n.subject_id AND s.pushed_by = session_user)
    AND NOT EXISTS (
      SELECT 1 FROM runs AS r JOIN sessions AS s ON s.id = r.session_id
      WHERE r.id = n.subject_id AND s.pushed_by = session_user
    );
  IF others IS NULL THEN
    RETURN NULL;
  END IF;
  -- Whose session a run is of may write it: no other role says that.
  IF EXISTS (
    SELECT 1 FROM new_states AS n JOIN runs AS r ON r.id = n.subject_id
    CROSS JOIN LATERAL pg_catalog.json_each(hh_said(n.state)) AS e
    WHERE n.subject_id = ANY (others) AND e.key = 'session_id' AND e.value #>> '{}' IS DISTINCT FROM r.session_id
  ) THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
      MESSAGE = 'permission denied to say that a run of another role is of another session';
  END IF;
  -- At once: what cannot be folded would stop the next push of whoever it belongs to.
  PERFORM hh_refold(others);
  RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER can_be_folded AFTER INSERT ON states REFERENCING NEW TABLE AS new_states
FOR EACH STATEMENT EXECUTE FUNCTION hh_check_states();
"""


def functions_sql() -> str:
    """The SQL that makes them, in the schema that is first in `search_path`, or makes them again.

    Returns
    -------
    str
    """
    folds = "".join(f"{_FACTS}{fold}" for fold in fold_sql())
    contents = resources.files("histhooks._store").joinpath("contents_pg.sql").read_text(encoding="utf-8")
    return planned_once(f"{functions().lstrip()}{_BEFORE.lstrip()}{folds}{_AFTER}{contents}{holding_sql()}")


def planned_once(sql: str) -> str:
    """Functions of one value in PL/pgSQL, which plans a question once in a connection; SQL's are planned in each call.

    Parameters
    ----------
    sql : str

    Returns
    -------
    str
    """
    return _OF_SQL.sub(r"\1plpgsql\2BEGIN\n  RETURN (\n\3\n  );\nEND\n$$;", sql)
