"""What stands before a promotion: a configured order of aliases, approvals, and versions that were rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histhooks._base.clock import iso
from histhooks._base.text import when
from histhooks.errors import QueryError, Refused

if TYPE_CHECKING:
    from histhooks.curate._models_config import Config
    from histhooks.models._deeds import Deed

_STANDING = (
    "SELECT action, author, reason, time FROM model_events WHERE version_id = ? "
    "AND action IN ('approve', 'reject', 'retire') ORDER BY time DESC, session_id DESC, ordinal DESC LIMIT 1"
)
_WAS_LIVE = "SELECT 1 FROM model_events WHERE version_id = ? AND alias = ? AND action IN ('promote', 'rollback')"


def refuse_from(deed: Deed, version_id: str | None, from_alias: str) -> None:
    """Refuse what an alias does not point to.

    Raises
    ------
    Refused
        If it points to another version.
    QueryError
        If it points to none.
    """
    there = deed.live(from_alias)
    if there is None:
        raise QueryError(f"nothing of {deed.model} is live as {from_alias!r}; --from names the alias it comes from")
    if there != version_id:
        what = "this file is no version yet" if version_id is None else f"you named {deed.label(version_id)}"
        raise Refused(f"{deed.model}@{from_alias} is {deed.label(there)}, and {what}; nothing was promoted")


def refuse(deed: Deed, version_id: str | None, *, alias: str, run_id: str | None, config: Config) -> None:
    """Refuse to point an alias to a version that a rule keeps from it.

    Raises
    ------
    Refused
        The message names the rule and the next action.
    """
    standing = deed.session.rows(_STANDING, version_id)
    if standing and standing[0]["action"] in ("reject", "retire"):
        refuse_standing(deed, version_id, standing[0])
    _refuse_order(deed, version_id, alias, config)
    if config.approval != "none" and (not config.order or alias == config.order[-1]):
        _refuse_unapproved(deed, version_id, run_id, standing, is_other=config.approval == "other")


def refuse_standing(deed: Deed, version_id: str | None, row: dict[str, object]) -> None:
    """Refuse what was rejected or retired."""
    word = {"reject": "rejected", "retire": "retired"}[str(row["action"])]
    name = deed.label(str(version_id))
    who = f" by {row['author']}" if row["author"] else ""
    raise Refused(
        f"{name} was {word}{who}, {when(iso(int(str(row['time']))))}: {row['reason']}; "
        f"take that back with `histhooks approve {name} --reason WHY`"
    )


def _refuse_order(deed: Deed, version_id: str | None, alias: str, config: Config) -> None:
    place = config.order.index(alias) if alias in config.order else 0
    if not place:
        return
    step = config.order[place - 1]
    if version_id is None or not deed.session.rows(_WAS_LIVE, version_id, step):
        what = "this file" if version_id is None else deed.label(version_id)
        order = ", ".join(config.order)
        raise Refused(
            f"{what} was never {step}, which comes before {alias} (order = {order} in [tool.histhooks.models]); "
            f"promote it there first: --to {step}"
        )


def _refuse_unapproved(
    deed: Deed, version_id: str | None, run_id: str | None, standing: list[dict[str, object]], *, is_other: bool
) -> None:
    by = " by somebody else than who trained it (gov.self_approval)" if is_other else ""
    if version_id is None:
        raise Refused(
            f"this file is no version yet, and one must be approved{by}; give it a number first: "
            f"histhooks register FILE --model {deed.model} --reason WHY"
        )
    name = deed.label(version_id)
    if not standing or standing[0]["action"] != "approve":
        raise Refused(f"{name} is not approved{by}; histhooks approve {name} --reason WHY")
    if is_other:
        sql = "SELECT s.actor FROM runs AS r JOIN sessions AS s ON s.id = r.session_id WHERE r.id = ?"
        trained = deed.session.rows(sql, run_id)
        if trained and trained[0]["actor"] == standing[0]["author"]:
            raise Refused(
                f"{name} was trained and approved by {standing[0]['author']} (gov.self_approval); somebody else must "
                f"approve it: histhooks approve {name} --reason WHY"
            )
