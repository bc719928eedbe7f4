"""``team``: make a target, say who reads it, see how it stands, bring it up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from histhooks._base.text import counted
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.team import Status

_MOST = 10
_ACTIONS = ("init", "status", "upgrade", "grant", "revoke", "evict")
# What belongs to one action, and how that action writes it.
_ONLY = {
    "is_sql": ("init", "--sql"), "by_project": ("init", "--by-project"), "store": ("status", "--store"),
    "all_projects": ("grant", "--all-projects"),
    "older_than": ("evict", "--older-than"), "points": ("evict", "--points"),
    "reason": ("evict", "--reason"), "is_meant": ("evict", "--yes"), "dry_run": ("evict", "--dry-run"),
}  # fmt: skip


@click.command(epilog="Example: histhooks team init postgresql://db.example/ml; histhooks team status")
@click.argument("action", type=click.Choice(_ACTIONS))
@click.argument("words", nargs=-1, metavar="[TARGET] [ROLE] [PROJECT]")
@click.option("--sql", "is_sql", is_flag=True, help="init: only print the SQL, for whoever may run it.")
@click.option("--by-project", is_flag=True, help="init: a role reads only the projects that it is granted.")
@click.option("--all-projects", is_flag=True, help="grant, revoke: all projects, in the place of PROJECT.")
@click.option("--store", metavar="PATH", help="status: the store to compare with; by default the one found here.")
@click.option("--older-than", metavar="SPAN", help="evict: runs that ended longer ago than this: 400d, 52w.")
@click.option("--points", is_flag=True, help="evict: only their points; params, results and summaries stay.")
@click.option("--reason", help="evict: reason, kept in the target.")
@click.option("--dry-run", is_flag=True, help="evict: only show what would be removed, as without --yes.")
@click.option(
    "--yes", "is_meant", is_flag=True, help="evict: apply the change; without it, only show what would change."
)
@common.json_option
@click.pass_context
def team(
    context: click.Context,
    /,
    action: str,
    words: tuple[str, ...],
    is_sql: bool,
    by_project: bool,
    all_projects: bool,
    store: str | None,
    as_json: bool,
    **rules: Any,
) -> None:
    """Look after the target of a team.

    init makes it, with the roles histhooks_reader, histhooks_writer and histhooks_curator; status shows how it stands;
    upgrade brings it up to date. `grant TARGET ROLE PROJECT` and `revoke` say which roles read which projects, where it
    was made with --by-project. evict removes old runs from the target alone, for room; other copies keep them.

    TARGET is postgresql://USER@HOST/DATABASE, as libpq takes it; for status a folder or a bucket too; by default
    HISTHOOKS_TEAM, or `team` in pyproject.toml. ?histhooks_schema=NAME names another schema than `histhooks`. Passwords
    come from .pgpass, a service file or PGPASSWORD.

    status: exit code 1 if something waits here, or a push was refused. revoke: 1 if the role had no such right.
    """
    given = {"is_sql": is_sql, "by_project": by_project, "store": store, "all_projects": all_projects, **rules}
    for name, (of, option) in _ONLY.items():
        if given[name] and action != of and not (of == "grant" and action == "revoke"):
            raise click.UsageError(f"{option} is for {of}; leave it out with {action}")
    if action in ("grant", "revoke"):
        context.exit(_readers(action, words, all_projects=all_projects, as_json=as_json))
    if len(words) > 1:
        raise click.UsageError(f"{action} takes one target, not {words[1]!r} too")
    target = words[0] if words else None
    if action == "init":
        _init(target, is_sql=is_sql, by_project=by_project, as_json=as_json)
    elif action == "upgrade":
        _upgrade(target, as_json=as_json)
    elif action == "evict":
        _evict(target, **rules, as_json=as_json)
    else:
        context.exit(_status(target, store, as_json=as_json))


def _init(target: str | None, *, is_sql: bool, by_project: bool, as_json: bool) -> None:
    from histhooks import team as teams
    from histhooks.team._target import database_of, init_sql

    if is_sql:
        click.echo(init_sql(target, by_project=by_project), nl=False)
        return
    shown = database_of(target).shown
    is_new = teams.init(target, by_project=by_project)
    if as_json:
        common.print_json({"target": shown, "is_new": is_new})
        return
    click.echo(f"{shown} is ready{': histhooks push sends a store to it' if is_new else ' already'}")
    if is_new:
        click.echo("  who pushes is a member of histhooks_writer, who reads of histhooks_reader: GRANT ... TO role")
    if by_project:
        click.echo("  a role reads only the projects that it is granted: histhooks team grant TARGET ROLE PROJECT")


def _upgrade(target: str | None, *, as_json: bool) -> None:
    from histhooks import team as teams
    from histhooks.team._target import database_of

    shown = database_of(target).shown
    before, now = (f"{each // 1000}.{each % 1000}" for each in teams.upgrade(target))
    if as_json:
        common.print_json({"target": shown, "before": before, "now": now})
    else:
        click.echo(f"{shown} has schema version {now}" + ("" if before == now else f", before {before}"))


def _evict(
    target: str | None, *, older_than: str | None, points: bool, reason: str | None, dry_run: bool, is_meant: bool,
    as_json: bool,
) -> None:  # fmt: skip
    from histhooks import team as teams

    if older_than is None:
        raise click.UsageError("which runs? add --older-than 400d")
    is_meant = is_meant and not dry_run
    if reason is None and is_meant:
        raise click.UsageError('why? add --reason "..."; it stays in the target (--dry-run only shows what would go)')
    done = teams.evict(target, older_than=older_than, points=points, reason=reason or "-", dry_run=not is_meant)
    if as_json:
        common.print_json({"evicted": is_meant, **done.as_json()})
        return
    if not done.runs:
        click.echo(f"no run of {done.target} ended longer than {older_than} ago, and may go; nothing was changed")
        return
    what = f"{counted(done.points, 'point')} of {counted(len(done.runs), 'run')}"
    if not points:
        what = f"{counted(len(done.runs), 'run')}, {counted(done.rows, 'row')} and {counted(done.points, 'point')}"
    freed = f"; the file is {common.size(done.freed_bytes)} smaller" if done.freed_bytes else ""
    click.echo(f"{'removed' if is_meant else 'would remove'} {what} from {done.target}{freed}")
    if not is_meant:
        click.echo("nothing was changed; add --reason WHY --yes to do it")
    elif done.notice:
        click.echo(done.notice, err=True)


def _readers(action: str, words: tuple[str, ...], *, all_projects: bool, as_json: bool) -> int:
    """Grant or revoke; the exit code."""
    from histhooks import team as teams
    from histhooks.team._target import database_of
    from histhooks.team.postgres.granting import has_runs

    needed = 1 if all_projects else 2
    if len(words) not in (needed, needed + 1) or (len(words) == needed and "://" in words[0]):
        raise click.UsageError(f"write `histhooks team {action} TARGET ROLE PROJECT`, or --all-projects for PROJECT")
    target = words[0] if len(words) > needed else None
    role, project = words[-needed], None if all_projects else words[-1]
    what = "all projects" if project is None else f"project {project}"
    if action == "revoke":
        is_changed, is_member = teams.revoke(role, project, target), True
        says = f"{role} no longer reads {what}" if is_changed else f"{role} had no right to read {what}"
    else:
        is_changed, is_member = teams.grant(role, project, target)
        says = f"{role} reads {what}{'' if is_changed else ' already'}"
    if as_json:
        common.print_json({"role": role, "project": project, "is_changed": is_changed, "is_member": is_member})
    else:
        click.echo(says)
        if action == "grant" and project is not None and not has_runs(database_of(target), project):
            click.echo(f"  no run of {project} is there yet", err=True)
        if not is_member:
            click.echo(f"  it reads nothing until a DBA runs: GRANT histhooks_reader TO {role}", err=True)
    return 0 if is_changed or action == "grant" else 1


def _status(target: str | None, store: str | None, *, as_json: bool) -> int:
    """Show how a target stands; the exit code."""
    from histhooks import team as teams
    from histhooks._host.store_location import find_store

    path = find_store(store)
    found = teams.status(target, path if path is not None and (store is not None or path.is_file()) else None)
    if as_json:
        common.print_json(found.as_json())
    else:
        _tell(found)
    is_behind = found.waiting is not None and found.waiting["lines"]
    return 1 if found.conflicts or found.faults or is_behind else 0


def _tell(found: Status) -> None:
    click.echo(
        f"{found.target}: {', '.join(counted(getattr(found, n), n[:-1]) for n in ('runs', 'sessions', 'points'))}"
    )
    where = f"PostgreSQL {found.server_version}" if found.server_version else counted(found.files, "file")
    since = f", since {common.when(found.created_at)}" if found.created_at else ""
    click.echo(f"  schema version {found.schema_version}, {where}, {common.size(found.size_bytes)}{since}")
    for fault in found.faults[:_MOST]:
        click.echo(f"  left out: {fault}")
    if len(found.faults) > _MOST:
        click.echo(f"  ... and {len(found.faults) - _MOST} more; --json has all")
    for row in found.pushed_by[:_MOST]:
        click.echo(
            f"  {row['role']} pushed {counted(row['pushes'], 'time')}, last {common.when(row['last_at'])}, with "
            f"{row['recorder_version']}"
        )
    if found.reads is not None:
        click.echo(f"  your role reads {_named(found)}: other runs, and who pushed them, are hidden from it")
    _tell_readers(found)
    for row in found.conflicts[:_MOST]:
        when = common.when(row["found_at"])
        click.echo(f"  refused: session {row['session_id']}, {row['what']}, pushed by {row['pushed_by']} {when}")
    if len(found.conflicts) > _MOST:
        click.echo(f"  ... and {len(found.conflicts) - _MOST} more; --json has all")
    if found.waiting and found.waiting["lines"]:
        click.echo(
            f"  {counted(found.waiting['sessions'], 'session')} of {found.store} not there yet "
            f"({counted(found.waiting['lines'], 'ledger line')}): histhooks push"
        )
    elif found.waiting:
        click.echo(f"  all of {found.store} is there")


def _named(found: Status) -> str:
    """What a role reads that does not read all."""
    projects = found.reads or []
    more = f" and {len(projects) - _MOST} more" if len(projects) > _MOST else ""
    which = ", ".join(projects[:_MOST]) + more
    known = f"project{'s' if len(projects) > 1 else ''} {which}" if projects else "no project"
    return f"{known} and what it pushed" if found.pushed_by else known


def _tell_readers(found: Status) -> None:
    if found.rights != "by-project":
        return
    projects: dict[str, list[str]] = {}
    for row in found.readers:
        projects.setdefault(row["project"], []).append(row["role"])
    click.echo("  roles read the projects that they are granted" + ("" if projects else ", and you see no grant"))
    for project, roles in list(projects.items())[:_MOST]:
        named = "all projects" if project == "*" else f"project {project}"
        more = f" and {len(roles) - _MOST} more" if len(roles) > _MOST else ""
        click.echo(f"    {named}: {', '.join(roles[:_MOST])}{more}")
    if len(projects) > _MOST:
        click.echo(f"    ... and {len(projects) - _MOST} projects more; --json has all")
