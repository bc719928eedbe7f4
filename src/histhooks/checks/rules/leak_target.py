"""`leak.target`: a column is the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._types import FAIL, INFO, Check, Found, Said, Skip, Unknown

_HOW = {"exact": "is the target", "affine": "is the target, scaled and moved", "classes": "is the target, renamed"}


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    if not case.trains or not case.data("train"):
        yield Skip("it has no training data")
        return
    for data in case.data("train"):
        columns = data.columns
        if not any("alone" in column.facts or "equals_target" in column.facts for column in columns):
            why = case.missed("data_content") or "no column was compared with a target"
            if "a row is an array" in why:
                yield Skip("its rows are images, and have no columns")
                return
            yield Unknown(f"columns were not compared with the target: {why}",
                          "give features and target as arrays or frames")  # fmt: skip
            continue
        found = [column for column in columns if column.facts.get("equals_target")]
        if not found or (data["n_rows"] or 0) < at["rows"]:
            continue
        names = [_name(column.name, column.position) for column in found]
        is_copy = len(found) > max(1, len(columns) // 2)  # the target is made of the features: an autoencoder
        how = _HOW.get(str(found[0].facts["equals_target"]), "is the target")
        says = f"column {names[0]} {how}" if len(names) == 1 else f"{len(names)} columns are the target: " + ", ".join(
            names[:3]) + (" …" if len(names) > 3 else "")  # fmt: skip
        yield Found(INFO if is_copy or data["n_columns"] == 1 else FAIL, says, len(names), 0,
                    {"columns": names, "how": [c.facts["equals_target"] for c in found]})  # fmt: skip


def _name(name: str | None, position: int) -> str:
    return repr(name) if name is not None else str(position)


CHECK = Check(
    id="leak.target",
    title="a column is the target",
    rule="a column of the training data equals the target, scaled and moved or with its classes renamed, in 50 rows or "
    "more: fail; info if most columns do, or if there is only one",
    source="exact comparison of float32 values (docs/guide/data.md, `equals_target`)",
    needs="features and target of the training data as arrays or frames",
    levels=(INFO, FAIL),
    why="The model reads the answer from its input, which will not be there when it is used.",
    advice="drop the column from the features",
    triggers="`X = frame` where `X = frame.drop(columns='price')` was meant",
    is_silent="an autoencoder, whose target is its input",
    limits="a target that is made of several columns; the first 100 columns are looked at",
    thresholds={"rows": 50},
    judge=_judge,
)
