"""`model.unsafe`: a model file can run code when it is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._types import INFO, Check, Found, Said, Skip

_FORMATS = ("pkl", "pickle", "joblib", "pt", "pth", "ckpt", "dill", "cloudpickle")


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    files = [file for file in case.run.artifacts if file["role"] in ("model", "checkpoint")]
    if not files:
        yield Skip("it wrote and read no model")
        return
    for direction, word in (("in", "read"), ("out", "wrote")):
        found = {file["path"]: file for file in files if file["direction"] == direction and _is_code(file["path"])}
        if not found:
            continue
        strange = [
            path for path, file in found.items() if direction == "in" and not case.run.writers_of(file["sha256"])
        ]
        first = next(iter(strange or found)).rpartition("/")[2]
        more = len(strange or found) - 1
        says = (
            f"it {word} {len(found)} model file{'s' if len(found) > 1 else ''} that can run code when loaded: {first}"
            + (f" and {more} more" if more else "")
        )
        says += ", which no known run made" if strange else ""
        yield Found(INFO, says, len(found), 0, {"paths": list(found), "not_made_here": strange})


def _is_code(path: str) -> bool:
    return path.rpartition(".")[2].lower() in _FORMATS


CHECK = Check(
    id="model.unsafe",
    title="a model file can run code when it is loaded",
    rule="a model or checkpoint is a pickle (pickle, joblib, .pt, .ckpt): info; it says if no known run made "
    "one that was read",
    source="the documentation of pickle: never unpickle data that you do not trust",
    needs="files of the run",
    levels=(INFO,),
    why="Whoever can write that file can run a program wherever it is loaded.",
    advice="load with `weights_only=True`, or write safetensors, `.keras`, `.ubj` or skops",
    triggers="`joblib.dump(model, 'model.joblib')`",
    is_silent="`model.save('model.keras')`",
    limits="it goes by the name of the file",
    judge=_judge,
)
