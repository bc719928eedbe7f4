"""``show``: one run on one screen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from histhooks.cli import _common as common
from histhooks.cli._runs import table

if TYPE_CHECKING:
    from histhooks.history import RunRecord

_FEW = 12


@click.command(epilog="Example: histhooks show last")
@click.argument("words", nargs=-1, metavar="[STORE] [RUN]")
@common.store_option
@common.json_option
def show(words: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Show one run on one screen. RUN is an id, a part of one, a name, `last` or `last~2`."""
    words, store = common.split_store(words, store)
    if len(words) > 1:
        raise click.UsageError(f"show takes one run, not {len(words)}")
    with common.open_history(store) as history:
        run = history.run(words[0] if words else "last")
        if as_json:
            common.print_json(run.as_json())
        else:
            screen(run)


def screen(run: RunRecord) -> None:
    """Print one run."""
    from rich.table import Table

    console = common.console()
    console.print(f"[bold]{run.name}[/]  {run.kind}  {common.status(run.status)}  [dim]{run.id}[/]")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in _facts(run):
        if text:
            grid.add_row(label, text)
    console.print(grid)
    _params(run, console)
    _metrics(run, console)
    children = run.children
    if children:
        console.print(f"\n[bold]Children[/] ({len(children)})")
        table(children[:_FEW])
    if run.traceback:
        console.print("\n[bold]Traceback[/]")
        console.print("\n".join(run.traceback.strip().splitlines()[-6:]), style="red", markup=False)
    stderr = next((e["body"] for e in run.related("events") if e["kind"] == "stderr"), None)
    if stderr:
        console.print("\n[bold]Last lines of stderr[/]")
        console.print("\n".join(stderr.rstrip().splitlines()[-_FEW:]), style="dim", markup=False)
    missed = [c for c in run.captures if c["status"] != "ok"]
    if missed:
        console.print("\n[bold]Not captured[/]")
        for capture in missed:
            console.print(f"  {capture['collector']}: {capture['status']}, {capture['note']}", markup=False)


def _facts(run: RunRecord) -> list[tuple[str, str]]:
    session, environment, code = run.session, run.environment or {}, run.code or {}
    data = [
        f"{d['role']}: {d['kind']} {common.number(d['n_rows'])} × {common.number(d['n_columns'])}, "
        f"{common.size(d['size_bytes'])}, content {(d['content_hash'] or 'unknown')[:12]} ({d['coverage']})"
        for d in run.related("datasets")
    ]
    # What the program seeded, and not what that call seeded in turn; unless nothing else is known.
    set_by_program = [s for s in run.seeds if "-packages/" not in (s["location"] or "")]
    seeds = [f"{s['library']} {s['call']}({s['value']})" for s in set_by_program or run.seeds]
    states = {key: value for key, value in run.params.items() if key.endswith("random_state")}
    seeds += [f"{key}={common.value_text(value)}" for key, value in states.items() if value is not None]
    dirty = {1: "with changes", 0: "clean"}.get(code.get("dirty", -1), "")
    commit = " ".join(filter(None, [(code.get("commit_hash") or "")[:10], code.get("branch"), dirty]))
    steps = [
        f"{run.epochs_done} epochs" if run.epochs_done else "",
        f"{run.steps_done} steps" if run.steps_done else "",
    ]
    release = f"({run.framework} {run.framework_version})" if run.framework_version else None
    took = [f"{common.when(run.started_at)}, took {common.seconds(run.duration_s)}", *filter(None, steps)]
    machine = f"on {session['hostname']}" if session["hostname"] else None
    details = environment.get("details", {})
    pools = [f"{p.get('internal_api', p['user_api'])} {p.get('num_threads')}" for p in details.get("thread_pools", [])]
    gpus = [gpu["name"] for gpu in json.loads(environment.get("gpus") or "[]")]
    numbers = [f"{r['library']} {r['digest'][:8]}" for r in run.related("rng_states")]
    flags = next((e["body"] for e in reversed(run.session_events("determinism"))), None)
    source = f"(by {session['actor_source']})" if session["actor_source"] else None
    return [
        ("outcome", _outcome_in_full(run)),
        ("model", _join(run.model_class, release)),
        ("when", ", ".join(took)),
        ("where", _join(run.call_site, machine)),
        ("who", _join(session["actor"], source)),
        ("command", session["command"] or ""),
        ("data", "\n".join(data)),
        ("seeds", ", ".join(seeds) or "no seed was set"),
        ("random state", ", ".join(numbers)),
        ("determinism", ", ".join(f"{k}={v}" for k, v in json.loads(flags).items()) if flags else ""),
        ("code", _join(code.get("repository"), commit, code.get("entry_script"))),
        ("environment", _join(*(environment.get(name) for name in ("python", "os", "cpu")), *gpus)),
        ("threads", ", ".join(dict.fromkeys(pools))),
        ("session", _session(session)),
        ("tags", ", ".join(f"{t['key']}={t['value']}" if t["value"] else t["key"] for t in run.related("tags"))),
        ("notes", "\n".join(n["body"] or "[erased]" for n in run.related("notes"))),
        ("files", "\n".join(f"{a['role']}: {a['path']} {a['sha256'][:12]}" for a in run.related("artifacts"))),
        ("events", "\n".join(f"{e['severity']}: {e['title']}" for e in run.related("events")[-5:])),
    ]


def _outcome_in_full(run: RunRecord) -> str:
    lines = f"{run.error_type}: {run.error_message or ''}".strip().splitlines() if run.error_type else []
    return "\n".join([*lines[:_FEW], f"… {len(lines) - _FEW} more lines"] if len(lines) > _FEW else lines)


def _session(session: dict[str, Any]) -> str:
    """What kind of process it was, and how it ended."""
    rank = f"rank {session['rank']} of {session['world_size']}" if session["world_size"] else None
    job = f"job {session['job_id']}" if session["job_id"] else None
    code = f"exit code {session['exit_code']}" if session["exit_code"] is not None else session["signal"]
    return _join(session["kind"], f"pid {session['pid']}", job, rank, session["status"], code)


def _join(*words: str | None) -> str:
    return "  ".join(word for word in words if word)


def _params(run: RunRecord, console: Any) -> None:
    chosen, everything = run.chosen, run.params
    if not everything:
        return
    console.print(f"\n[bold]Params[/] ({len(chosen)} chosen, {len(everything) - len(chosen)} left at their default)")
    for key, value in list(chosen.items())[:30]:
        console.print(f"  {key} = {common.value_text(value)}", markup=False)
    for key, value in list(run.results.items())[:_FEW]:
        console.print(f"  → {key} = {common.value_text(value)}", markup=False)


def _metrics(run: RunRecord, console: Any) -> None:
    from rich.table import Table

    summaries = run.summaries
    if not summaries:
        return
    console.print("\n[bold]Metrics[/]")
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("  metric", "split", "points", "last", "best", "at step", "curve"):
        grid.add_column(
            title, justify="right" if title in ("points", "last", "best", "at step") else "left", no_wrap=True
        )
    for s in summaries[:30]:
        best, step = {1: (s["max"], s["max_step"]), -1: (s["min"], s["min_step"]), 0: (None, None)}[s["direction"]]
        last = s["last_special"] or common.number(s["last"])
        curve = common.sparkline([point["value"] for point in run.metrics(s["name"])])
        grid.add_row(
            f"  {s['name']}", s["split"], str(s["count"]), last, common.number(best), common.number(step), curve
        )
    console.print(grid)
