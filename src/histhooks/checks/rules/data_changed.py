"""`data.changed`: a file changed under the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks._host.process import identity
from histhooks.checks._case import Case
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Skip
from histhooks.history._around import differs_now


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    reads = [file for file in case.run.file_reads if file["sha256"]]
    if not reads:
        yield Skip("no file that it read was hashed")
        return
    written = {file["path"] for file in case.run.artifacts if file["direction"] == "out"}
    by_path: dict[str, set[str | None]] = {}
    for file in reads:
        by_path.setdefault(file["path"], set()).add(file["sha256"])
    changed = [path for path, found in by_path.items() if len(found) > 1 and path not in written]
    if changed:
        says = f"{len(changed)} file{'s' if len(changed) > 1 else ''} changed while the program read: {_names(changed)}"
        yield Found(WARN, says, len(changed), 0, {"paths": changed})
    is_here = case.run.session["hostname"] == identity().hostname  # a path of another machine is another file
    now = [path for path in differs_now(reads) if path not in changed and path not in written] if is_here else []
    if now:
        says = (
            f"{len(now)} file{'s' if len(now) > 1 else ''} it read {'have' if len(now) > 1 else 'has'} changed since: "
        )
        yield Found(INFO, says + _names(now), len(now), 0, {"paths": now})


def _names(paths: list[str]) -> str:
    short = [path.rpartition("/")[2] for path in paths]
    return ", ".join(short[:3]) + (f" and {len(short) - 3} more" if len(short) > 3 else "")


CHECK = Check(
    id="data.changed",
    title="a file changed under the run",
    rule="a file was read twice with another content: warn; a file that was read has another content now: info",
    source="SHA-256 of files (docs/guide/data.md)",
    needs="files that the program read, hashed",
    levels=(INFO, WARN),
    why="The data of the run is not what stands in that file.",
    advice="write data under a new name, or keep versions of it",
    triggers="a file that another job writes while the training reads it",
    is_silent="files that the program writes itself",
    limits="files of another machine; of what changed since, files up to 32 MiB are hashed again; of larger ones size "
    "and time are compared",
    judge=_judge,
    version="2",
)
