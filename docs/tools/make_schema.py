"""Write ``docs/reference/schema.md`` from ``src/histhooks/_store/schema.sql``: ``python docs/tools/make_schema.py``.

Types, keys and links are read from the database that the script builds; the meaning of a column is the comment that
stands behind it there. Only what SQL has no place for, a sentence for each table and view, stands in this file.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "src" / "histhooks" / "_store" / "schema.sql"
PAGE = ROOT / "docs" / "reference" / "schema.md"

SECTIONS = {
    "Sessions and runs": {
        "sessions": "One process that trains. The row is the fold of its `states`.",
        "runs": "One outer fit, or one `start_run()` block; runs nest. The row is the fold of its `states`.",
        "states": "What was said of a session or a run, in order; nothing in it is ever changed.",
        "run_links": "How a run relates to an earlier one. A resumed training is a new run with a link.",
    },
    "What went in and what came out": {
        "params": "What was chosen before training. Every value is kept; `latest_params` shows the last of each.",
        "latest_params": "The last value of each param.",
        "results": "Outcomes that are no curve: best_iteration, best_params, classes and the like.",
        "latest_results": "The last value of each result.",
        "optimizers": "The optimizers of a run.",
        "optimizer_groups": "The parameter groups of an optimizer; a change of settings is a new row.",
        "tags": "Labels for searching. The last row of a key counts.",
        "notes": "Free text about a run.",
    },
    "Curves": {
        "metrics": "Every point of every curve, as a person wants to read it.",
        "metric_summaries": "One row a curve, kept up to date by the writer so that a list of runs reads no points.",
        "points": "The points as they are stored. Read the view `metrics` instead.",
        "rollups": "Summaries of full buckets of points, so that the plot of a long curve reads few rows.",
    },
    "Data, models and files, by content": {
        "datasets": "Fingerprints of data; never its rows.",
        "run_datasets": "Which data a run used, and as what.",
        "architectures": "Shapes of models.",
        "artifacts": "Files, by the hash of their content.",
        "run_artifacts": "Which files a run read or wrote.",
        "dataset_digests": "Data by content, whole and in parts. Written once a session and data set.",
        "dataset_columns": "What the columns of data hold: counts and quantiles, no values of text.",
        "dataset_sketches": "Hashes of rows, or the lowest of them, by which data of other runs can be compared.",
        "dataset_overlaps": "How many rows of data are in other data of the run, measured while both were there.",
        "splits": "How data was split: functions and splitters with their settings.",
        "transforms": "Which transformers the data of a run came out of, and what they had been fitted on.",
        "file_reads": "Which files the program read, by content.",
        "weights": "The weights of a model, by content, when training began and ended. `digest` is the XXH3-128 of one "
        "line for each tensor, in the order of names: `<length of the name>:<name> <dtype> <shape> <digest>` and a "
        "newline, with a shape such as `16x64` and the XXH3-128 of the values by rows. More than four arrays of one "
        "list of scikit-learn, such as the trees of a forest, are one line of type `parts`, with the digest of theirs.",
        "environments": "What a process ran on. Many sessions share one row.",
        "packages": "The packages of an environment.",
        "code_versions": "The code that ran. Many sessions share one row.",
        "contents": "Bytes that other rows name by their hash: large diffs, cells, files.",
    },
    "Randomness and events": {
        "seeds": "Seeds that the program set, and where.",
        "rng_states": "Where the random streams stood.",
        "events": "What happened that is neither a number nor a state.",
        "captures": "What became of each thing that was to be gathered, so that absence is evidence too.",
    },
    "Reproducing, checking, versions and production": {
        "reproductions": "What came of repeating a run.",
        "check_results": "What the checks of a run found.",
        "latest_checks": "The last result of each check of a run.",
        "waivers": "Checks that are waived, by whom, why and until when.",
        "model_versions": "Versions of models, each a file by its content.",
        "model_events": "What became of a version: promoted, rolled back, approved ...",
        "live_versions": "The version that each alias of a model points to now.",
        "windows": "What a model met in production, as counts.",
        "window_metrics": "How good it was there, as labels came.",
        "signatures": "Who signed what.",
    },
    "Evidence": {
        "ledger": "One line a batch of rows, chained to the session's line before. See [ledger.md](ledger.md).",
        "ledger_parts": "What a line covers: the rows of one scope and one table.",
        "salts": "Salts of personal values. Without its salt, a digest says nothing about the value.",
        "tombstones": "What was deleted or redacted on purpose, by whom and why.",
        "exports": "Says of this file that it holds a part of a history only, and which.",
        "evictions": "What was removed here alone, for room; other copies may have it.",
        "merged_spools": "Spools that this store has taken in, so that none is taken in twice.",
    },
    "Housekeeping": {
        "_sqlite_migrations": "The steps that built this schema, as sqlite-utils keeps them.",
    },
}

# Columns that are computed in a view, or belong to a table that is not ours, and so have no comment in schema.sql.
ELSEWHERE = {
    ("rng_states", "point"): "when it was taken: process_start, import, first_seen, run_start; "
    "run_end and process_end where it moved since ([randomness](../guide/randomness.md))",
    ("rng_states", "run_id"): "the run, where it was taken at its start or its end",
    (
        "rng_states",
        "state",
    ): "the state, zlib-compressed; NULL where an earlier row with this digest holds it, and at the "
    "end of a run or process ([its form](../guide/randomness.md))",
    (
        "seeds",
        "value",
    ): "its seed; `entropy:N` for a generator that was made without one ([randomness](../guide/randomness.md))",
    ("live_versions", "since"): "microseconds UTC, when it came to point there",
    ("metrics", "step"): "0-based optimizer step or boosting iteration: the x-axis",
    ("metrics", "time"): "microseconds UTC",
    ("_sqlite_migrations", "id"): "order in which they were applied",
    ("_sqlite_migrations", "migration_set"): "`histhooks`",
    ("_sqlite_migrations", "name"): "name of the step",
    ("_sqlite_migrations", "applied_at"): "when it was applied, UTC",
}
# Where a view takes its columns from.
VIEWS = {
    "metrics": ("points", "metric_summaries"),
    "latest_params": ("params",),
    "latest_results": ("results",),
    "latest_checks": ("check_results",),
    "live_versions": ("model_events", "model_versions"),
}

INTRO = """\
# The schema of a store

