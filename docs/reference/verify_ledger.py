"""Verify the ledger of a store with the standard library alone, as docs/reference/ledger.md specifies it.

Usage: python verify_ledger.py STORE [HEAD]
Exit code: 0 everything fits, 1 something does not, or HEAD is not in it, 2 no store, no digest, or a newer version.
"""

import hashlib
import json
import sqlite3
import struct
import sys
from pathlib import Path

NEWEST = 1003  # the schema version that this file knows: a newer one may have tables that it does not
RUN_OR_SESSION = "coalesce(run_id, session_id)"
CONTENT = {
    "environments": ("id", "id, python, os, machine, cpu, memory_bytes, gpus, details", "id"),
    "packages": ("environment_id", "environment_id, name, version", "name"),
    "code_versions": (
        "id",
        "id, repository, commit_hash, branch, dirty, diff, entry_script, entry_sha256, details",
        "id",
    ),
    "contents": ("sha256", "sha256, kind, size_bytes, encoding, data", "sha256"),
    "datasets": ("id", "id, kind, n_rows, n_columns, size_bytes, coverage, content_hash, schema, profile", "id"),
    "architectures": ("id", "id, framework, class_name, n_parameters, n_trainable, layers", "id"),
    "artifacts": ("sha256", "sha256, size_bytes, format", "sha256"),
}
# table: scope, columns, whether ordinals count per writing session
APPENDED = {
    "states": ("subject_id", "subject_id, session_id, ordinal, time, subject, state", True),
    "run_links": ("run_id", "run_id, session_id, ordinal, kind, other_run_id, sha256, time", True),
    "params": ("run_id", "run_id, ordinal, key, value, source, time", False),
    "results": ("run_id", "run_id, ordinal, key, value, time", False),
    "optimizers": ("run_id", "id, run_id, ordinal, position, class_name, settings, scheduler, time", False),
    "optimizer_groups": (
        "run_id",
        "optimizer_id, run_id, ordinal, position, n_parameters, lr, settings, step, time",
        False,
    ),
    "run_datasets": ("run_id", "run_id, ordinal, dataset_id, role, name, source, time", False),
    "run_artifacts": ("run_id", "run_id, ordinal, sha256, path, role, direction, step, time", False),
    "seeds": (RUN_OR_SESSION, "session_id, run_id, ordinal, library, call, value, location, time", False),
    "rng_states": (
        RUN_OR_SESSION,
        "session_id, run_id, ordinal, point, library, device, algorithm, digest, state, time",
        False,
    ),
    "events": (
        RUN_OR_SESSION,
        "id, session_id, run_id, ordinal, time, step, kind, severity, title, body, count",
        False,
    ),
    "captures": (
        RUN_OR_SESSION,
        "session_id, run_id, ordinal, collector, status, note, duration_s, time",
        False,
    ),
    "tags": ("run_id", "run_id, session_id, ordinal, key, value_sha256, author_sha256, time", True),
    "notes": ("run_id", "run_id, session_id, ordinal, body_sha256, author_sha256, time", True),
    "tombstones": (
        "session_id",
        "session_id, ordinal, action, subject_id, digests, reason, actor_sha256, time",
        False,
    ),
    "dataset_digests": (
        "run_id",
        "run_id, ordinal, dataset_id, part, algorithm, digest, coverage, n_rows, size_bytes, key_id, duration_s, time",
        False,
    ),
    "dataset_sketches": (
        "run_id",
        "run_id, ordinal, dataset_id, part, key_id, n_rows, n_distinct, theta, content_sha256, time",
        False,
    ),
    "dataset_overlaps": (
        "run_id",
        "run_id, ordinal, dataset_id, other_dataset_id, other_run_id, part, n_rows, n_equal, n_twins, "
        "is_identifying, method, key_id, time",
        False,
    ),
    "dataset_columns": ("run_id", "run_id, ordinal, dataset_id, position, name, facts, time", False),
    "transforms": (
        "run_id",
        "run_id, ordinal, position, class_name, transform_run_id, fitted_dataset_id, role, n_rows, "
        "n_fitted, by, uses_target, requires_fit, state_sha256, time",
        False,
    ),
    "weights": (
        "run_id",
        "run_id, ordinal, point, n_tensors, n_values, nonfinite, l2, digest, algorithm, tensors, step, time",
        False,
    ),
    "splits": (
        RUN_OR_SESSION,
        "session_id, run_id, ordinal, function, arguments, n_in, n_out, shuffled, location, time",
        False,
    ),
    "file_reads": (
        RUN_OR_SESSION,
        "session_id, run_id, ordinal, path, sha256, size_bytes, mtime, function, location, time",
        False,
    ),
    "reproductions": (
        "run_id",
        "run_id, session_id, ordinal, other_run_id, level, required, n_series, n_points, n_equal, first, "
        "max_abs, max_rel, weights_equal, causes, time",
        True,
    ),
    "check_results": (
        "run_id",
        "run_id, session_id, ordinal, check_id, version, level, value, threshold, evidence, time",
        True,
    ),
    "waivers": (
        "session_id",
        "session_id, ordinal, check_id, run_id, model, version_id, reason, until, author_sha256, time",
        False,
    ),
    "model_versions": (
        "id",
        "id, session_id, ordinal, model, number, sha256, run_id, path, kept, parent_id, signature, author_sha256, time",
        False,
    ),
    "model_events": (
        "version_id",
        "version_id, session_id, ordinal, action, alias, from_version_id, reason, run_id, checks, author_sha256, time",
        True,
    ),
    "windows": (
        "session_id",
        "id, session_id, ordinal, model, version_id, sha256, started_at, ended_at, n_calls, n_rows, "
        "n_errors, latency, columns, outputs, source, time",
        False,
    ),
    "window_metrics": (
        "session_id",
        "window_id, session_id, ordinal, metric, sum, count, value, n_late, delay_s, time",
        False,
    ),
    "signatures": (
        "session_id",
        "session_id, ordinal, subject, subject_sha256, meaning, key_id, algorithm, content_sha256, author_sha256, time",
        False,
    ),
}
SPECIAL = {None: 0, "nan": 1, "inf": 2, "-inf": 3}


