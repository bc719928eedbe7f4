"""`env.changed`: compared runs ran elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from histhooks.checks._case import Case
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Skip, Unknown


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    if case.against is None:
        yield Skip("no run to compare with was named (--against)")
        return
    here, there = _facts(case), _facts(case.against)
    if not here or not there:
        yield Unknown("the environment of one of the runs was not recorded", "see `histhooks doctor`")
        return
    differ = {key: (there.get(key), here.get(key)) for key in here if here.get(key) != there.get(key)}
    grave = {key: pair for key, pair in differ.items() if not _is_patch(*pair)}
    told = ", ".join(f"{key} {a} → {b}" for key, (a, b) in differ.items())
    if differ:
        yield Found(WARN if grave else INFO, f"they ran elsewhere: {told}", len(differ), 0, {"differ": differ})


def _facts(case: Case) -> dict[str, Any]:
    environment = case.run.environment
    if environment is None:
        return {}
    pools = environment["details"].get("thread_pools") or []
    threads = sorted({f"{pool.get('user_api')} {pool.get('num_threads')}" for pool in pools if isinstance(pool, dict)})
    return {
        "python": environment["python"], "CPU": environment["cpu"], "GPUs": environment["gpus"],
        str(case.framework): case.run.row["framework_version"], "threads": ", ".join(threads) or None,
    }  # fmt: skip


def _is_patch(a: Any, b: Any) -> bool:
    """Whether two versions differ in their last part only."""
    x, y = str(a).split("."), str(b).split(".")
    return len(x) == len(y) >= 3 and x[:-1] == y[:-1]


CHECK = Check(
    id="env.changed",
    title="compared runs ran elsewhere",
    rule="with --against: Python, the framework, CPU, GPUs or threads differ: warn; versions that differ in "
    "their last part only: info",
    source="environments of both runs",
    needs="a run to compare with",
    levels=(INFO, WARN),
    why="A difference between the runs may come from the machine and not from the change.",
    advice="repeat the other run here, and compare with that",
    triggers="a baseline of last year's framework",
    is_silent="two runs of one machine",
    limits="packages that the framework calls; `histhooks diff` has all of them",
    judge=_judge,
)
