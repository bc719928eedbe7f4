"""Promote: make a file a version of a model, and point an alias to it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from histhooks.curate._models_config import Config, configured
from histhooks.curate._session import CommandSession
from histhooks.errors import QueryError, Refused
from histhooks.history import History, ModelVersion
from histhooks.history._models import PRODUCTION
from histhooks.history._named_versions import Meant, meant
from histhooks.history._version_rows import read_versions
from histhooks.models import _steps as steps
from histhooks.models._bytes import Source, keep_bytes, source_of
from histhooks.models._deeds import Deed, checked_alias, checked_model, checked_reason
from histhooks.models._verdicts import Judged, judged

if TYPE_CHECKING:
    from histhooks._store.entries import Entry

_Store = str | os.PathLike[str] | None


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a promotion did.

    Attributes
    ----------
    version : ModelVersion
        As it is now.
    alias : str or None
        None if it was only registered.
    before : ModelVersion or None
        What the alias pointed to.
    is_new : bool
        Whether it is a new version.
    is_moved : bool
        Whether the alias moved; False if it pointed to the version already, and then there is no event.
    checks : dict
        The verdict of the checks, as the event has it.
    kept : bool
        Whether its bytes are kept beside the store.
    notices : list of str
        What a person should know: that no run is known, that nothing keeps the file.
    """

    version: ModelVersion
    alias: str | None
    before: ModelVersion | None
    is_new: bool
    is_moved: bool
    checks: dict[str, Any]
    kept: bool
    notices: list[str] = field(default_factory=list)


def promote(
    what: str | os.PathLike[str],
    *,
    reason: str,
    model: str | None = None,
    to: str = PRODUCTION,
    keep: bool | None = None,
    check: bool = True,
    from_alias: str | None = None,
    store: _Store = None,
) -> Promotion:
    """Point an alias of a model to a version, which is made if the file has none yet.

    Parameters
    ----------
    what : str or path
        A file or a folder, a SHA-256 or the beginning of one, a run (its last model or checkpoint), or a version:
        ``"fraud@3"``, ``"fraud@staging"``.
    reason : str
        Kept in the history, with your name.
    model : str, optional
        The name of the model; not needed if `what` is a version, or the file is a version of one model already.
    to : str
        The alias that moves.
    keep : bool, optional
        Whether to keep a copy of the file in ``<store>.files/``; by default as `[tool.histhooks.models]` says, else no.
    check : bool
        Whether findings of level `fail` refuse it. The event says if nobody asked.
    from_alias : str, optional
        Refuse unless this alias points to the version: ``from_alias="staging"``.
    store : str or path, optional

    Returns
    -------
    Promotion

    Raises
    ------
    Refused
        If a check fails, a step of the configured order is missing, or the version was rejected or retired.
    QueryError
        If there is no such file, run or version, the reason is empty, or no model is named.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> done = models.promote("model.pt", model="risk", reason="the first")
    >>> done.version.name, done.is_new, done.is_moved, done.before
    ('risk@1', True, True, None)
    >>> models.promote("risk@1", reason="again").is_moved
    False
    """
    alias = checked_alias(to)
    return _do(_Wish(os.fspath(what), checked_reason(reason), model, alias, keep, check, from_alias), store)