def canonical(value):
    """Canonical JSON."""

    def blob(data):
        return {"$sha256": hashlib.sha256(data).hexdigest()}

    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=blob).encode()


def sha256_of_rows(rows):
    """Digest of a part."""
    return hashlib.sha256(b"".join(canonical(list(row)) + b"\n" for row in rows)).hexdigest()


def rows_of(db, session_id, scope, table, first, last):
    """The rows that a part covers."""
    if table in CONTENT:
        key, columns, order = CONTENT[table]
        return db.execute(f"SELECT {columns} FROM {table} WHERE {key} = ? ORDER BY {order}", (scope,)).fetchall()
    key, columns, per_session = APPENDED[table]
    sql = f"SELECT {columns} FROM {table} WHERE {key} = ? AND ordinal BETWEEN ? AND ?"
    if per_session:
        return db.execute(f"{sql} AND session_id = ? ORDER BY ordinal", (scope, first, last, session_id)).fetchall()
    return db.execute(f"{sql} ORDER BY ordinal", (scope, first, last)).fetchall()


def parsed(text):
    """A JSON text, or what fits no digest where it is none any more."""
    try:
        return json.loads(text)
    except ValueError:
        return "broken"


def points_of(db, run_id, ranges):
    """Count and digest of the points that a part covers."""
    digest, count = hashlib.sha256(), 0
    for name, first, last in json.loads(ranges):
        head = db.execute(
            "SELECT series, name, metric, split, direction, start_time FROM metric_summaries "
            "WHERE run_id = ? AND name = ?",
            (run_id, name),
        ).fetchone()
        if head is None:
            continue
        digest.update(canonical([*head[1:], first, last]) + b"\n")
        for step, epoch, time, value, special in db.execute(
            "SELECT coalesce(step, n), coalesce(epoch, -1), time, coalesce(value, 0.0), special FROM points "
            "WHERE series = ? AND n BETWEEN ? AND ? ORDER BY n",
            (head[0], first, last),
        ):
            digest.update(struct.pack("<qqqdB", step, epoch, time, value, SPECIAL[special]))
            count += 1
    return count, digest.hexdigest()


