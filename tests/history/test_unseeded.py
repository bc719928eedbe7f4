"""Generators without a seed, whose entropy is kept, as a run tells them."""

from __future__ import annotations

import random
from pathlib import Path

import histhooks
from histhooks._views.run_words import seeds
from histhooks.report import report


def test_generators_without_a_seed_are_told_apart_from_seeds(store_path: Path, tmp_path: Path) -> None:
    histhooks.autolog(store=store_path)
    with histhooks.start_run("with"):
        random.seed(3)
    with histhooks.start_run("without"):
        generators = [random.Random(), random.Random()]
    histhooks.flush()
    assert generators[0].random() != generators[1].random()
    with histhooks.History(store_path) as history:
        run = history.run("without")
        assert [(row["library"], row["call"]) for row in run.unseeded] == [("random", "Random")] * 2
        assert all(row["value"].startswith("entropy:") for row in run.unseeded)
        assert "2 generators without a seed, whose entropy is kept: random Random()" in seeds(run)
        assert history.run("with").unseeded == []
        assert "without a seed" not in seeds(history.run("with"))
        assert run.as_json()["unseeded"] == run.unseeded
        path = report(run, tmp_path / "report.md", with_verify=False)
        number = run.unseeded[0]["value"].removeprefix("entropy:")
    assert f"| random | Random | {number} |" in path.read_text(encoding="utf-8")
