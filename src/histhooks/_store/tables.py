"""The one list of tables in a store: the kind of each, its covered columns, and the references to its rows.

Ledger, writer, spools, deletion, redaction, export, search and verification take their lists from here;
``tests/store/test_tables.py`` compares the entries with the schema. A new table needs one entry here and one migration,
unless it is of a new kind.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["fold", "row", "content", "series", "ledger", "local"]


class Named(NamedTuple):
    """A reference to rows of shared content.

    Attributes
    ----------
    table, column : str
        Where the reference is; the column is an SQL expression.
    owner : str
        Column of the run or session that needs it.
    """

    table: str
    column: str
    owner: str = "run_id"


class Table(NamedTuple):
    """One table.

    Attributes
    ----------
    kind : str
        `fold`: one row for each run or session, made of its states. `row`: append-only. `content`: shared by many runs,
        known by its content; a part of the ledger covers all rows of one id at once, without ordinals. `series`: points
        and what is folded of them, by a key of this file alone. `ledger`: the evidence. `local`: about this file.
    columns : tuple of str
        Columns that the ledger covers, in the order of the canonical form.
    scope : str
        SQL expression of the run, session or content that a row belongs to.
    order : str
        SQL expression that orders the rows of one part; its first column if a part has one row only.
    by_session : bool
        Whether ordinals count per writing session, which the row names.
    key : tuple of str
        Columns that identify a row, unless the primary key or the ordinal does.
    personal : tuple of str
        Columns whose values can be erased; what the ledger covers is a commitment to each.
    author : str or None
        The personal column with the author of the row.
    named_by : tuple of Named
        The references to a row of shared content.
    state_column : str or None
        Column of a state that names a row of shared content.
    """

    kind: Kind
    columns: tuple[str, ...] = ()
    scope: str = ""
    order: str = "1"
    by_session: bool = False
    key: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    author: str | None = None
    named_by: tuple[Named, ...] = ()
    state_column: str | None = None


def _words(columns: str) -> tuple[str, ...]:
    return tuple(columns.split())


_ROW: Kind = "row"
_CONTENT: Kind = "content"
RUN_OR_SESSION = "coalesce(run_id, session_id)"  # the scope of rows that may concern no run
_OF_DATA = ("dataset_digests", "dataset_sketches", "dataset_overlaps", "dataset_columns")
# What the first run of a session that has some data holds for the others.
HELD = tuple(name for name in _OF_DATA if name != "dataset_overlaps")
# Of the texts of `contents`, which may have the hash of a file too, only the manifest of a folder is a run's own.
_MANIFEST = "(SELECT c.sha256 FROM contents AS c WHERE c.sha256 = run_artifacts.sha256 AND c.kind = 'manifest')"
_ENVIRONMENT = (Named("sessions", "environment_id", "id"),)

TABLES: dict[str, Table] = {
    "sessions": Table("fold", personal=("hostname", "username", "actor", "command", "cwd"), author="actor"),
    "runs": Table("fold"),
    "states": Table(
        _ROW, ("subject_id", "session_id", "ordinal", "time", "subject", "state"), "subject_id", by_session=True
    ),
    "run_links": Table(
        _ROW, ("run_id", "session_id", "ordinal", "kind", "other_run_id", "sha256", "time"), "run_id", by_session=True
    ),
    "params": Table(_ROW, ("run_id", "ordinal", "key", "value", "source", "time"), "run_id"),
    "results": Table(_ROW, ("run_id", "ordinal", "key", "value", "time"), "run_id"),
    "optimizers": Table(
        _ROW, ("id", "run_id", "ordinal", "position", "class_name", "settings", "scheduler", "time"), "run_id"
    ),
    "optimizer_groups": Table(
        _ROW,
        ("optimizer_id", "run_id", "ordinal", "position", "n_parameters", "lr", "settings", "step", "time"),
        "run_id",
    ),
    "run_datasets": Table(_ROW, ("run_id", "ordinal", "dataset_id", "role", "name", "source", "time"), "run_id"),
    "run_artifacts": Table(
        _ROW, ("run_id", "ordinal", "sha256", "path", "role", "direction", "step", "time"), "run_id"
    ),
    "seeds": Table(
        _ROW, ("session_id", "run_id", "ordinal", "library", "call", "value", "location", "time"), RUN_OR_SESSION
    ),
    "rng_states": Table(
        _ROW,
        ("session_id", "run_id", "ordinal", "point", "library", "device", "algorithm", "digest", "state", "time"),
        RUN_OR_SESSION,
    ),
    "events": Table(
        _ROW,
        ("id", "session_id", "run_id", "ordinal", "time", "step", "kind", "severity", "title", "body", "count"),
        RUN_OR_SESSION,
    ),
    "captures": Table(
        _ROW, ("session_id", "run_id", "ordinal", "collector", "status", "note", "duration_s", "time"), RUN_OR_SESSION
    ),
    "tags": Table(
        _ROW,
        ("run_id", "session_id", "ordinal", "key", "value_sha256", "author_sha256", "time"),
        "run_id",
        by_session=True,
        personal=("value", "author"),
        author="author",
    ),
    "notes": Table(
        _ROW,
        ("run_id", "session_id", "ordinal", "body_sha256", "author_sha256", "time"),
        "run_id",
        by_session=True,
        personal=("body", "author"),
        author="author",
    ),
    "tombstones": Table(
        _ROW,
        ("session_id", "ordinal", "action", "subject_id", "digests", "reason", "actor_sha256", "time"),
        "session_id",
        personal=("actor",),
        author="actor",
    ),
    "dataset_digests": Table(
        _ROW,
        _words("run_id ordinal dataset_id part algorithm digest coverage n_rows size_bytes key_id duration_s time"),
        "run_id",
    ),
    "dataset_sketches": Table(
        _ROW,
        _words("run_id ordinal dataset_id part key_id n_rows n_distinct theta content_sha256 time"),
        "run_id",
    ),
    "dataset_overlaps": Table(
        _ROW,
        _words(
            "run_id ordinal dataset_id other_dataset_id other_run_id part n_rows n_equal n_twins "
            "is_identifying method key_id time"
        ),
        "run_id",
    ),
    "dataset_columns": Table(_ROW, _words("run_id ordinal dataset_id position name facts time"), "run_id"),
    "transforms": Table(
        _ROW,
        _words(
            "run_id ordinal position class_name transform_run_id fitted_dataset_id role n_rows n_fitted by "
            "uses_target requires_fit state_sha256 time"
        ),
        "run_id",
    ),
    "weights": Table(
        _ROW,
        _words("run_id ordinal point n_tensors n_values nonfinite l2 digest algorithm tensors step time"),
        "run_id",
    ),
    "splits": Table(
        _ROW, _words("session_id run_id ordinal function arguments n_in n_out shuffled location time"), RUN_OR_SESSION
    ),
    "file_reads": Table(
        _ROW, _words("session_id run_id ordinal path sha256 size_bytes mtime function location time"), RUN_OR_SESSION
    ),
    "reproductions": Table(
        _ROW,
        _words(
            "run_id session_id ordinal other_run_id level required n_series n_points n_equal first max_abs "
            "max_rel weights_equal causes time"
        ),
        "run_id",
        by_session=True,
    ),
    "check_results": Table(
        _ROW,
        _words("run_id session_id ordinal check_id version level value threshold evidence time"),
        "run_id",
        by_session=True,
    ),
    "waivers": Table(
        _ROW,
        _words("session_id ordinal check_id run_id model version_id reason until author_sha256 time"),
        "session_id",
        personal=("author",),
        author="author",
    ),
    "model_versions": Table(
        _ROW,
        _words("id session_id ordinal model number sha256 run_id path kept parent_id signature author_sha256 time"),
        "id",
        personal=("author",),
        author="author",
    ),
    "model_events": Table(
        _ROW,
        _words("version_id session_id ordinal action alias from_version_id reason run_id checks author_sha256 time"),
        "version_id",
        by_session=True,
        personal=("author",),
        author="author",
    ),
    "windows": Table(
        _ROW,
        _words(
            "id session_id ordinal model version_id sha256 started_at ended_at n_calls n_rows n_errors "
            "latency columns outputs source time"
        ),
        "session_id",
    ),
    "window_metrics": Table(
        _ROW, _words("window_id session_id ordinal metric sum count value n_late delay_s time"), "session_id"
    ),
    "signatures": Table(
        _ROW,
        _words("session_id ordinal subject subject_sha256 meaning key_id algorithm content_sha256 author_sha256 time"),
        "session_id",
        personal=("author",),
        author="author",
    ),
    "environments": Table(
        _CONTENT,
        ("id", "python", "os", "machine", "cpu", "memory_bytes", "gpus", "details"),
        "id",
        named_by=_ENVIRONMENT,
        state_column="environment_id",
    ),
    "packages": Table(_CONTENT, ("environment_id", "name", "version"), "environment_id", "name", named_by=_ENVIRONMENT),
    "code_versions": Table(
        _CONTENT,
        ("id", "repository", "commit_hash", "branch", "dirty", "diff", "entry_script", "entry_sha256", "details"),
        "id",
        named_by=(Named("sessions", "code_version_id", "id"),),
        state_column="code_version_id",
    ),
    "contents": Table(
        _CONTENT,
        ("sha256", "kind", "size_bytes", "encoding", "data"),
        "sha256",
        named_by=(
            Named("rng_states", "digest"),
            Named("dataset_sketches", "content_sha256"),
            Named("run_artifacts", _MANIFEST),
            Named("model_versions", _MANIFEST.replace("run_artifacts", "model_versions"), "session_id"),
            Named("signatures", "content_sha256", "session_id"),
        ),
    ),
    "datasets": Table(
        _CONTENT,
        ("id", "kind", "n_rows", "n_columns", "size_bytes", "coverage", "content_hash", "schema", "profile"),
        "id",
        named_by=(
            Named("run_datasets", "dataset_id"),
            *(Named(table, "dataset_id") for table in _OF_DATA),
            Named("dataset_overlaps", "other_dataset_id"),
            Named("transforms", "fitted_dataset_id"),
        ),
    ),
    "architectures": Table(
        _CONTENT,
        ("id", "framework", "class_name", "n_parameters", "n_trainable", "layers"),
        "id",
        named_by=(Named("states", "json_extract(state, '$.architecture_id')", "subject_id"),),
        state_column="architecture_id",
    ),
    "artifacts": Table(
        _CONTENT,
        ("sha256", "size_bytes", "format"),
        "sha256",
        named_by=(
            Named("run_artifacts", "sha256"),
            Named("run_links", "sha256"),
            Named("model_versions", "sha256", "session_id"),
        ),
    ),
    "metric_summaries": Table("series", scope="run_id", key=("run_id", "name")),
    "points": Table("series", key=("series", "n")),
    "rollups": Table("series", key=("series", "level", "bucket")),
    "ledger": Table("ledger", scope="session_id"),
    "ledger_parts": Table("ledger", scope="session_id"),
    "salts": Table("ledger", scope="subject_id"),
    "exports": Table("local"),
    "evictions": Table("local"),
    "merged_spools": Table("local"),
    "_sqlite_migrations": Table("local"),
}


def of_kind(*kinds: Kind) -> tuple[str, ...]:
    """Names of the tables of some kinds."""
    return tuple(name for name, table in TABLES.items() if table.kind in kinds)


FOLDS = of_kind("fold")
SERIES = of_kind("series")
CONTENT = frozenset(of_kind("content"))
# What the ledger covers; points and what is folded of them it covers by their series.
COVERED = {name: table for name, table in TABLES.items() if table.columns}
# Personal columns of the rows that the ledger covers as rows.
PERSONAL = {name: table.personal for name, table in TABLES.items() if table.personal and table.kind == "row"}
# Personal columns of `sessions`: states hold their commitments only.
PERSONAL_COLUMNS = TABLES["sessions"].personal
# Of sessions and runs: brought up to date beside states, until the last one says them.
LIVE_COLUMNS = frozenset({"heartbeat_at", "hook_errors", "dropped_points", "overhead_s", "epochs_done", "steps_done"})
# Of sessions in the target of a team: who pushed them.
TARGET_COLUMNS = frozenset({"pushed_by"})
# Columns of a state, and the tables of which they name a row.
REFERENCES = {table.state_column: name for name, table in TABLES.items() if table.state_column}
# By these a store is known that was written as text and read back, whatever version made it.
IN_EVERY_STORE = frozenset(
    "sessions runs states params points metric_summaries ledger ledger_parts _sqlite_migrations".split()
)