def verify(db):
    """Give the problems, and how many lines and parts were looked at."""
    # An index is trusted when rows are looked up: what it says of a row must be what the row says.
    faults = [text for (text,) in db.execute("PRAGMA integrity_check(10)") if text != "ok"]
    problems, lines, parts_seen = [f"the file is damaged: {text}" for text in faults], 0, 0
    held = [json.loads(text) for (text,) in db.execute("SELECT holds FROM exports")]
    partial, whole = bool(held), {scope for scopes in held for scope in scopes}
    # A tombstone counts where a part covers it.
    covered = (
        "SELECT t.action, t.subject_id, t.digests FROM tombstones AS t "
        "JOIN ledger_parts AS p ON p.session_id = t.session_id AND p.scope = t.session_id "
        "AND p.table_name = 'tombstones' AND t.ordinal BETWEEN p.first AND p.last"
    )
    tombstones = [(action, subject, json.loads(text)) for action, subject, text in db.execute(covered)]
    deleted = {d for _, _, digests in tombstones for d in digests}
    redacted = {d for action, _, digests in tombstones if action == "redact" for d in digests}
    evicted = set()  # removed from this store alone, for room
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'evictions'").fetchone():
        evicted = set(db.execute("SELECT scope, table_name FROM evictions"))
    subjects = {subject for action, subject, _ in tombstones if action == "delete"}
    for (run_id,) in db.execute("SELECT id FROM runs ORDER BY id"):
        if run_id in subjects:
            problems.append(f"run {run_id} was deleted, and is here again")
    versions = {}
    for table, scope, digest in db.execute("SELECT table_name, scope, digest FROM ledger_parts"):
        if table in CONTENT:
            versions.setdefault((table, scope), set()).add(digest)
    last = {}
    for session_id, seq, n_rows, digest, previous, time, heads in db.execute(
        "SELECT session_id, seq, n_rows, digest, previous, time, heads FROM ledger ORDER BY session_id, seq"
    ).fetchall():
        lines += 1
        expected_seq, expected_previous = last.get(session_id, (seq, previous) if partial else (0, None))
        if (seq, previous) != (expected_seq, expected_previous):
            problems.append(f"line {seq} of session {session_id} does not follow the one before it")
        last[session_id] = (seq + 1, digest)
        parts = db.execute(
            "SELECT scope, table_name, first, last, n_rows, digest, ranges FROM ledger_parts "
            "WHERE session_id = ? AND seq = ?",
            (session_id, seq),
        ).fetchall()
        line = ["histhooks-ledger-1", session_id, seq, time, previous, heads and parsed(heads)]
        line.append(sorted(list(part) for part in parts))
        if hashlib.sha256(canonical(line)).hexdigest() != digest or n_rows != sum(part[4] for part in parts):
            problems.append(f"line {seq} of session {session_id}: its digest does not fit")
        for scope, table, first, final, n_part, part_digest, ranges in parts:
            parts_seen += 1
            try:
                if table == "points":
                    count, computed = points_of(db, scope, ranges)
                else:
                    rows = rows_of(db, session_id, scope, table, first, final)
                    count, computed = len(rows), sha256_of_rows(rows)
            except (ValueError, TypeError, KeyError, struct.error) as error:
                problems.append(f"{table} {first} to {final} of {scope}: no canonical form ({error})")
                continue
            elsewhere = partial and scope not in whole
            gone = part_digest in deleted or scope in subjects
            room = (scope, table) in evicted or (scope, "runs") in evicted
            absent = part_digest in redacted or (count == 0 and (elsewhere or gone or room))
            absent = absent or (room and table == "points")
            # One content that sessions recorded in two ways: one of both is kept.
            other = count > 0 and computed in versions.get((table, scope), ())
            if not absent and not other and (computed, count) != (part_digest, n_part):
                problems.append(f"{table} {first} to {final} of {scope}: not the rows that were written")
    return problems, lines, parts_seen


def main(arguments):
    """Verify and print."""
    head = arguments[1].lower() if len(arguments) == 2 else ""
    is_hex = 4 <= len(head) <= 64 and not set(head) - set("0123456789abcdef")
    if not 1 <= len(arguments) <= 2 or not Path(arguments[0]).is_file() or (len(arguments) == 2 and not is_hex):
        print(__doc__, file=sys.stderr)
        return 2
    db = sqlite3.connect(f"{Path(arguments[0]).absolute().as_uri()}?mode=ro", uri=True)
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > NEWEST:
            print(f"{arguments[0]}: schema version {version // 1000}.{version % 1000} is newer than this verifier: "
                  "update histhooks", file=sys.stderr)  # fmt: skip
            return 2
        problems, lines, parts = verify(db)
        if head and not db.execute("SELECT 1 FROM ledger WHERE digest LIKE ? || '%'", (head,)).fetchone():
            problems.append(f"no line has the digest {head}")
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 2
    for problem in problems:
        print(problem)
    print(f"{lines} lines, {parts} parts: " + ("everything fits" if not problems else f"{len(problems)} do not fit"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
