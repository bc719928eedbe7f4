"""Write ``src/histhooks/_store/schema_pg.sql`` from ``schema.sql``: ``python docs/tools/make_schema_pg.py``.

The tables, columns, checks, indexes, views and comments are those of SQLite, in PostgreSQL's words. What only a target
of a team has stands in ``TARGET`` of this file. Foreign keys are left out, since no store enforces them: the parent of
a run may come later, and what a tombstone removed is still named.
"""

from __future__ import annotations

import importlib.util
import re
import sqlite3
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "src" / "histhooks" / "_store" / "schema.sql"
TEXT = ROOT / "src" / "histhooks" / "_store" / "schema_pg.sql"

_TYPES = {"TEXT": 'text COLLATE "C"', "INTEGER": "bigint", "REAL": "double precision", "BLOB": "bytea"}
# Stored in another form, or of a file alone.
_OTHERWISE = {"points", "rollups", "_sqlite_migrations"}
_VIEWS_OF_POINTS = {"metrics"}
_DEFAULTS = {("evictions", "evicted_by"): "session_user"}
_MORE = {
    "sessions": [("pushed_by", "text NOT NULL DEFAULT session_user", "the role that pushed it")],
    "metric_summaries": [
        (
            "best",
            "double precision GENERATED ALWAYS AS (CASE direction WHEN 1 THEN max WHEN -1 THEN min END) STORED",
            "the best value, where it is known which direction is better",
        )
    ],
}

