"""``doctor``: is the installation working."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from histhooks._base.frameworks import FRAMEWORKS
from histhooks.cli import _common as common

_FEW = 5  # stores that were recorded to


@click.command(epilog="Example: histhooks doctor --json")
@click.argument("words", nargs=-1, metavar="[STORE]")
@common.store_option
@common.json_option
@click.pass_context
def doctor(context: click.Context, words: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Check that the installation works: versions, frameworks, where the store is, which spools wait."""
    words, store = common.split_store(words, store)
    facts = _examine(store)
    if as_json:
        common.print_json(facts)
    else:
        for name, value in facts.items():
            if isinstance(value, dict) and value:
                click.echo(f"{name}:")
                for key, inner in value.items():
                    click.echo(f"  {key}: {inner}")
            elif name == "recorded to" and value:
                more = f"\n  and {len(value) - _FEW} more, in --json" if len(value) > _FEW else ""
                click.echo(f"{name}:" + "".join(f"\n  {path}" for path in value[:_FEW]) + more)
            elif isinstance(value, (list, dict)):
                click.echo(f"{name}: " + (", ".join(value) or "none"))
            else:
                click.echo(f"{name}: {value}")
    context.exit(1 if facts["problems"] else 0)


def _frameworks() -> dict[str, str]:
    """The version of each framework, and whether its hooks install."""
    from importlib import metadata

    found = {}
    for name, framework in FRAMEWORKS.items():
        try:
            version = metadata.version(framework.distribution)
            found[name] = f"{version}, {_hooked(name)}"
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _hooked(name: str) -> str:
    """Whether the hooks of a framework install here; tried in another process, since it imports the framework."""
    from histhooks import integrations

    if name not in integrations.available():
        return "not recorded yet"
    tested = f"(tested with {FRAMEWORKS[name].tested})"
    told = _try(name)
    if told and name == "keras" and not os.environ.get("KERAS_BACKEND"):
        # The backend that it falls to need not be one that is installed.
        for backend in filter(find_spec, ("torch", "jax", "tensorflow")):
            if not _try(name, KERAS_BACKEND=backend):
                return f"hooked {tested} with KERAS_BACKEND={backend}; without it: {told}"
    return f"NOT HOOKED: {told}" if told else f"hooked {tested}"


def _try(name: str, **variables: str) -> str:
    """Hook a framework in another process; the last line of its output if that fails."""
    program = f"import {name}, histhooks; histhooks.autolog({name!r}); histhooks.disable()"
    environment = {**os.environ, "HISTHOOKS": "", "HISTHOOKS_STRICT": "1", **variables}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]


def _schema(version: int, *, is_file: bool) -> str:
    """The version of a store or a target, and how an old one is treated."""
    from histhooks._store.stamp import SCHEMA_VERSION

    told, ours = (f"{number // 1000}.{number % 1000}" for number in (version, SCHEMA_VERSION))
    if version >= SCHEMA_VERSION:
        return told
    how = "the next session that records here" if is_file else "`histhooks team upgrade`"
    return f"{told}, which {how} brings to {ours}"


def _optional() -> dict[str, str]:
    """What is recorded or shown only where something else is installed."""
    import shutil

    return {
        "GPU use (nvidia-ml-py)": "installed" if find_spec("pynvml") else "not installed",
        "pandas": "installed" if find_spec("pandas") else "not installed",
        "git": shutil.which("git") or "not on the PATH: code versions are not recorded",
    }


def _team(store: Path, problems: list[str]) -> dict[str, Any]:
    """Where the history is pushed to, and how that went; nothing where no team is named."""
    from histhooks._record import pushing

    mode = pushing.mode()
    if mode == "off":
        return {}
    report = pushing.last_report(store)
    when = report.get("pushed_at")
    if line := pushing.not_pushed(store):
        problems.append(line)
    return {
        "team": {
            "target": report.get("target") or "named, nothing was pushed yet",
            "pushed": "never" if when is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when)),
            "push": mode,
        }
    }


def _file(path: Path, problems: list[str]) -> dict[str, Any]:
    """A store of this machine: whether it is there and can be written, and what waits beside it."""
    from histhooks._store import spools

    waiting = [str(file) for file in spools.waiting(path)]
    facts = {"store": f"{path} ({'there' if path.exists() else 'not made yet'})"}
    facts |= _look(path, problems) if path.exists() else {}
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        problems.append(f"{path} cannot be written: sessions record in spools")
    if waiting:
        problems.append(f"{len(waiting)} spools wait; the next session here merges those that have ended")
    return {**facts, "spools": waiting, **_team(path, problems)}


def _target(address: str, problems: list[str]) -> dict[str, Any]:
    """The target of a team: whether it answers."""
    from histhooks.team.postgres.address import masked

    before = len(problems)
    found = _look(address, problems)
    return {"store": f"{masked(address)} ({'there' if len(problems) == before else 'not to be read'})", **found}


def _look(store: Path | str, problems: list[str]) -> dict[str, Any]:
    """What is in a store or a target."""
    from histhooks.errors import HisthooksError
    from histhooks.history import History
    from histhooks.history._state import state_of

    try:
        with History(store) as history:
            state = state_of(history)
    except HisthooksError as error:
        problems.append(str(error))
        return {}
    if state.hook_errors:
        problems.append(f"{state.hook_errors} hooks failed; see the events of kind hook_error")
    return {"schema": _schema(state.user_version, is_file=isinstance(store, Path)), "runs": state.runs}


def _examine(store: str | None) -> dict[str, Any]:
    import platform
    import sqlite3

    from histhooks._base.version import __version__
    from histhooks._host.settings import given
    from histhooks._host.store_location import is_off, is_target, store_path
    from histhooks._store.known_stores import known_stores

    problems: list[str] = []
    frameworks = _frameworks()
    problems += [f"{name} is not hooked" for name, text in frameworks.items() if "NOT HOOKED" in text]
    facts: dict[str, Any] = {
        "histhooks": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "switched": "off by HISTHOOKS" if is_off() else "on",
        "settings": given(),
        "frameworks": frameworks,
        "optional": _optional(),
    }
    facts |= _target(store, problems) if store and is_target(store) else _file(store_path(store), problems)
    facts["recorded to"] = [str(known) for known in known_stores()]
    facts["problems"] = problems
    return facts