Generated from `src/histhooks/_store/schema.sql` by `python docs/tools/make_schema.py`; a test holds it equal.

A store is one SQLite file. Every table and view below is public: read it with any SQL tool; within one major version
names and meanings stay, and later versions only add. `PRAGMA application_id` is {application_id} (`HIST` in ASCII)
and `PRAGMA user_version` is {user_version} (1000 times the major version, plus the minor one).

- Ids are UUIDv7 text, so that they sort by time and stores merge without renumbering. What many runs share is keyed
  by the SHA-256 of its content.
- A column `..._at` is ISO-8601 UTC text; a column `time` is integer microseconds UTC; `..._s` is seconds and
  `..._bytes` is bytes.
- Metric values are float64. SQLite turns a bound NaN into NULL, so a value that is not finite is NULL in `value` and
  stands in `special` as `nan`, `inf` or `-inf`.
- NULL means "not recorded", apart from zero and from no; `captures` says why.
- What is marked "personal, erasable" can be taken out without breaking the ledger.

## Versions

The first session of a newer version of histhooks that records into a store, or the first command that changes
something there, brings it up to date: in a process of its own, in one transaction, whatever others write meanwhile.
Programs with an older minor version go on writing to it. Reading never changes a store, however old it is; a store
that cannot be brought up to date is left as it is, and sessions record in spools until it can. By hand:
`python -m histhooks.migrations PATH`.

| version | what it changed |
|---|---|
| 1.0 | |
| 1.1 | four indexes are gone, a quarter of a small run's bytes (indexes are not promised); `split` may be NULL |
| 1.2 | sixteen new tables: data by content, splits, weights, file reads ...; checks, versions of models, production |
| 1.3 | a new table `evictions`: what was removed from one store for room |
"""


def comments_of(sql: str) -> dict[str, str]:
    """Read the comment behind each column of one CREATE TABLE statement.

    Parameters
    ----------
    sql : str
        The statement as ``sqlite_master`` keeps it.

    Returns
    -------
    dict of str to str
        Column names and their comments, in the order of the statement.
    """
    comments: dict[str, str] = {}
    definition, depth = "", 0
    for line in sql.splitlines()[1:]:
        code, _, comment = line.partition(" -- ")
        definition += code.strip() + " "
        depth += code.count("(") - code.count(")")
        if depth:
            continue
        name = definition.split()[0]
        if comment:
            comments[name] = comment.strip()
        definition = ""
    return comments


def choices_of(sql: str, column: str) -> list[str]:
    """Find the words that a CHECK allows in a column.

    Parameters
    ----------
    sql : str
        The CREATE TABLE statement.
    column : str
        The column.

    Returns
    -------
    list of str
        The words, or none where any text is allowed.
    """
    found = re.search(rf"\b{column} IN \(((?:'[^']*'(?:, )?)+)\)", sql)
    return re.findall(r"'([^']*)'", found.group(1)) if found else []


def _table(db: sqlite3.Connection, name: str, comments: dict[str, dict[str, str]]) -> list[str]:
    links = {row[3]: f"{row[2]}.{row[4]}" for row in db.execute(f'PRAGMA foreign_key_list("{name}")')}
    (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    lines = ["| column | type | key | meaning |", "|---|---|---|---|"]
    for _, column, kind, required, _, place in db.execute(f'PRAGMA table_info("{name}")'):
        meaning = ELSEWHERE.get((name, column)) or next(
            comments[source][column] for source in VIEWS.get(name, (name,)) if column in comments[source]
        )
        choices = choices_of(sql, column)
        if choices:
            meaning += ": " + ", ".join(f"`{word}`" for word in choices)
        key = ["primary"] if place else []
        key += [f"→ {links[column]}"] if column in links else []
        required = " NOT NULL" if required else ""
        lines.append(f"| {column} | {kind or 'ANY'}{required} | {', '.join(key)} | {meaning} |".replace("|  |", "| |"))
    return lines


def page() -> str:
    """The text of ``docs/reference/schema.md``.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    KeyError, StopIteration
        Where a table has no sentence or a column no comment.
    """
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA.read_text(encoding="utf-8"))
    comments = {
        name: comments_of(sql) for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    }
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (user_version,) = db.execute("PRAGMA user_version").fetchone()
    lines = [INTRO.format(application_id=application_id, user_version=user_version)]
    for section, tables in SECTIONS.items():
        lines += [f"## {section}", ""]
        for name, sentence in tables.items():
            lines += [f"### {name}", "", sentence, "", *_table(db, name, comments), ""]
    left = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
    left -= {name for tables in SECTIONS.values() for name in tables}
    if left:
        raise KeyError(f"no sentence for {', '.join(sorted(left))}: add it to SECTIONS in {Path(__file__).name}")
    db.close()
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
