"""`seed.reset`: seeded again inside the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._types import INFO, Check, Found, Said
from histhooks.history._seeds import seeds_inside


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    rows = [row for row in seeds_inside(case.run) if row["location"] and "-packages/" not in row["location"]]
    found = Counter((row["library"], row["call"], row["value"]) for row in rows if row["call"] != "default_rng")
    for (library, call, value), n in found.items():
        if n >= at["times"]:
            says = f"{library} was seeded again inside the run, by {call}({value})"
            yield Found(INFO, says, n, at["times"], {"library": library, "value": value})
            return


CHECK = Check(
    id="seed.reset",
    title="it was seeded again inside the run",
    rule="the program sets the same seed of a library twice or more inside the run: info",
    source="histhooks",
    needs="seeds of the run",
    levels=(INFO,),
    why="Each epoch that begins with the same seed draws the same shuffles, masks and augmentations.",
    advice="set the seed once, before the training",
    triggers="`torch.manual_seed(0)` in the loop over epochs",
    is_silent="seeds that a library sets for itself",
    limits="generators that are made again with the same seed",
    thresholds={"times": 2},
    judge=_judge,
)
