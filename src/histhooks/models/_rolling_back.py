"""Roll back: point an alias to a version that was live before, if its bytes are there and right."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histhooks.curate._session import CommandSession
from histhooks.errors import Refused, StoreError
from histhooks.history import History, Model, ModelVersion
from histhooks.history._artifacts import prepared
from histhooks.history._models import PRODUCTION
from histhooks.history._version_files import GONE, bytes_of
from histhooks.models._deeds import Deed, checked_reason

_Store = str | os.PathLike[str] | None


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a rollback did, or would do.

    Attributes
    ----------
    version : ModelVersion
        What is live then.
    alias : str
    before : ModelVersion or None
        What was live.
    is_moved : bool
        False if the version was live already, and in a dry run.
    place : Path
        Where its bytes are; they were just verified.
    written : Path or None
        The file that was written.
    command, folder : str or None
        The command of the run that made it, and where it ran; None if none is known, or it was erased.
    environment : dict
        `python`, `os`, `machine` and `packages` of that run; empty if none is known.
    """

    version: ModelVersion
    alias: str
    before: ModelVersion | None
    is_moved: bool
    place: Path
    written: Path | None
    command: str | None
    folder: str | None
    environment: dict[str, Any]


def rollback(
    model: str,
    *,
    reason: str = "",
    to: str | int | None = None,
    alias: str = PRODUCTION,
    output: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    store: _Store = None,
) -> Rollback:
    """Point an alias to the version that was live before. A second rollback goes further back.

    Nothing is deleted. A version from which somebody rolled back is gone back to only if it is named.

    Parameters
    ----------
    model : str
    reason : str
        Kept in the history, with your name; needed unless `dry_run`.
    to : str or int, optional
        A version that was live under the alias, by its number; by default the one before.
    alias : str
    output : str or path, optional
        A file to write its bytes to.
    dry_run : bool
        Only look where it would go, and whether the bytes are right.
    store : str or path, optional

    Returns
    -------
    Rollback

    Raises
    ------
    Refused
        If nothing was live before, or the bytes are gone or are not right.
    QueryError
        If there is no such model or version, or the reason is empty.
    StoreError
        If the store or the file cannot be written.

    Examples
    --------
    >>> first = models.promote("model.pt", model="scores", reason="the first")
    >>> size = open("newer.pt", "wb").write(b"newer weights")
    >>> second = models.promote("newer.pt", model="scores", reason="the second")
    >>> done = models.rollback("scores", reason="too many alarms")
    >>> done.version.number, done.before.number, done.place.read_bytes()
    (1, 2, b'weights')
    """
    reason = "-" if dry_run else checked_reason(reason)
    with History(store) as history:
        found = history.model(model)
        live = found.live(alias=alias)
        before = live.version if live is not None else None
        target = _named(found, alias, to) if to is not None else _before(found, alias)
        place = _place(found, target)
        is_same = before is not None and before.id == target.id
        with prepared(target.file, None if dry_run else output) as put:
            if not dry_run and not is_same:
                _write(store, found, alias, before, target, reason)
            written = put()
    now = History(store).model(model)
    version = now.by_id(target.id)
    assert version is not None
    is_moved = not dry_run and not is_same
    return Rollback(
        version, alias, now.by_id(before.id if before else None), is_moved, place, written, *_origin(version)
    )


def _write(
    store: _Store, model: Model, alias: str, before: ModelVersion | None, target: ModelVersion, reason: str
) -> None:
    with CommandSession(store, f"histhooks rollback {model.name}") as session, session.deed() as entries:
        deed = Deed(session, model.name, entries)
        now = deed.live(alias)
        if now != (before.id if before is not None else None):
            raise Refused(f"{model.name}@{alias} was moved by somebody else just now; look again: histhooks models "
                          f"{model.name}")  # fmt: skip
        deed.add_event(target.id, "rollback", reason, alias=alias, before=now, run_id=target.run_id)


def stack_of(model: Model, alias: str) -> list[ModelVersion]:
    """The versions that an alias can go back through, the latest last; what is live is among them."""
    stack: list[str] = []
    for event in model.events:
        if event.alias != alias:
            continue
        if event.action == "promote":
            stack.append(event.version_id)
        elif event.action == "rollback":
            while stack and stack[-1] != event.version_id:
                stack.pop()
            if not stack:
                stack.append(event.version_id)
    return [version for version in map(model.by_id, stack) if version is not None]


def _before(model: Model, alias: str) -> ModelVersion:
    """The version that was live before."""
    live = model.live(alias=alias)
    now = live.version.id if live is not None else None
    stack = stack_of(model, alias)
    while stack and stack[-1].id == now:
        stack.pop()
    found = next((each for each in reversed(stack) if each.id != now and _is_allowed(each)), None)
    if found is not None:
        return found
    was = ", ".join(each.label for each in _was_live(model, alias) if each.id != now and _is_allowed(each))
    first = f"nothing was {alias} before {live.version.name}" if live else f"nothing of {model.name} is {alias}"
    hint = f"; --to goes to one that was {alias} since: {was}" if was else ", so there is nothing to go back to"
    raise Refused(f"{first}{hint}")


def _is_allowed(version: ModelVersion) -> bool:
    """Whether nobody has rejected or retired it."""
    return version.standing is None or version.standing.action == "approve"


def _was_live(model: Model, alias: str) -> list[ModelVersion]:
    ids = {
        event.version_id for event in model.events if event.alias == alias and event.action in ("promote", "rollback")
    }
    return [version for version in model.versions if version.id in ids]


def _named(model: Model, alias: str, to: str | int) -> ModelVersion:
    """The version that a person names, which was live."""
    word = str(to)
    target = model.version(word.removeprefix(f"{model.name}@"))
    was = _was_live(model, alias)
    if target not in was:
        labels = ", ".join(each.label for each in was) or "none"
        raise Refused(f"{target.name} was never {alias} (these were: {labels}); promote it: histhooks promote "
                      f"{target.name} --to {alias} --reason WHY")  # fmt: skip
    if target.standing is not None and not _is_allowed(target):
        word = {"reject": "rejected", "retire": "retired"}[target.standing.action]
        raise Refused(f"{target.name} was {word}: {target.standing.reason}; take that back with `histhooks approve "
                      f"{target.name} --reason WHY`")  # fmt: skip
    return target


def _place(model: Model, target: ModelVersion) -> Path:
    """Where the bytes of a version are, once they are verified."""
    file = target.file
    try:
        for each in file.files:
            each.open().close()
    except StoreError as error:
        there = [each for each in model.versions if each.id != target.id and bytes_of(each).state != GONE]
        others = ", ".join(each.label for each in there if bytes_of(each).state in ("kept", "there"))
        hint = f"; the bytes of {others} are there: --to" if others else ""
        raise Refused(f"{target.name} cannot be gone back to: {error}; it was last at {target.path}{hint}") from error
    return Path(file["path"]) if file.is_folder else file.path


def _origin(version: ModelVersion) -> tuple[str | None, str | None, dict[str, Any]]:
    """Command, folder and environment of the run that made a version."""
    run = version.run
    if run is None:
        return None, None, {}
    session, environment = run.session, run.environment or {}
    told = {name: environment.get(name) for name in ("python", "os", "machine")}
    return session["command"], session["cwd"], {**told, "packages": run.packages}
