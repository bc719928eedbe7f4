"""`pkg.open`: the environment cannot be rebuilt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._columns import names
from histhooks.checks._types import INFO, Check, Found, Said, Unknown


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    environment = case.run.environment
    if environment is None:
        yield Unknown("the environment was not recorded", "see `histhooks doctor`")
        return
    origins = environment["details"].get("package_origins") or {}
    found = [
        name for name, origin in origins.items()
        if isinstance(origin, Mapping) and not origin.get("commit") and name != "histhooks"
        and (origin.get("is_editable") or origin.get("folder") or str(origin.get("url", "")).startswith("file:"))
    ]  # fmt: skip
    if found:
        says = f"{names(found)} came from a folder of this machine, whose commit is not known"
        yield Found(INFO, says, len(found), 0, {"packages": found})


CHECK = Check(
    id="pkg.open",
    title="the environment cannot be rebuilt",
    rule="a package is editable or came from a folder, and its commit is not known: info",
    source="direct_url.json of the packages (PEP 610)",
    needs="the environment of the run",
    levels=(INFO,),
    why="Nobody can install this package again as it was.",
    advice="commit the package and install it from that commit, or build a wheel",
    triggers="`pip install -e ../shared-code`",
    is_silent="packages of an index, or of a commit of git",
    limits="indexes that lose versions",
    judge=_judge,
)
