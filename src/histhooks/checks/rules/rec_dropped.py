"""`rec.dropped`: points were lost, or hooks failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._types import INFO, WARN, Check, Found, Said


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    points, errors = case.session["dropped_points"], case.session["hook_errors"]
    if points:
        yield Found(WARN, f"{points:,} points were dropped", points, 0, {"dropped_points": points})
    if errors:
        own = any(event["kind"] == "hook_error" for event in case.events) or any(
            row["status"] == "failed" for row in case.captures if row["run_id"] == case.run.id
        )
        yield Found(
            WARN if own else INFO, f"{errors:,} hooks failed while it was recorded" if errors > 1 else
            "a hook failed while it was recorded", errors, 0, {"hook_errors": errors},
            "see what failed among the events of `histhooks show RUN`, and report it",
        )  # fmt: skip


CHECK = Check(
    id="rec.dropped",
    title="points or hooks were lost",
    rule="the session dropped a point, or a hook of histhooks failed in the run: warn; a hook that failed "
    "elsewhere in its session: info",
    source="counters of the session",
    needs="nothing but the session",
    levels=(INFO, WARN),
    why="What other checks say rests on a record that is not complete.",
    advice="record to a faster disk, or raise HISTHOOKS_BUFFER_MB",
    triggers="a session whose disk was full for an hour",
    is_silent="a session that waited for a locked store and lost nothing",
    limits="points are counted of the process, not of one run in it",
    judge=_judge,
)