TARGET = r"""
-- Points in chunks: one row for 1,024 of them takes an eighth of the bytes of a row each.
CREATE TABLE point_chunks (
  series bigint NOT NULL,
  chunk bigint NOT NULL CHECK (chunk >= 0),
  count integer NOT NULL CHECK (count BETWEEN 1 AND 1024),
  steps bigint[],
  epochs bigint[],
  times bigint[] NOT NULL,
  "values" double precision[] NOT NULL,
  specials text COLLATE "C",
  min double precision,
  max double precision,
  mean double precision,
  finite integer NOT NULL,
  PRIMARY KEY (series, chunk)
) WITH (fillfactor = 70);
COMMENT ON TABLE point_chunks IS 'The points of a curve, 1024 a row. Read the view metrics instead.';
COMMENT ON COLUMN point_chunks.series IS 'the series';
COMMENT ON COLUMN point_chunks.chunk IS '0-based; it begins at point 1024 * chunk';
COMMENT ON COLUMN point_chunks.count IS 'points in it';
COMMENT ON COLUMN point_chunks.steps IS '0-based steps; NULL where they are n';
COMMENT ON COLUMN point_chunks.epochs IS '0-based epochs; NULL where there are none';
COMMENT ON COLUMN point_chunks.times IS 'microseconds since start_time of the series';
COMMENT ON COLUMN point_chunks."values" IS 'the values; NULL where one is not finite';
COMMENT ON COLUMN point_chunks.specials IS
  'a letter a point: n for nan, + for inf, - for -inf, . for a finite value; NULL where all are finite';
COMMENT ON COLUMN point_chunks.min IS 'least finite value';
COMMENT ON COLUMN point_chunks.max IS 'greatest finite value';
COMMENT ON COLUMN point_chunks.mean IS 'mean of the finite values';
COMMENT ON COLUMN point_chunks.finite IS 'finite points';
DO $$ BEGIN
  ALTER TABLE point_chunks ALTER COLUMN "values" SET COMPRESSION lz4, ALTER COLUMN times SET COMPRESSION lz4,
    ALTER COLUMN steps SET COMPRESSION lz4, ALTER COLUMN epochs SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN NULL;
END $$;
CREATE VIEW points AS
SELECT
  c.series AS series,
  c.chunk * 1024 + u.i - 1 AS n,
  u.step AS step,
  u.epoch AS epoch,
  u.time AS time,
  u.value AS value,
  CASE substr(c.specials, u.i::integer, 1) WHEN 'n' THEN 'nan' WHEN '+' THEN 'inf' WHEN '-' THEN '-inf' END AS special
FROM point_chunks AS c
CROSS JOIN LATERAL unnest(c.steps, c.epochs, c.times, c."values") WITH ORDINALITY AS u (step, epoch, time, value, i);
CREATE VIEW rollups AS
SELECT
  c.series AS series,
  2::bigint AS level,
  c.chunk AS bucket,
  coalesce(c.steps[1], c.chunk * 1024) AS first_step,
  coalesce(c.steps[1024], c.chunk * 1024 + 1023) AS last_step,
  c.finite::bigint AS count,
  c.min AS min,
  c.max AS max,
  c.mean AS mean
FROM point_chunks AS c
WHERE c.count = 1024;
{metrics}
CREATE TABLE store_info (
  key text COLLATE "C" NOT NULL PRIMARY KEY,
  value text COLLATE "C" NOT NULL
);
COMMENT ON TABLE store_info IS 'Facts of this target: store_id, schema_version, created_at.';
COMMENT ON COLUMN store_info.key IS 'name of the fact';
COMMENT ON COLUMN store_info.value IS 'the fact';
CREATE TABLE receipts (
  seq bigint NOT NULL PRIMARY KEY CHECK (seq >= 0),
  pushed_by text COLLATE "C" NOT NULL DEFAULT session_user,
  pushed_at text COLLATE "C" NOT NULL,
  store_id text COLLATE "C" NOT NULL,
  recorder_version text COLLATE "C" NOT NULL,
  n_rows bigint NOT NULL CHECK (n_rows >= 0),
  heads text COLLATE "C" NOT NULL,
  previous text COLLATE "C",
  digest text COLLATE "C" NOT NULL
);
COMMENT ON TABLE receipts IS 'One row a transaction of a push, chained: the target is a witness of what it was given.';
COMMENT ON COLUMN receipts.seq IS '0-based';
COMMENT ON COLUMN receipts.pushed_by IS 'the role that pushed';
COMMENT ON COLUMN receipts.pushed_at IS 'ISO-8601 UTC, by the clock of the server';
COMMENT ON COLUMN receipts.store_id IS 'id of the first session of the store that was pushed';
COMMENT ON COLUMN receipts.recorder_version IS 'version of histhooks that pushed';
COMMENT ON COLUMN receipts.n_rows IS 'rows that the ledger lines cover';
COMMENT ON COLUMN receipts.heads IS 'JSON: the last line of each session that it brought, as [session, seq, digest]';
COMMENT ON COLUMN receipts.previous IS 'digest of the receipt before';
COMMENT ON COLUMN receipts.digest IS 'SHA-256 of the receipt';
CREATE TABLE conflicts (
  session_id text COLLATE "C" NOT NULL,
  what text COLLATE "C" NOT NULL,
  seq bigint,
  digest text COLLATE "C",
  other_digest text COLLATE "C",
  store_id text COLLATE "C" NOT NULL,
  pushed_by text COLLATE "C" NOT NULL DEFAULT session_user,
  found_at text COLLATE "C" NOT NULL,
  PRIMARY KEY (session_id, what, store_id)
);
COMMENT ON TABLE conflicts IS 'Sessions that a push was refused for: target or ledger says otherwise.';
COMMENT ON COLUMN conflicts.session_id IS 'the session';
COMMENT ON COLUMN conflicts.what IS 'what differs, in words';
COMMENT ON COLUMN conflicts.seq IS 'the ledger line, where it is one';
COMMENT ON COLUMN conflicts.digest IS 'its digest here';
COMMENT ON COLUMN conflicts.other_digest IS 'its digest in the store that was pushed';
COMMENT ON COLUMN conflicts.store_id IS 'id of the first session of the store that was pushed';
COMMENT ON COLUMN conflicts.pushed_by IS 'the role that pushed';
COMMENT ON COLUMN conflicts.found_at IS 'ISO-8601 UTC, by the clock of the server';
CREATE TABLE project_readers (
  project text COLLATE "C" NOT NULL,
  role text COLLATE "C" NOT NULL,
  PRIMARY KEY (project, role)
);
COMMENT ON TABLE project_readers IS 'Which roles may read which projects, where the target was made with --by-project.';
COMMENT ON COLUMN project_readers.project IS 'the project; * for all';
COMMENT ON COLUMN project_readers.role IS 'the role';
CREATE TABLE content_holders (
  table_name text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  role text COLLATE "C" NOT NULL,
  PRIMARY KEY (table_name, key, role)
);
COMMENT ON TABLE content_holders IS
  'Which roles have brought which shared content, where the target was made with --by-project.';
COMMENT ON COLUMN content_holders.table_name IS 'the table of the content';
COMMENT ON COLUMN content_holders.key IS 'its id or SHA-256';
COMMENT ON COLUMN content_holders.role IS 'the role';
CREATE INDEX runs_by_start ON runs (started_at DESC, id DESC);
CREATE INDEX metric_summaries_by_best ON metric_summaries (name, best) INCLUDE (run_id);
CREATE INDEX params_by_key ON params (key, run_id, ordinal DESC);
CREATE INDEX results_by_key ON results (key, run_id, ordinal DESC);
CREATE INDEX tags_by_key ON tags (key, run_id, time DESC, ordinal DESC);
CREATE INDEX ledger_parts_by_scope ON ledger_parts (scope, table_name);
-- By which rows a content is seen: where roles read their projects, each row of it is looked for.
CREATE INDEX run_datasets_by_dataset ON run_datasets (dataset_id);
CREATE INDEX dataset_columns_by_dataset ON dataset_columns (dataset_id);
CREATE INDEX dataset_sketches_by_dataset ON dataset_sketches (dataset_id);
CREATE INDEX dataset_sketches_by_content ON dataset_sketches (content_sha256);
CREATE INDEX dataset_overlaps_by_dataset ON dataset_overlaps (dataset_id);
CREATE INDEX dataset_overlaps_by_other ON dataset_overlaps (other_dataset_id);
CREATE INDEX transforms_by_dataset ON transforms (fitted_dataset_id);
CREATE INDEX rng_states_by_digest ON rng_states (digest);
CREATE INDEX signatures_by_content ON signatures (content_sha256);
CREATE INDEX sessions_by_environment ON sessions (environment_id);
CREATE INDEX sessions_by_code ON sessions (code_version_id);
CREATE INDEX runs_by_architecture ON runs (architecture_id);
CREATE INDEX run_links_by_sha256 ON run_links (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX model_versions_by_sha256 ON model_versions (sha256);
-- SQLite's functions of JSON, for text that is JSON: jsonb would refuse an escaped U+0000 and forget the exact words.
CREATE FUNCTION json_extract(document text, path text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT document::json #>>
    string_to_array(replace(replace(regexp_replace(path, '^\$[.]?', ''), '[', '.'), ']', ''), '.')
$$;
CREATE FUNCTION json_each(document text) RETURNS TABLE (key text, value text, type text)
LANGUAGE plpgsql IMMUTABLE AS $$
#variable_conflict use_column
DECLARE
  given json := document::json;
BEGIN
  IF json_typeof(given) = 'object' THEN
    RETURN QUERY SELECT e.key, e.value #>> '{{}}', json_typeof(e.value) FROM pg_catalog.json_each(given) AS e;
  ELSIF json_typeof(given) = 'array' THEN
    RETURN QUERY SELECT (e.i - 1)::text, e.value #>> '{{}}', json_typeof(e.value)
      FROM json_array_elements(given) WITH ORDINALITY AS e (value, i);
  END IF;
END
$$;
"""


