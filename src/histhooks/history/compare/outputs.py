"""Compare the outcomes of two runs: the model's shape, metrics with their direction, results, the end."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from histhooks._base.values import flatten
from histhooks.history._ranking import best_of, mean_of_folds
from histhooks.history.compare.change import ABSENT, Change, Part, change, changes_of, is_same
from histhooks.history.compare.data import content_of
from histhooks.history.query.run_query import beyond_of

if TYPE_CHECKING:
    from histhooks.history._records import RunRecord

_CLOCK = re.compile(r"(^|[_. ])(time|times|seconds|duration|duration_s|elapsed)($|[_. ])")


def model(a: RunRecord, b: RunRecord) -> Part:
    """Class, framework, parameters, and layers that were added, removed or changed."""
    names = ("kind", "model_class", "framework", "framework_version")
    changes = changes_of(*({name: run.row[name] for name in names} for run in (a, b)))
    shapes = a.architecture, b.architecture
    if shapes[0] is None or shapes[1] is None:
        lacking = [f"{n}: the model's shape was not recorded" for n, s in zip("AB", shapes) if s is None]
        unknown = tuple(lacking) if len(lacking) == 1 else ()
        return Part("architecture", tuple(changes), unknown, is_there=bool(changes) or len(lacking) == 1)
    if shapes[0]["id"] != shapes[1]["id"]:
        facts = [{"parameters": s["n_parameters"], "trained": s["n_trainable"]} for s in shapes if s is not None]
        changes += changes_of(*facts)
        layers = [_layers(shape["layers"]) for shape in shapes if shape is not None]
        for name in dict.fromkeys([*layers[0], *layers[1]]):
            before, after = layers[0].get(name), layers[1].get(name)
            if before is None or after is None:
                told = [ABSENT if each is None else each.get("class", "") for each in (before, after)]
                changes.append(change(f"layer {name}", *told))
            else:
                changes += changes_of(before, after, prefix=f"layer {name} ")
    return Part("architecture", tuple(changes))


def _layers(layers: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(layers, list):
        return {"": flatten(layers)} if isinstance(layers, dict) else {}
    out: dict[str, dict[str, Any]] = {}
    for number, layer in enumerate(layers):
        facts = flatten(layer) if isinstance(layer, dict) else {"is": layer}
        name = str(facts.pop("name", number))
        out[name] = {key.removeprefix("config."): value for key, value in facts.items() if key != "config.name"}
    return out


def is_clock(name: str) -> bool:
    """Whether a metric or a result says how long something took."""
    return _CLOCK.search(name) is not None


def is_close(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two values are the same, or relatively closer than the tolerance."""
    if is_same(a, b):
        return True
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (a, b))
    return numbers and tolerance > 0 and math.isclose(a, b, rel_tol=tolerance)


def metrics(a: RunRecord, b: RunRecord, tolerance: float) -> Part:
    """Metrics by name: points, last and best, and which is better; what is measured of the machine does not count.

    Where both runs say on which data a metric was taken, and it was other data, both sides say which: ``data``.
    """
    found = [{row["name"]: row for row in run.summaries} for run in (a, b)]
    out = []
    for name in dict.fromkeys([*found[0], *found[1]]):
        told = [_curve(run, each[name]) if name in each else ABSENT for run, each in zip((a, b), found)]
        row = found[1].get(name) or found[0][name]
        if ABSENT not in told and all(
            is_close(told[0].get(key), told[1].get(key), tolerance) for key in {*told[0], *told[1]}
        ):
            continue
        note = None if ABSENT in told else _verdict(row["direction"], *told)
        contents = [content_of(run, row["split"]) for run in (a, b)]
        if ABSENT not in told and None not in contents and contents[0] != contents[1]:
            told = [{**each, "data": content} for each, content in zip(told, contents)]
        out.append(change(name, *told, counts=row["split"] != "system" and not is_clock(name), note=note))
    out.sort(key=lambda each: not each.counts)
    return Part("metrics", tuple(out), is_there=bool(found[0] or found[1]))


def _curve(run: RunRecord, row: Mapping[str, Any]) -> dict[str, Any]:
    mean = mean_of_folds(run, row)
    best = best_of(run, row) if mean is None else None
    out = {"last": row["last"] if row["last_special"] is None else row["last_special"]}
    out |= {"best": None if best is None else best.value, "points": row["count"], "not_finite": row["nonfinite"]}
    # What a curve did between says that it is another one, even if it ended the same.
    out |= {"mean": mean} if mean is not None else {}
    return out | {"first": row["first"], "min": row["min"], "max": row["max"]}


def _verdict(direction: int, a: Mapping[str, Any], b: Mapping[str, Any]) -> str | None:
    before, after = (each["best"] if each["best"] is not None else each.get("mean") for each in (a, b))
    if not direction or before is None or after is None or before == after:
        return None
    return "better" if (after - before) * direction > 0 else "worse"


def results(a: RunRecord, b: RunRecord, tolerance: float) -> Part:
    """Outcomes that are no curve; how long something took does not count."""
    found = a.results, b.results
    out: list[Change] = []
    for each in changes_of(*found):
        if each.is_in_a and each.is_in_b and is_close(each.a, each.b, tolerance):
            continue
        out.append(replace(each, counts=not is_clock(each.key)))
    out.sort(key=lambda each: not each.counts)
    return Part("results", tuple(out), is_there=bool(found[0] or found[1]))


def end(a: RunRecord, b: RunRecord) -> Part:
    """How it ended and how far it came; how long it took does not count."""
    names = ("error_type", "error_message", "epochs_planned", "epochs_done", "steps_done", "duration_s")
    facts = [{"status": run.status, **{name: run.row[name] for name in names}} for run in (a, b)]
    counts = [len(run.children) + beyond_of(run.history, [run.id]).get(run.id, 0) for run in (a, b)]
    if any(counts):
        facts = [{**each, "children": n} for each, n in zip(facts, counts)]
    unknown = [f"{name}: it still runs" for name, run in (("A", a), ("B", b)) if run.status == "running"]
    return Part("outcome", tuple(changes_of(*facts, uncounted=("duration_s",))), tuple(unknown))
