"""`res.idle`: the GPU waited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._curves import course
from histhooks.checks._types import INFO, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    rows = [row for row in case.system if "gpu" in row["name"] and row["name"].endswith("percent")]
    if not rows or (case.run.duration_s or 0) < at["seconds"]:
        yield Skip("no GPU was watched for five minutes")
        return
    for row in rows:
        values = course(case, row)
        mean = sum(values) / len(values) if values else 100.0
        if 0 < mean < at["use"]:
            says = f"{row['name'].rpartition('/')[2].partition('_')[0]} was busy for {mean:.0f} % of the time"
            yield Found(INFO, says, mean, at["use"], {"metric": row["name"]})


CHECK = Check(
    id="res.idle",
    title="the GPU waited",
    rule="a GPU that was used at all was busy for less than 30 % of five minutes or more: info",
    source="histhooks",
    needs="samples of the GPU (extra `gpu`)",
    levels=(INFO,),
    why="The training could take a fraction of the time.",
    advice="use more workers in the DataLoader, pin memory, larger batches",
    triggers="images that one process decodes",
    is_silent="a GPU that no program uses",
    limits="samples are taken every ten seconds",
    thresholds={"use": 30.0, "seconds": 300.0},
    judge=_judge,
)
