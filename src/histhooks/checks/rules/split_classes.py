"""`split.classes`: class shares differ between splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import JUDGING, Case, class_sizes, classes_of
from histhooks.checks._columns import is_classifier, is_evened, is_weighted, names
from histhooks.checks._statistics import chi2_critical, two_sample_chi2
from histhooks.checks._types import FAIL, INFO, WARN, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    train = classes_of(case.train)
    if train and "semi_supervised" in (case.run.row["model_class"] or ""):
        train.pop("-1", None)  # rows without a label
    judging = [(data["role"], classes_of(data)) for data in case.data(*JUDGING)]
    known = [(role, counts) for role, counts in judging if counts]
    if not train or not known or not is_classifier(case) or len(train) > at["classes"]:
        yield from _by_number(case, at)
        return
    n = sum(train.values())
    for role, counts in known:
        m = sum(counts.values())
        lost = [name for name, count in counts.items() if not train.get(name) and count / m * n >= at["expected"]]
        absent = [name for name, count in train.items() if not counts.get(name) and count / n * m >= at["expected"]]
        if lost:
            says = f"class {names(lost)} of the {role} data is not in the training data"
            yield Found(FAIL, says, len(lost), 0, {"role": role, "classes": lost})
        if absent:
            yield Found(WARN, f"class {names(absent)} of the training data is not in the {role} data", len(absent), 0,
                        {"role": role, "classes": absent})  # fmt: skip
        if not lost and not absent:
            yield from _shares(case, train, counts, role, at)


def _by_number(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    """Classes that are texts: nobody knows which they are, but more of them than elsewhere are others."""
    train = class_sizes(case.train)
    known = [(data["role"], sizes) for data in case.data(*JUDGING) if (sizes := class_sizes(data))]
    if not train or not known or not is_classifier(case) or len(train) > at["classes"]:
        yield Skip("it has no two data sets whose classes are counted")
        return
    n = sum(train)
    for role, sizes in known:
        m, more = sum(sizes), len(sizes) - len(train)
        evidence = {"role": role, "train": len(train), role: len(sizes)}
        if more > 0 and min(sizes) / m * n >= at["expected"]:
            says = f"the {role} data has {len(sizes)} classes, and the training data {len(train)}"
            yield Found(FAIL, says, more, 0, evidence)
        elif more < 0 and min(train) / n * m >= at["expected"]:
            says = f"the training data has {len(train)} classes, and the {role} data {len(sizes)}"
            yield Found(WARN, says, -more, 0, evidence)


def _shares(
    case: Case, train: Mapping[str, int], counts: Mapping[str, int], role: str, at: Mapping[str, float]
) -> Iterator[Said]:
    every = sorted({*train, *counts})
    a, b = [train.get(name, 0) for name in every], [counts.get(name, 0) for name in every]
    n, m = sum(a), sum(b)
    distance = sum(abs(x / n - y / m) for x, y in zip(a, b, strict=True)) / 2
    found, df = two_sample_chi2(a, b)
    if distance < at["distance"] or found <= chi2_critical(df, at["p"]):
        return
    most = max(every, key=lambda name: abs(train.get(name, 0) / n - counts.get(name, 0) / m))
    by_group = any(one.part.startswith(("group:", "time:")) for one in case.overlaps)
    level = INFO if is_weighted(case) or is_evened(case, train, counts) or by_group else WARN
    shares = f"{train.get(most, 0) / n:.1%} of the training data, {counts.get(most, 0) / m:.1%} of the {role} data"
    yield Found(level, f"class {most!r} is {shares}", distance, at["distance"], {"role": role, "chi2": found, "df": df})


CHECK = Check(
    id="split.classes",
    title="class shares differ between splits",
    rule="chi-square of two samples at 1e-3 and a total variation of 0.05: warn; a class that is missing in "
    "training data: fail, in test data: warn, if 15 rows of it were to be expected; info for weighted or "
    "evened classes",
    source="Pearson; Wilson & Hilferty 1931",
    needs="classes, counted",
    levels=(INFO, WARN, FAIL),
    why="The model is judged on another mix than it was trained on.",
    advice="split with `stratify=y`, and shuffle data that is sorted by class",
    triggers="`X[:400], X[400:]` of data that is sorted by class",
    is_silent="a random split; classes that were evened out in the training data",
    limits="shares of classes that are text, of which counts are known and not which",
    thresholds={"p": 1e-3, "distance": 0.05, "expected": 15, "classes": 200},
    judge=_judge,
    version="3",
)
