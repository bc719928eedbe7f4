"""What a process needs to have its random generators where those of a recorded session stood."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Any

from histhooks._base.vocabulary import BY_HISTHOOKS, ENTROPY
from histhooks._record.replay import key_of

if TYPE_CHECKING:
    from histhooks.history import RunRecord

_EARLY = ("process_start", "import", "first_seen")
_FRESH = {"numpy": 16, "torch": 8}  # bytes of a state that was not drawn from


def replay_of(run: RunRecord, root: str, code: str, folder: str) -> dict[str, Any]:
    """The plan that :mod:`histhooks._record.replay` reads.

    Parameters
    ----------
    run : RunRecord
    root : str
        The folder of the code then.
    code, folder : str
        The folder of the code now, and the one that the program runs in.
    """
    session = run.session_id
    states = []
    for row in _states(run):
        data = _state_of(run, row)
        if data is not None:
            states.append({key: row[key] for key in ("library", "device", "point")} | {"state": data.hex()})
    entropy: dict[str, list[str]] = {}
    sql = "SELECT library, location, value FROM seeds WHERE session_id = ? AND value LIKE ? ORDER BY ordinal"
    for row in run.history.sql(sql, session, f"{ENTROPY}%"):
        place = _moved(row["location"] or "", root, code, folder)
        entropy.setdefault(key_of(row["library"], place), []).append(row["value"].removeprefix(ENTROPY))
    return {"run": run.id, "session": session, "states": states, "entropy": entropy}


def _states(run: RunRecord) -> list[dict[str, Any]]:
    words = ", ".join(f"'{word}'" for word in _EARLY)
    sql = f"SELECT library, device, point, digest, state FROM rng_states WHERE session_id = ? AND point IN ({words})"
    return run.history.sql(sql, run.session_id)


def _state_of(run: RunRecord, row: dict[str, Any]) -> bytes | None:
    if row["state"] is not None:
        return zlib.decompress(row["state"])
    sql = "SELECT state FROM rng_states WHERE digest = ? AND state IS NOT NULL LIMIT 1"
    found = run.history.sql(sql, row["digest"])
    if found:
        return zlib.decompress(found[0]["state"])
    kept = run.history.sql("SELECT encoding, data FROM contents WHERE sha256 = ?", row["digest"])
    if not kept:
        return None
    data: bytes = kept[0]["data"]
    return zlib.decompress(data) if kept[0]["encoding"] == "zlib" else bytes(data)


def _moved(location: str, root: str, code: str, folder: str) -> str:
    """A recorded place as the program has it where it runs now: from its folder, if it lies there."""
    if not root or not location.startswith(os.path.join(root, "")):
        return location
    now = os.path.join(code, os.path.relpath(location, root))
    return now.removeprefix(os.path.join(folder, ""))


def hash_seed_of(run: RunRecord) -> tuple[str | None, bool]:
    """PYTHONHASHSEED of the process, and whether ``histhooks run`` chose it."""
    sql = "SELECT value, location FROM seeds WHERE session_id = ? AND library = 'python' ORDER BY ordinal LIMIT 1"
    rows = run.history.sql(sql, run.session_id)
    return (rows[0]["value"], rows[0]["location"] == BY_HISTHOOKS) if rows else (None, False)


def _of_workers(run: RunRecord) -> list[str]:
    """Estimators without a seed that scikit-learn fits in other processes, whose generators are not known here.

    Ensembles that draw a seed for each of their members have a `random_state` of their own; searches have one for
    their candidates only.
    """
    sql = """
        SELECT DISTINCT runs.model_class AS name FROM runs JOIN params AS jobs ON jobs.run_id = runs.id
        JOIN params AS seed ON seed.run_id = runs.id
        WHERE session_id = ? AND jobs.key = 'n_jobs' AND jobs.value NOT IN ('null', '1')
          AND seed.key GLOB '*__random_state' AND seed.value = 'null'
          AND (runs.kind = 'search' OR NOT EXISTS (
              SELECT 1 FROM params AS own WHERE own.run_id = runs.id AND own.key = 'random_state'))
    """
    names = [row["name"].rpartition(".")[2] for row in run.history.sql(sql, run.session_id)]
    why = "fits estimators without a random_state in other processes, which draw seeds of their own"
    return [f"{name} {why}" for name in names]


def is_supervised(run: RunRecord) -> bool:
    """Whether recording began before the program's first line, as under ``histhooks run``."""
    return any(row["point"] == "process_start" for row in _states(run))


def kept_of(run: RunRecord) -> list[str]:
    """The generators that can be put back: libraries with the point of their state, and those without a seed."""
    names = [(f"{row['library']} {row['device'] or ''}".strip(), row["point"]) for row in _states(run)]
    out = [f"{name} at {point.replace('_', ' ')}" for name, point in names]
    sql = "SELECT count(*) AS n FROM seeds WHERE session_id = ? AND value LIKE ?"
    n = run.history.sql(sql, run.session_id, f"{ENTROPY}%")[0]["n"]
    return [*out, *([f"{n} made without a seed"] if n else [])]


def doubts_of(run: RunRecord) -> list[str]:
    """Why the same random numbers cannot be counted on."""
    out = []
    kept = {row["library"]: row for row in _states(run)}
    for library, row in kept.items():
        data = _state_of(run, row)
        if data is None:
            out.append(f"the state of {library} was not kept")
        elif row["point"] == "first_seen" and len(data) != _FRESH.get(library, 0) and library != "random":
            out.append(f"{library} had been used before recording began: start the program with `histhooks run`")
    sql = "SELECT collector, note FROM captures WHERE session_id = ? AND collector IN ('entropy', 'random_states')"
    sql += " AND status <> 'ok'"
    out += [f"{row['collector'].replace('_', ' ')}: {row['note']}" for row in run.history.sql(sql, run.session_id)]
    out += _of_workers(run)
    if not kept:
        out.append("no state of a generator was recorded")
    return out