def register(
    what: str | os.PathLike[str],
    *,
    reason: str,
    model: str | None = None,
    keep: bool | None = None,
    store: _Store = None,
) -> Promotion:
    """Make a file a version of a model, to which no alias points yet.

    Parameters
    ----------
    what, reason, model, keep, store
        As for :func:`promote`.

    Returns
    -------
    Promotion
        Its `alias` is None, and `is_new` says whether the file was none yet.

    Raises
    ------
    Refused
        If the bytes are gone or are not right. Findings of checks are kept, and refuse nothing.
    QueryError
        If there is no such file, run or version, the reason is empty, or no model is named.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> done = models.register("model.pt", model="trial", reason="for the validators")
    >>> done.version.name, done.is_new, history.model("trial").live()
    ('trial@1', True, None)
    """
    return _do(_Wish(os.fspath(what), checked_reason(reason), model, None, keep), store)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a person asks for."""

    what: str
    reason: str
    model: str | None
    alias: str | None
    keep: bool | None
    check: bool = True
    from_alias: str | None = None


def _do(wish: _Wish, store: _Store) -> Promotion:
    config, alias = configured(), wish.alias
    with History(store) as history:
        asked = _asked(history, wish, config)
        is_kept = (config.keep if wish.keep is None else wish.keep) or _is_lost_elsewhere(history, asked)
        if is_kept:
            keep_bytes(asked.source, history.path)
    checks = asked.verdict.as_json()
    verb = "register" if alias is None else "promote"
    with CommandSession(store, f"histhooks {verb} {asked.model}") as session, session.deed() as entries:
        deed = Deed(session, asked.model, entries)
        version_id, before = deed.version_of(asked.found), None if alias is None else deed.live(alias)
        is_new = version_id is None
        is_moved = alias is not None and (is_new or before != version_id)
        if wish.from_alias is not None:
            steps.refuse_from(deed, version_id, wish.from_alias)
        if is_moved and alias is not None:
            steps.refuse(deed, version_id, alias=alias, run_id=asked.found.run_id, config=config)
        if version_id is None:
            version_id = _add_version(deed, entries, asked, before=before, is_kept=is_kept or asked.source.file["kept"])
        if is_new or is_moved:
            deed.add_event(version_id, verb, wish.reason, alias=alias, before=before, run_id=asked.found.run_id,
                           checks=checks)  # fmt: skip
    now = History(store).model(asked.model)
    version = now.by_id(version_id)
    assert version is not None
    is_kept = bool(version.file["kept"])
    notices = _notices(asked, is_kept=is_kept)
    return Promotion(version, alias, now.by_id(before), is_new, is_moved, checks, is_kept, notices)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What shall become a version, and what is known of it before anything is written."""

    model: str
    found: Meant
    source: Source
    problem: str | None
    verdict: Judged
    signature: str | None


def _asked(history: History, wish: _Wish, config: Config) -> _Asked:
    found = meant(history, wish.what)
    name = _model_of(history, found, wish.model)
    source = source_of(history, found)
    problem = None if found.what == "file" else source.problem()  # a file was read just now
    if problem is not None and wish.check:
        hint = ", or promote it all the same with --no-check" if wish.alias is not None else ""
        raise Refused(f"{problem}; name a file that has them{hint}")
    verdict = judged(history, found.run_id, fail_on=config.fail_on) if wish.check else Judged(why_not="--no-check")
    if verdict.failures and wish.alias is not None:
        raise Refused(_failing(verdict, found))
    return _Asked(name, found, source, problem, verdict, source.signature(found.run_id))


def _is_lost_elsewhere(history: History, asked: _Asked) -> bool:
    """Whether a file is a version already whose bytes can be had from no other place: then a copy is kept."""
    if asked.found.what != "file":
        return False
    known = read_versions(history, asked.model).get(asked.model, [])
    version = next((each for each in known if each.sha256 == asked.found.sha256), None)
    return version is not None and Source(version.file).problem() is not None


def _failing(verdict: Judged, found: Meant) -> str:
    run = found.run_id[-8:] if found.run_id else ""
    lines = [f"  {finding.level} {finding.id}: {finding.says}" for finding in verdict.failures]
    first = verdict.failures[0].id
    return "\n".join([
        f"run {run} does not pass its checks, so nothing was promoted:", *lines,
        f"correct it and train again; or accept it, with your name: histhooks waive {first} {run} --reason WHY --until "
        "DAY; or promote it all the same: --no-check",
    ])  # fmt: skip


def _add_version(deed: Deed, entries: list[Entry], asked: _Asked, *, before: str | None, is_kept: bool) -> str:
    found = asked.found
    entries += asked.source.content_entries(deed.session)
    facts = {"run_id": found.run_id, "path": found.path, "kept": int(is_kept), "parent_id": before}
    return deed.add_version(found.sha256, **facts, signature=asked.signature)


def _notices(asked: _Asked, *, is_kept: bool) -> list[str]:
    notices = []
    if asked.found.run_id is None:
        notices.append("no recorded run made this file: its data, code and checks are not known")
    if asked.problem is not None:
        notices.append(asked.problem)
    elif not is_kept:
        notices.append(f"no copy is kept: once {asked.found.path} is overwritten, nobody can go back to it (--keep)")
    return notices


def _model_of(history: History, found: Meant, model: str | None) -> str:
    """The model that is meant."""
    if model is not None:
        return checked_model(model)
    if found.version is not None:
        return found.version.model
    sql = "SELECT DISTINCT model FROM model_versions WHERE sha256 = ? ORDER BY model"
    names = [str(row["model"]) for row in history.sql(sql, found.sha256)]
    if len(names) == 1:
        return names[0]
    if names:
        raise QueryError(f"this file is a version of {' and of '.join(names)}; say which: --model {names[0]}")
    known = [each.name for each in history.models()]
    there = f"; there are {', '.join(known[:8])}" if known else ""
    raise QueryError(f"a version of which model? give its name: --model NAME{there}")
