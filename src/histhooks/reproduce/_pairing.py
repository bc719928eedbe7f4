"""Which run of a repeated program is which: by what surrounds it, its kind, its place in the program, and its turn."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from histhooks.reproduce._command import TYPED

if TYPE_CHECKING:
    from histhooks.history import History, RunRecord

Key = tuple[Any, ...]


def pairs_of(history: History, run: RunRecord, session_id: str, roots: tuple[str, str]) -> dict[str, str]:
    """The runs of a session by the run that each repeats.

    Parameters
    ----------
    history : History
    run : RunRecord
    session_id : str
        The session that repeats that of the run.
    roots : tuple of str
        The folder of the code then, and now.
    """
    is_typed = run.session["kind"] in TYPED  # whose places are numbers of cells, and names those of the notebook
    then = {key: run_id for run_id, key in _keys(history, run.session_id, roots[0], is_typed=is_typed).items()}
    now = _keys(history, session_id, roots[1], is_typed=is_typed)
    return {then[key]: run_id for run_id, key in now.items() if key in then}


def _keys(history: History, session_id: str, root: str, *, is_typed: bool) -> dict[str, Key]:
    cwd = history.sql("SELECT cwd FROM sessions WHERE id = ?", session_id)[0]["cwd"] or root
    columns = "id, parent_id, kind, call_site, name, model_class"
    sql = f"SELECT {columns} FROM runs WHERE session_id = ? ORDER BY started_at, id"
    found: dict[str, Key] = {}
    turns: Counter[Key] = Counter()
    for row in history.sql(sql, session_id):
        above = found.get(row["parent_id"] or "", ())
        where = (row["model_class"],) if is_typed else (_place(row["call_site"], cwd, root), row["name"])
        key = (*above, row["kind"], *where)
        found[row["id"]] = (*key, turns[key])
        turns[key] += 1
    return found


def _place(call_site: str | None, cwd: str, root: str) -> str | None:
    """A place in the program, from the root of its code."""
    if call_site is None or call_site.startswith("<"):
        return call_site
    package = call_site.rpartition("-packages/")
    if package[1]:
        return package[2]
    path = os.path.realpath(os.path.join(cwd, call_site))
    return os.path.relpath(path, os.path.realpath(root)) if root else path
