"""The public face, frozen: mypy checks this file, nobody runs it.

A line that no longer type-checks is a change that breaks other people's programs.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, assert_type

import histhooks
from histhooks import HisthooksError, NotApplicable, QueryError, Run, StoreError, curate
from histhooks.export import Exported, export
from histhooks.history import Comparison, Differences, RunRecord, Series
from histhooks.plot import Chart, plot, spark_svg, svg_curves
from histhooks.report import report
from histhooks.verify import Report, verify

# Switching on and off.
histhooks.autolog()
histhooks.autolog("sklearn")
histhooks.autolog("sklearn", "xgboost", "keras", "lightning", "torch")
histhooks.autolog(
    store="histhooks.db",
    project="churn",
    group="sweep-1",
    tags={"team": "red", "attempt": 2},
    metric="val_loss",
    splits={"holdout": "test"},
)
histhooks.autolog(store=Path("histhooks.db"), project=None, group=None, tags=None, metric=None, splits=None)
histhooks.disable()


def a_block_that_records_nothing() -> AbstractContextManager[None]:
    return histhooks.paused()


# A run of one's own.
with histhooks.start_run("name", params={"lr": 0.1}, tags={"team": "red"}) as run:
    assert_type(run, Run)
    run.log({"loss": 0.3})
    run.log({"loss": 0.3, "val_loss": 0.4}, step=10, epoch=1)
    run.log_params({"optimizer": {"lr": 0.1}})
    run.log_params({"lr": 0.1}, source="user")
    run.log_results({"best_iteration": 12})
    run.log_dataset("train", [[1.0], [2.0]])
    run.log_dataset("train", [[1.0], [2.0]], [0, 1], name="iris", source="data/iris.csv")
    run.log_artifact("model.pt")
    run.log_artifact(Path("model.pt"), role="model", direction="out", step=10)
    run.tag("team", "red")
    run.tag({"team": "red"})
    run.tag(team="red")
    run.note("worth a second look")
    run.event("milestone", "halfway", "the whole story", severity="info", step=5)
    run.declare_metric("score", metric="score", split="valid", direction=1)
    run.link("resumes", "0190a0b0-0000-7000-8000-000000000000", sha256=None)

run = histhooks.start_run()
run.end()
run.end("failed", error=ValueError("why"))

assert_type(run.id, str | None)
assert_type(run.name, str)
assert_type(run.kind, str)
assert_type(run.status, str)
assert_type(run.parent_id, str | None)
assert_type(run.framework, str | None)
assert_type(run.session_id, str | None)
assert_type(run.started_at, str)

# The current run.
histhooks.log({"val_loss": 0.2})
histhooks.log({"val_loss": 0.2}, step=7, epoch=3)
assert_type(histhooks.current_run(), Run | None)
assert_type(histhooks.flush(), bool)
assert_type(histhooks.flush(timeout_s=1.0), bool)


def any_mapping_and_any_path_will_do(metrics: Mapping[str, Any], path: os.PathLike[str]) -> None:
    histhooks.log(metrics)
    histhooks.autolog(store=path)


# Errors have one base.
errors: list[type[HisthooksError]] = [StoreError, NotApplicable, QueryError]
base: type[Exception] = HisthooksError
assert_type(histhooks.__version__, str)

# Curves and series.
history = histhooks.History()
record = history.run("last")
found = history.runs(
    project="churn", framework="keras", status="failed", kind="fit", tag=["team=red"], group="sweep", job="4711",
    since="7d", until="2026-11-01", where="val_loss < 0.3", order_by="-val_loss.last", reverse=True, limit=5, offset=10,
    is_nested=False, with_inner=True,
)  # fmt: skip
assert_type(found, list[RunRecord])
assert_type(history.runs(tag={"team": "red"}), list[RunRecord])
assert_type(history.select("4711", "last"), list[RunRecord])
assert_type(history.search("no good", limit=None, since="7d")[0].run, RunRecord)
series = record.series("loss", points=1000)
assert_type(series, Series)
assert_type(series.count, int)
assert_type(series.is_thinned, bool)
chart = plot([record, record], ["loss", "val_*"], x="epoch", log=True, log_x=False, smooth=0.9, attempts=False)
assert_type(chart, Chart)
assert_type(plot(record).text(80, 24, has_colour=True, is_plain=False), str)
assert_type(chart.svg(), str)
assert_type(chart.html(), str)
chart.save(Path("chart.png"), width=960, height=520)
assert_type(spark_svg([1.0, None, 2.0], 120, 24, title="loss"), str)
assert_type(spark_svg(series), str)
assert_type(svg_curves(record, "loss", width=720, height=300), str)
assert_type(record.attempts, list[RunRecord])
for update in record.follow(0.5, from_start=True):
    assert_type(update.is_over, bool)
    assert_type(update.progress.left_s, float | None)

# Changing a history on purpose, taking runs out, and verifying.
assert_type(curate.tag("last", {"team": "red"}, store=Path("histhooks.db")), str)
assert_type(curate.note("last", "text"), str)
assert_type(curate.rename("last", "name"), str)
assert_type(curate.delete("last", "last~1", reason="why", dry_run=True), curate.Deletion)
assert_type(curate.prune(older_than="90d", status="failed", kind="fit", project="p", keep_last=3), curate.Pruning)
assert_type(curate.prune(keep_last=3, reason="why", dry_run=False).deletion.freed_bytes, int)
assert_type(curate.redact(users=("ann",), hosts=("laptop",), runs=("last",), reason="why").remains, dict[str, int])
assert_type(export("last", to="last.json", store=None, anonymous=True, force=True), Exported)
assert_type(export(to=Path("all.db"), project="churn"), Exported)
assert_type(export(to=Path("all.db"), is_all=True).mentions, dict[str, int])
assert_type(verify("histhooks.db", head="9f31c02ab4d7"), Report)
assert_type(verify("histhooks.db").ok, bool)

# Two runs, many runs, and one as a page.
with histhooks.History() as compared:
    assert_type(compared.diff("last~1", "last"), Differences)
    assert_type(compared.diff(compared.run("last~1"), compared.run(), tolerance=1e-6).differs, bool | None)
    assert_type(compared.compare("last~1", compared.run()), Comparison)
    assert_type(compared.compare("last~1", "last").rows(), list[dict[str, Any]])
    assert_type(report(compared.run(), "report.html"), Path)
    assert_type(report(compared.run(), Path("report.md"), force=True, with_verify=False), Path)
    one = compared.run()
    assert_type([file["sha256"] for file in one.artifacts], list[str])
    assert_type([data["n_rows"] for data in one.datasets], list[int | None])
    assert_type([group["lr"] for optimizer in one.optimizers for group in optimizer["groups"]], list[float | None])
    assert_type([link["other_run_id"] for link in [*one.links, *one.linked_by]], list[str | None])
    assert_type(one.tags, dict[str, str | None])
    assert_type([note["body"] for note in one.notes], list[str | None])
    assert_type([event["title"] for event in one.events], list[str])
    assert_type(one.packages, dict[str, str])
    assert_type(one.code_diff, str | None)
    assert_type(one.untracked, dict[str, str])
    assert_type(one.parent, RunRecord | None)
