"""`model.gone`: a registered model file is missing, or another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._types import FAIL, Check, Found, Said, Skip, Unknown
from histhooks.history._version_files import ELSEWHERE, GONE, OVERWRITTEN, bytes_of
from histhooks.history._version_rows import versions_made


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    versions = versions_made(case.run)
    if not versions:
        yield Skip("no model that it made is registered")
        return
    for version in versions:
        state, path = bytes_of(version)
        if state == ELSEWHERE or path is None:
            yield Unknown(f"{version.name} lies in no folder of this machine", "check it where the file is")
        elif state in (GONE, OVERWRITTEN):
            says = f"{version.name}: {path} {'is gone' if state == GONE else 'has another content'}"
            yield Found(FAIL, says, 1, 0, {"model": version.model, "path": path, "sha256": version.sha256})


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
    is_silent="a version that is kept beside the store, or was kept beside another one",
    limits="paths of other machines: the check cannot tell",
    judge=_judge,
    version="2",
)