def _make_schema() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_schema", Path(__file__).with_name("make_schema.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _column(line: str) -> str:
    """One line of a column's definition, or of a constraint, in PostgreSQL's words."""
    line = re.sub(r" REFERENCES \w+ \(\w+\)( DEFERRABLE INITIALLY DEFERRED)?", "", line)
    line = re.sub(r" CHECK \((?:\w+ IS NULL OR )?json_valid\(\w+\)\)", "", line)
    return re.sub(r"^(  \w+) (TEXT|INTEGER|REAL|BLOB)\b", lambda m: f"{m[1]} {_TYPES[m[2]]}", line)


def _table(name: str, sql: str, comments: dict[str, str], sentence: str) -> list[str]:
    lines = [line.partition(" -- ")[0].rstrip() for line in sql.splitlines()[1:-1]]
    body = [_column(line) for line in lines if "FOREIGN KEY" not in line]
    for column, default in ((column, default) for (table, column), default in _DEFAULTS.items() if table == name):
        body = [re.sub(rf"^(  {column} .*?),?$", rf"\1 DEFAULT {default},", line) for line in body]
    if name == "metric_summaries":
        body[0] = "  series bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,"
    last = [column for column in body if column.startswith("  ")]
    last[-1] = last[-1].rstrip(",")
    more = _MORE.get(name, [])
    if more:
        last[-1] += ","
        last += [f"  {column} {kind}," for column, kind, _ in more]
        last[-1] = last[-1].rstrip(",")
    out = [f"CREATE TABLE {name} (", *last, ");", f"COMMENT ON TABLE {name} IS {_quoted(sentence)};"]
    known = [*comments.items(), *((column, comment) for column, _, comment in more)]
    return out + [f"COMMENT ON COLUMN {name}.{column} IS {_quoted(comment)};" for column, comment in known]


def _view(name: str, sql: str, sentence: str) -> list[str]:
    sql = sql.replace("\n)\nWHERE place", "\n) AS ranked\nWHERE place")
    return [f"{sql};", f"COMMENT ON VIEW {name} IS {_quoted(sentence)};"]


def text() -> str:
    """The text of ``schema_pg.sql``.

    Returns
    -------
    str
        SQL that builds a target in the schema that is first in ``search_path``.
    """
    pages = _make_schema()
    sentences = {name: sentence for tables in pages.SECTIONS.values() for name, sentence in tables.items()}
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA.read_text(encoding="utf-8"))
    (version,) = db.execute("PRAGMA user_version").fetchone()
    rows = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
    lines = [
        "-- Generated by `python docs/tools/make_schema_pg.py` from schema.sql; a test holds it to that.",
        f"-- Schema version {version}.",
    ]
    metrics = ""
    for kind, name, table, sql in rows.fetchall():
        if table in _OTHERWISE:
            continue
        if name in _VIEWS_OF_POINTS:
            metrics = "\n".join(_view(name, sql, sentences[name]))
        elif kind == "table":
            lines += _table(name, sql.replace(f'"{name}"', name, 1), pages.comments_of(sql), sentences[name])
        elif kind == "view":
            lines += _view(name, sql, sentences[name])
        else:
            lines.append(f"{sql};")
    db.close()
    target = TARGET.replace("{{", "{").replace("}}", "}").replace("{metrics}", metrics)
    return "\n".join(lines) + "\n" + target.lstrip("\n")


if __name__ == "__main__":
    TEXT.write_text(text(), encoding="utf-8")
