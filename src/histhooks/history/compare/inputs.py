"""Compare the inputs of two runs: code, packages, environment, params, optimizer, seeds."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from histhooks._base.telling import inner, rest_of
from histhooks._base.text import counted
from histhooks._base.values import flatten
from histhooks.history._places import place
from histhooks.history._seeds import UNSEEDED, param_seeds, seed_calls, set_by_program, why_none
from histhooks.history.compare.change import ABSENT, Change, Part, change, changes_of, is_same, not_recorded
from histhooks.history.compare.code import (
    CodeState,
    Patch,
    as_script,
    between_texts,
    cells_of,
    idle_of,
    lacking,
    patch_between,
    sources_of,
    state_of,
)

if TYPE_CHECKING:
    from histhooks.history._records import RunRecord
    from histhooks.history._row_types import Group, Optimizer

# --- code -------------------------------------------------------------------------------------------------------------


def code(a: RunRecord, b: RunRecord) -> tuple[Part, Patch | None]:
    """Commit, branch, changes on top, the program, its sources and cells, and the patch between both states."""
    of_a, of_b = a.code, b.code
    if of_a is None or of_b is None:
        return Part("code", unknown=tuple(not_recorded(of_a, of_b, "its code was not recorded"))), None
    found = (of_a, of_b)
    unknown = [f"{name}: {text}" for name, run in (("A", a), ("B", b)) for text in lacking(run)]
    cells = [as_script(cells_of(run)) for run in (a, b)]
    texts = _paired(*(sources_of(run.history, run) for run in (a, b)))
    patch, changes, notes = _of_git(a, b, found)
    changes += changes_of(*(_others(each) for each in found), prefix="file ")
    changes += changes_of(*({name: _short(text) for name, text in each.items()} for each in texts), prefix="source ")
    changes += _of_cells(a, b, cells)
    between = between_texts(*texts) + between_texts(*({"cells": text} if text else {} for text in cells))
    if between:
        kind = "recorded" if patch is None else patch.kind
        patch = Patch((patch.text or "" if patch is not None else "") + between, kind, patch.notes if patch else [])
    if changes:
        return Part("code", tuple(changes), notes=(*notes, *unknown)), patch
    return Part("code", (), tuple(unknown), tuple(notes)), patch


def _of_git(
    a: RunRecord, b: RunRecord, found: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> tuple[Patch | None, list[Change], list[str]]:
    """The result of git: the patch between both states, what differs, and notes."""
    states = [state_of(run.history, each, run.session["cwd"]) for run, each in zip((a, b), found)]
    if found[0]["id"] == found[1]["id"]:
        return None, [], list(states[0].missing) if states[0] is not None else []
    idle = _idle(a, b, states)
    states = [None if each is None else each.without(set().union(*idle)) for each in states]
    patch = None
    if states[0] is not None and states[1] is not None and not _is_same_state(states[0], states[1]):
        patch = patch_between(states[0], states[1])
    is_one = patch is None and states[0] is not None and states[1] is not None
    is_equal = is_one or (patch is not None and patch.kind == "states" and not patch.text and not patch.notes)
    names = ("commit", "branch", "changes", "repository", "program", "program's content")
    words = [dict(zip(names, _code_words(each))) for each in found]
    for told, state, left in zip(words, states, idle):
        if left and state is not None and state.is_clean:
            told["changes"] = "none"
    own = {"branch", "repository"} | ({"commit", "changes"} if is_equal else set())
    if words[0]["program's content"] is not None and words[0]["program's content"] == words[1]["program's content"]:
        own.add("program")  # where a file lies is no difference
    changes = changes_of(*words, uncounted=own)
    if patch is not None and patch.text and not any(each.counts for each in changes):
        added, removed = patch.n_lines
        changes.append(change("changes on top of the commit", ABSENT, f"+{added} −{removed} lines"))
    short = [{name: _short(text) for name, text in each.items()} for each in idle]
    changes += [
        replace(one, note=_IDLE) for one in changes_of(*short, prefix="new file ", uncounted={*short[0], *short[1]})
    ]
    is_told = is_equal and not is_one
    return patch, changes, ["both commits and what was changed on top of them give the same files"] if is_told else []


_IDLE = "not imported"


def _idle(a: RunRecord, b: RunRecord, states: Sequence[CodeState | None]) -> list[dict[str, str]]:
    """New files that no run of the two imported; of different commits all count, since one may have them in git."""
    found = [idle_of(a), idle_of(b)]
    if states[0] is None or states[1] is None or states[0].commit != states[1].commit:
        return [{}, {}]
    ran = [{*state.untracked} - {*idle} for state, idle in zip(states, found) if state is not None]
    return [{name: text for name, text in each.items() if name not in ran[0] | ran[1]} for each in found]


def _is_same_state(a: CodeState, b: CodeState) -> bool:
    """Whether both have the same commit, diff and new files: nothing is left to be asked of git."""
    return (a.commit, a.diff, a.untracked) == (b.commit, b.diff, b.untracked)


def _others(found: Mapping[str, Any]) -> dict[str, Any]:
    """Files that git has, that are no code and that differed from the commit, by their hash."""
    told = found["details"].get("others_changed", {})
    return {name: "deleted" if each["state"] == "deleted" else each["sha256"] for name, each in told.items()}


def _paired(a: dict[str, str], b: dict[str, str]) -> list[dict[str, str]]:
    """Sources by name, where a file that lies elsewhere on another machine is the same by its text."""
    moved = [name for name in b if name not in a and os.path.isabs(name)]
    names = {}
    for name in (name for name in a if name not in b and os.path.isabs(name)):
        for other in moved:
            if b[other] == a[name] and other not in names:
                names[other] = name
                break
    return [a, {names.get(name, name): text for name, text in b.items()}]


def _short(text: str) -> str:
    return f"{hashlib.sha256(text.encode()).hexdigest()[:12]}, {counted(len(text.splitlines()), 'line')}"


def _of_cells(a: RunRecord, b: RunRecord, scripts: list[str]) -> list[Change]:
    """Cells in their order, whatever their numbers."""
    cells = [[cell["source"] for cell in cells_of(run)] for run in (a, b)]
    if cells[0] == cells[1]:
        return []
    told = [f"{counted(len(each), 'cell')}, {_short(text)}" if each else ABSENT for each, text in zip(cells, scripts)]
    return [change("cells", *told)]


def _code_words(found: Mapping[str, Any]) -> tuple[Any, ...]:
    dirty = {0: "none", 1: "some", None: None}[found["dirty"]]
    commit, content = found["commit_hash"], found["entry_sha256"]
    return commit, found["branch"], dirty, found["repository"], found["entry_script"], content


def files(a: RunRecord, b: RunRecord) -> Part:
    """Files that were read, weights to start from among them, and the runs that were gone on from."""
    words = []
    for run in (a, b):
        read = [file for file in run.artifacts if file["direction"] == "in"]
        found: dict[str, Any] = {f"{file['role']} {place(run, file['path'])}": file["sha256"] for file in read}
        words.append(
            found
            | {
                link["kind"]: link["other_run_id"] or link["sha256"]
                for link in run.links
                if link["kind"] != "reproduces"
            }
        )
    return Part("files read", tuple(changes_of(*words)), is_there=bool(words[0] or words[1]))


# --- packages and environment -----------------------------------------------------------------------------------------


def packages(a: RunRecord, b: RunRecord) -> Part:
    """Packages that were added or removed, or have another version."""
    found = a.packages, b.packages
    if not found[0] or not found[1]:
        return Part("packages", unknown=tuple(not_recorded(*found, "packages were not recorded")))
    origins = [_origins(run) for run in (a, b)]
    return Part("packages", (*changes_of(*found), *changes_of(*origins, prefix="origin of ")))


def _origins(run: RunRecord) -> dict[str, Any]:
    """Where packages came from that no index gave; that of a folder says nothing on another machine."""
    told = run.environment["details"].get("package_origins", {}) if run.environment is not None else {}
    return {name: each["commit"] for name, each in told.items() if each.get("commit")}


_QUIET = ("memory", "python's path")


def environment(a: RunRecord, b: RunRecord) -> Part:
    """Python, system, hardware, threads, variables and flags that change what is computed."""
    found = a.environment, b.environment
    if found[0] is None or found[1] is None:
        return Part("environment", unknown=tuple(not_recorded(*found, "its environment was not recorded")))
    words = [_machine(each) for each in found if each is not None]
    changes = changes_of(*words, uncounted=_QUIET)
    flags = [each["details"].get("cpu_flags") for each in found if each is not None]
    if all(flags):  # releases before 1.2 recorded none
        changes += changes_of(*({"instructions": each} for each in flags))
    pools = [_pools(each) for each in found if each is not None]
    # A pool that only one of them had loaded when it was looked at says nothing.
    both = pools[0].keys() & pools[1].keys()
    changes += changes_of(*({key: pool[key] for key in sorted(both)} for pool in pools), prefix="threads of ")
    told = a.determinism, b.determinism
    notes = []
    if bool(told[0]) == bool(told[1]):
        changes += changes_of(*told)
    else:
        notes = not_recorded(*told, "flags of determinism were not recorded")
    return Part("environment", tuple(changes), notes=tuple(notes))


def _machine(found: Mapping[str, Any]) -> dict[str, Any]:
    details = found["details"]
    cards = json.loads(found["gpus"] or "null")
    gpus = cards and [f"{card.get('name')}, driver {card.get('driver_version')}" for card in cards]
    out = {name: found[name] for name in ("python", "os", "machine", "cpu")}
    out |= {"gpus": gpus, "cpus": details.get("cpu_count"), "cpus allowed": details.get("cpu_affinity")}
    out |= {"memory": found["memory_bytes"], "python's path": details.get("executable"), "libc": details.get("libc")}
    out |= {"hash randomization": details.get("hash_randomization"), "optimize": details.get("optimize")}
    return {**out, **details.get("variables", {})}


def _pools(found: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, list[Any]] = {}
    for pool in found["details"].get("thread_pools", []):
        out.setdefault(pool.get("internal_api", pool["user_api"]), []).append(pool.get("num_threads"))
    return {key: sorted({*values}, key=str) for key, values in out.items()}


# --- params, optimizer, seeds -----------------------------------------------------------------------------------------


def params(a: RunRecord, b: RunRecord) -> Part:
    """Params, those that somebody chose first, with where they came from."""
    values, sources = (a.params, b.params), (a.param_sources, b.param_sources)
    has_optimizers = bool(a.optimizers and b.optimizers)  # then these stand there
    repeated = {
        key for key in inner(values[0]) & inner(values[1]) if rest_of(values[0][key]) == rest_of(values[1][key])
    }
    out = []
    for found in changes_of(*values):
        if found.key in repeated or (has_optimizers and found.key.startswith("optimizer.")):
            continue
        told = [source[key] for source in sources for key in source if f"{found.key}.".startswith(f"{key}.")]
        out.append(replace(found, note=" → ".join(dict.fromkeys(told))))
    out.sort(key=lambda found: found.note == "default")
    return Part("params", tuple(out), is_there=bool(values[0] or values[1]))


def optimizer(a: RunRecord, b: RunRecord) -> Part:
    """Optimizers by position, with their groups as they began and their schedules."""
    found = a.optimizers, b.optimizers
    if bool(found[0]) != bool(found[1]):
        return Part("optimizer", unknown=tuple(not_recorded(*found, "no optimizer was recorded")))
    several = max(len(found[0]), len(found[1])) > 1
    words = [
        {f"{each['position']} {k}" if several else k: v for each in run for k, v in _optimizer(each).items()}
        for run in found
    ]
    return Part("optimizer", tuple(changes_of(*words)), is_there=bool(found[0]))


def _optimizer(found: Optimizer) -> dict[str, Any]:
    first: dict[int, Group] = {}
    for group in found["groups"]:
        first.setdefault(group["position"], group)
    out: dict[str, Any] = {"class": found["class_name"]}
    own = flatten(found["settings"])
    if len(first) > 1:
        own.pop("lr", None)
    out |= own
    for position, group in first.items():
        prefix = f"group {position} " if len(first) > 1 else ""
        settings = {key: value for key, value in flatten(group["settings"]).items() if not is_same(value, own.get(key))}
        facts = {**settings, "lr": group["lr"], "parameters": group["n_parameters"]}
        if not prefix and ("lr" in own or "learning_rate" in own):
            del facts["lr"]  # of the optimizer's own settings
        out |= {f"{prefix}{key}": value for key, value in facts.items()}
    schedule = found["scheduler"]
    return out | flatten(schedule if isinstance(schedule, dict) else {"": schedule} if schedule else {}, "schedule ")


def seeds(a: RunRecord, b: RunRecord) -> Part:
    """Seeds that were set, and where the generators stood."""
    found = [_seeds(run) for run in (a, b)]
    changes = changes_of(*found)
    told = [each or param_seeds(run) for each, run in zip(found, (a, b))]  # those among params are told there
    none = not told[0] and not told[1]
    why = [why_none(run) for run in (a, b)]
    notes = [f"{why[0]} in either"] if none and why[0] and why[0] == why[1] else []
    if not none or why[0] != why[1]:
        # If one has a seed, the other may need one too, unless its generators did not move.
        lacking = [each or (UNSEEDED if not none else "") for each in why]
        notes = [f"{name}: {text}" for name, text, own in zip("AB", lacking, told, strict=True) if text and not own]
    states = [
        {f"state of {row['library']} {row['device'] or ''}".strip(): row["digest"] for row in run.states_at_start}
        for run in (a, b)
    ]
    both = [key for key in states[0] if key in states[1]]
    moved = changes_of(*({key: each[key] for key in both} for each in states), uncounted=both)
    return Part("seeds", (*changes, *moved), notes=tuple(notes))


def _seeds(run: RunRecord) -> dict[str, Any]:
    out: dict[str, list[Any]] = {}
    for row in set_by_program(seed_calls(run)):
        values = out.setdefault(f"{row['library']} {row['call']}", [])
        if row["value"] not in values:  # what is set again in a run is kept twice
            values.append(row["value"])
    return {key: values[0] if len(values) == 1 else values for key, values in out.items()}
