"""`rec.capture`: something was not gathered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._types import INFO, WARN, Check, Found, Said

# What is missing on machines and in programs that have nothing of the kind.
_HARMLESS = ("gpu_use", "gpu", "entry_script", "git", "random_states", "entropy", "results")


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    rows = [row for row in case.captures if row["collector"] not in _HARMLESS]
    failed = [row for row in rows if row["status"] == "failed"]
    partly = [row for row in rows if row["status"] in ("skipped", "truncated")]
    for level, found in ((WARN, failed), (INFO, partly)):
        names = list(dict.fromkeys(row["collector"] for row in found))
        if not names:
            continue
        word = "failed to be gathered" if level == WARN else "not gathered in full"
        note = found[0]["note"]
        says = f"{word}: {', '.join(names)}" + (f" ({note})" if note else "")
        yield Found(level, says, len(names), 0, {"captures": [[r["collector"], r["status"], r["note"]] for r in found]})


CHECK = Check(
    id="rec.capture",
    title="something was not gathered",
    rule="a row of `captures` is `failed`: warn; `skipped` or `truncated`: info; `off` is a choice",
    source="table `captures`",
    needs="nothing but the run",
    levels=(INFO, WARN),
    why="What was not gathered cannot be judged, and a check that passes without it says less.",
    advice="the note says what was missing; see all of them under `Not captured` of `histhooks show RUN`",
    triggers="a data set whose values could not be read",
    is_silent="a machine without a GPU; a program outside git",
    limits="it repeats what the recorder knows that it missed",
    judge=_judge,
)
