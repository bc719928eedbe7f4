"""`model.gone`: a registered model file is missing, or another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._types import FAIL, Check, Found, Said, Skip, Unknown
from histhooks.history._around import state_of_file, versions_made


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    versions = versions_made(case.run)
    if not versions:
        yield Skip("no model that it made is registered")
        return
    for version in versions:
        name, path = f"{version['model']}@{version['number']}", version["path"]
        state = "remote" if path is None or "://" in path else state_of_file(path, version["sha256"])
        if state == "remote":
            yield Unknown(f"{name} lies in no folder of this machine", "check it where the file is")
        elif state != "same" and not version["kept"]:
            says = f"{name}: {path} {'is gone' if state == 'gone' else 'has another content'}"
            yield Found(FAIL, says, 1, 0, {"model": version["model"], "path": path, "sha256": version["sha256"]})


CHECK = Check(
    id="model.gone",
    title="a registered model file is missing or another one",
    rule="the file of a registered version is not where it was, or has another SHA-256: fail",
    source="SHA-256 of the file",
    needs="a registered version of a model that the run made",
    levels=(FAIL,),
    why="The version that is named cannot be loaded any more, or is not what it says.",
    advice="bring the file back, or register it anew",
    triggers="`model.pt` that a later training has overwritten",
    is_silent="a version that is kept beside the store",
    limits="paths of other machines",
    judge=_judge,
)
