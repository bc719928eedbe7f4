"""Deeds on a version that move no alias to it: register, approve, reject, retire, demote, note."""

from __future__ import annotations

import os

from histhooks.curate._session import CommandSession
from histhooks.errors import QueryError
from histhooks.history import History, ModelVersion
from histhooks.history._models import PRODUCTION
from histhooks.models._deeds import Deed, checked_reason

_Store = str | os.PathLike[str] | None


def approve(name: str, *, reason: str, store: _Store = None) -> ModelVersion:
    """Approve a version. It takes back an earlier rejection or retirement.

    Parameters
    ----------
    name : str
        ``"fraud@3"``, ``"fraud@staging"``.
    reason : str
        Kept in the history, with your name.
    store : str or path, optional

    Returns
    -------
    ModelVersion

    Raises
    ------
    QueryError
        If there is no such version, or the reason is empty.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> models.approve("churn@1", reason="validated on the audit set").standing.action
    'approve'
    """
    return _mark(name, "approve", reason, store)


def reject(name: str, *, reason: str, store: _Store = None) -> ModelVersion:
    """Reject a version: it cannot be promoted, nor gone back to, until somebody approves it. What is live stays live.

    Parameters, result and errors are those of :func:`approve`.

    Examples
    --------
    >>> candidate = models.promote("model.pt", model="drafts", to="staging", reason="to be tried")
    >>> models.reject("drafts@staging", reason="biased").standing.action
    'reject'
    """
    return _mark(name, "reject", reason, store)


def retire(name: str, *, reason: str, store: _Store = None) -> ModelVersion:
    """Retire a version: no alias points to it any more, and none can until somebody approves it.

    Parameters, result and errors are those of :func:`approve`.

    Examples
    --------
    >>> done = models.promote("model.pt", model="legacy", reason="the first")
    >>> models.retire("legacy@1", reason="end of life").standing.action, history.model("legacy").live()
    ('retire', None)
    """
    return _mark(name, "retire", reason, store)


def _mark(name: str, action: str, reason: str, store: _Store) -> ModelVersion:
    reason = checked_reason(reason)
    with History(store) as history:
        version = history.version(name)
    with CommandSession(store, f"histhooks {action} {name}") as session, session.deed() as entries:
        deed = Deed(session, version.model, entries)
        aliases: list[str | None] = [*deed.aliases_of(version.id)] if action == "retire" else []
        for alias in aliases or [None]:
            before = None if alias is None else version.id
            deed.add_event(version.id, action, reason, alias=alias, before=before, run_id=version.run_id)
    found = History(store).model(version.model).by_id(version.id)
    assert found is not None
    return found


def demote(model: str, *, reason: str, alias: str = PRODUCTION, store: _Store = None) -> ModelVersion:
    """Take an alias away, so that nothing is live under it.

    Parameters
    ----------
    model : str
    reason : str
        Kept in the history, with your name.
    alias : str
    store : str or path, optional

    Returns
    -------
    ModelVersion
        What was live.

    Raises
    ------
    QueryError
        If nothing is live under the alias, or the reason is empty.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> done = models.promote("model.pt", model="prices", to="champion", reason="best of May")
    >>> models.demote("prices", alias="champion", reason="withdrawn").number
    1
    >>> history.model("prices").live(alias="champion") is None
    True
    """
    reason = checked_reason(reason)
    with History(store) as history:
        history.model(model)
    with CommandSession(store, f"histhooks demote {model}") as session, session.deed() as entries:
        deed = Deed(session, model, entries)
        version_id = deed.live(alias)
        if version_id is None:
            raise QueryError(f"nothing of {model} is live as {alias!r}")
        deed.add_event(version_id, "demote", reason, alias=alias, before=version_id)
    found = History(store).model(model).by_id(version_id)
    assert found is not None
    return found
