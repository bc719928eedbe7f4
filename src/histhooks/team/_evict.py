"""Remove old runs from one target for room; every other copy of the history keeps them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from histhooks._base.clock import iso, now_us
from histhooks._base.secrets import mask_text
from histhooks._collect.origin import actor
from histhooks._store import evicting
from histhooks._store.store import Store
from histhooks.curate._pruning import seconds_of
from histhooks.curate._space import free_space, size_of
from histhooks.errors import StoreError, TeamError
from histhooks.team._target import named_target
from histhooks.team.postgres.address import Database
from histhooks.team.postgres.evicting import evict_from

_PATIENCE_S = 30.0


@dataclass(slots=True)
class Evicted:
    """What was removed from a target for room, or would be.

    Attributes
    ----------
    target : str
        Where, without secrets.
    runs : list of str
        Their ids.
    rows, points : int
    contents : int
        Contents that no other run names.
    freed_bytes : int
        By how much a file shrank; a database uses the room again after the next VACUUM.
    notice : str or None
        Why a file did not shrink, where it did not.

    Examples
    --------
    >>> from histhooks import team
    >>> team.Evicted("team.db").runs
    []
    """

    target: str
    runs: list[str] = field(default_factory=list)
    rows: int = 0
    points: int = 0
    contents: int = 0
    freed_bytes: int = 0
    notice: str | None = None

    def as_json(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        return asdict(self)


def evict(
    target: str | os.PathLike[str] | None = None,
    *,
    older_than: str,
    reason: str,
    points: bool = False,
    dry_run: bool = False,
) -> Evicted:
    """Remove runs that ended long ago from one target, for room. It is no deletion: other copies keep them.

    The ledger and the receipts stay, and `verify` passes and says who removed what, and why. A push does not bring the
    rows back. A run whose model was promoted stays, and so does one whose session still records.

    Parameters
    ----------
    target : str or path, optional
        `postgresql://…` or a path that ends in `.db`; by default HISTHOOKS_TEAM, or `team` in pyproject.toml.
    older_than : str
        A span: `400d`, `52w`, counted from a run's end.
    reason : str
        Kept in `evictions`.
    points : bool
        Remove only points; params, results and summaries stay.
    dry_run : bool
        Only report what would be removed.

    Returns
    -------
    Evicted

    Raises
    ------
    TeamError
        If there is no reason, the target cannot be written, or your role is no curator.
    QueryError
        If `older_than` is no span.

    Examples
    --------
    >>> from histhooks import team
    >>> team.evict("histhooks.db", older_than="400d", reason="room", dry_run=True).runs
    []
    """
    if not reason.strip():
        raise TeamError('why? give a reason, such as --reason "room on the server"; it stays in the target')
    before = iso(now_us() - int(seconds_of(older_than) * 1_000_000))
    found, why = named_target(target), mask_text(reason.strip())
    if isinstance(found, Database):
        removed = evict_from(found, before, why, points_only=points, dry_run=dry_run)
        done = Evicted(found.shown)
    elif isinstance(found, Path):
        done = Evicted(str(found))
        removed = _from_file(found, before, why, done, points_only=points, dry_run=dry_run)
    else:
        raise TeamError(f"{found.shown} is no database and no file; of its files, remove those that you can spare")
    done.runs, done.rows, done.points, done.contents = (
        removed.runs, removed.rows, removed.points, len(removed.contents)
    )  # fmt: skip
    return done


def _from_file(
    path: Path, before: str, reason: str, done: Evicted, *, points_only: bool, dry_run: bool
) -> evicting.Removed:
    if not path.is_file():
        raise TeamError(f"no store at {path}; name another")
    size = size_of(path)
    try:
        with closing(Store(path, timeout_s=_PATIENCE_S)) as store:
            connection = store.connection
            connection.execute("PRAGMA foreign_keys = OFF")
            with store.transaction(is_durable=True):
                runs = evicting.old_runs(connection, before, points_only=points_only)
                if dry_run or not runs:
                    return evicting.count(connection, runs, points_only=points_only)
                found = evicting.remove(connection, runs, points_only=points_only)
                who, now = actor()[0] or "-", iso(now_us())
                rows = [(*key, who, now, reason) for key in evicting.entries(found, points_only=points_only)]
                connection.executemany("INSERT OR REPLACE INTO evictions VALUES (?, ?, ?, ?, ?)", rows)
            done.notice = free_space(store, is_needed=False)
    except sqlite3.Error as error:
        raise TeamError(f"{path} cannot be written ({error}); nothing was removed") from error
    except StoreError as error:
        raise TeamError(str(error)) from error
    done.freed_bytes = max(size - size_of(path), 0)
    return found
