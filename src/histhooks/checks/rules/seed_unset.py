"""`seed.unset`: the result hangs on a seed that nobody set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Skip, Unknown
from histhooks.history._seeds import draws_without_seed


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    if not case.trains:
        yield Skip("nothing was trained in it")
        return
    own = [row for row in case.run.unseeded if _is_of_program(row["location"])]
    if own:
        calls = [f"{row['call']}() of {row['library']} at {row['location']}" for row in own]
        calls = list(dict.fromkeys(calls))
        says = f"made without a seed: {', '.join(calls[:3])}" + (" …" if len(calls) > 3 else "")
        yield Found(INFO, says, len(own), 0, {"unseeded": calls})
    seeded = {row["library"] for row in case.run.seeds}
    if case.params.get("backend") == "tensorflow" and not seeded & {"tensorflow", "keras"}:
        says = "TensorFlow drew numbers, no seed of it was set, and its state is not kept"
        advice = "call keras.utils.set_random_seed(N) before you build the model"
        yield Found(WARN, says, 1, 0, {"libraries": ["tensorflow"]}, advice)
        return
    drawn = draws_without_seed(case.run)
    if drawn is None:
        yield Unknown("where generators stood before and after was not recorded",
                      "start the program with `histhooks run`")  # fmt: skip
    elif drawn:
        yield Found(INFO, f"{' and '.join(drawn)} drew random numbers, and no seed was set", len(drawn), 0,
                    {"libraries": drawn})  # fmt: skip


def _is_of_program(location: str | None) -> bool:
    """Whether a generator was made by the program, and not by a package or while one is imported."""
    return bool(location) and "-packages/" not in str(location) and not str(location).startswith("<")


CHECK = Check(
    id="seed.unset",
    title="the result hangs on a seed that nobody set",
    rule="the global generator of a library moved before the run ended and no seed of that library was set, or the "
    "program made a generator without one: info; warn if its state is not kept (TensorFlow)",
    source="states of the generators (docs/guide/randomness.md)",
    needs="states of the generators, from schema 1.2 on",
    levels=(INFO, WARN),
    why="Training again gives another model, and part of a gain or a loss may be luck.",
    advice="set a seed for each library, as in `random_state=0` or `torch.manual_seed(0)`",
    triggers="`train_test_split(X, y)` without `random_state`",
    is_silent="a fit that draws nothing, such as LogisticRegression with lbfgs",
    limits="what draws from the system itself: os.urandom, uuid, threads",
    judge=_judge,
)
