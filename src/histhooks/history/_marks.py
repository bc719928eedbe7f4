"""What else tells runs apart in a list: their data, their code, what they failed with, and a note."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from histhooks._base.values import dumps
from histhooks.history.query.hashes import LIVE_AS, VERSION_NAME
from histhooks.history.query.run_query import rows_of

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_LEAST, _COMMIT = 4, 7  # characters of a hash, and of a commit as git abbreviates it


def data_of(history: Reader, ids: Iterable[str]) -> dict[str, dict[str, tuple[str, str | None]]]:
    """The content of the data of some runs, by role.

    Returns
    -------
    dict
        By run and role: the hash that is shown, and the digest of the whole content, whatever holds it, if all of it
        was hashed. Of several data sets of a role it is one hash of all.
    """
    listed = list(ids)
    sql = (
        "SELECT x.run_id, x.dataset_id, x.role, d.content_hash FROM run_datasets AS x "
        "JOIN datasets AS d ON d.id = x.dataset_id WHERE x.run_id IN {} ORDER BY x.ordinal"
    )
    whole = (
        "SELECT run_id, dataset_id, digest FROM dataset_digests WHERE run_id IN {} AND part = 'all' "
        "AND coverage = 'all' AND algorithm = 'xxh3_128' AND key_id IS NULL AND digest IS NOT NULL"
    )
    digests = {(row["run_id"], row["dataset_id"]): row["digest"] for row in rows_of(history, whole, listed)}
    found: dict[str, dict[str, dict[tuple[str | None, str | None], None]]] = {}
    for row in rows_of(history, sql, listed):
        both = (row["content_hash"], digests.get((row["run_id"], row["dataset_id"])))
        found.setdefault(row["run_id"], {}).setdefault(row["role"], {})[both] = None
    return {
        run_id: {role: told for role, each in roles.items() if (told := _data(list(each))) is not None}
        for run_id, roles in found.items()
    }


def _data(sets: list[tuple[str | None, str | None]]) -> tuple[str, str | None] | None:
    shown, whole = _one([content for content, _ in sets]), _one([digest for _, digest in sets])
    return None if shown is None else (shown, whole)


def _one(hashes: list[str | None]) -> str | None:
    if None in hashes:
        return None
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(dumps(hashes).encode()).hexdigest()


def data_names(found: Mapping[str, tuple[str, str | None]]) -> dict[str, str]:
    """Short names of the data of some runs where they had several, by run.

    Data are told apart by the digests of their whole content if all runs have one, as `diff` does, else by the hashes
    that are shown.
    """
    is_whole = all(whole is not None for _, whole in found.values())
    keys = {i: (whole or "") if is_whole else shown for i, (shown, whole) in found.items()}
    first = {key: found[i][0] for i, key in reversed(keys.items())}
    if len(first) < 2:
        return {}
    names = first if len({*first.values()}) == len(first) else {key: key for key in first}
    short = shortest(names.values())
    return {i: short[names[key]] for i, key in keys.items()}


def code_of(history: Reader, sessions: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The code of some runs: what identifies it, and a name for it.

    Parameters
    ----------
    history : Reader
    sessions : mapping of str to str
        Ids of sessions by the ids of runs.

    Returns
    -------
    dict
        By run. Runs of equal sources have equal code, even at different commits. The name is the commit, with `+` if
        something differed from it; empty outside git.
    """
    sql = "SELECT id, code_version_id FROM sessions WHERE id IN {} AND code_version_id IS NOT NULL"
    versions = {row["id"]: row["code_version_id"] for row in rows_of(history, sql, sessions.values())}
    sql = "SELECT id, commit_hash, diff, entry_sha256, details FROM code_versions WHERE id IN {}"
    codes = {row["id"]: _code(row) for row in rows_of(history, sql, versions.values())}
    return {i: codes[version] for i, session in sessions.items() if (version := versions.get(session)) in codes}


def _code(row: Mapping[str, Any]) -> tuple[str, str]:
    details = json.loads(row["details"])
    on_top = [row["diff"], *(details.get(key) for key in ("diff_content", "untracked"))]
    # Which files ran, and what was in them, is the code; older records have the commit and what lies on top of it.
    ran = [details.get("modules"), details.get("sources")]
    what = ran if any(ran) else [row["commit_hash"], row["entry_sha256"], *on_top]
    digest = hashlib.sha256(dumps(what).encode()).hexdigest()
    commit = (row["commit_hash"] or "")[:_COMMIT]
    return digest, commit and commit + ("+" if any(on_top) else "")


def code_names(codes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Names that tell codes apart: the commit, else the shortest part of the hash that does."""
    found = dict(codes)
    names = list(found.values())
    short = shortest(found)
    return {
        digest: name if name and names.count(name) == 1 else f"{name}{short[digest]}" for digest, name in found.items()
    }


def shortest(hashes: Iterable[str]) -> dict[str, str]:
    """The first letters of some hashes that tell them apart, four at least, as git abbreviates."""
    whole = list(dict.fromkeys(hashes))
    n = _LEAST
    while len({each[:n] for each in whole}) < len(whole) and n < 64:
        n += 1
    return {each: each[:n] for each in whole}


def notes_of(history: Reader, ids: Iterable[str]) -> dict[str, str]:
    """The latest note of some runs; those that were erased are left out."""
    sql = "SELECT run_id, body FROM notes WHERE run_id IN {} ORDER BY time, ordinal"
    return {row["run_id"]: row["body"] for row in rows_of(history, sql, ids) if row["body"]}


def origins_of(history: Reader, ids: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """What some runs are made from: for each run the ids of the others by `resumes`, `continues` and so on."""
    sql = (
        "SELECT DISTINCT run_id, kind, other_run_id FROM run_links "
        "WHERE run_id IN {} AND kind <> 'uses' AND other_run_id IS NOT NULL"
    )
    found: dict[str, dict[str, list[str]]] = {}
    for row in rows_of(history, sql, ids):
        found.setdefault(row["run_id"], {}).setdefault(row["kind"], []).append(row["other_run_id"])
    return found


def versions_of(history: Reader, ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Versions of models that some runs made, or runs inside them, by run.

    Returns
    -------
    dict
        Of each run a list of `name` (as `fraud@3`), `model`, `number`, `version_id`, `sha256`, `time`, and `aliases`:
        those that point to it now, each with `since` (microseconds UTC), `author` and `reason`.
    """
    if not history.sql("SELECT 1 FROM model_versions LIMIT 1"):
        return {}
    sql = (
        "WITH RECURSIVE up (version_id, run_id) AS (SELECT id, run_id FROM model_versions UNION "
        "SELECT up.version_id, r.parent_id FROM up JOIN runs AS r ON r.id = up.run_id WHERE r.parent_id IS NOT NULL) "
        f"SELECT DISTINCT up.run_id, {VERSION_NAME} AS name, v.model, v.number, v.id AS version_id, "
        f"v.sha256, v.time, {LIVE_AS} AS aliases "
        "FROM up JOIN model_versions AS v ON v.id = up.version_id WHERE up.run_id IN {} ORDER BY v.model, v.number"
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(history, sql, ids):
        told = {**row, "aliases": json.loads(row["aliases"])}
        found.setdefault(told.pop("run_id"), []).append(told)
    return found
