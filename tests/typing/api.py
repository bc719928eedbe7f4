"""The public face, frozen: mypy checks this file, nobody runs it.

A line that no longer type-checks is a change that breaks other people's programs.
"""

import argparse
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, assert_type

import histhooks
from histhooks import HisthooksError, NotApplicable, QueryError, Run, StoreError, curate
from histhooks.checks import CannotTell, Finding, Verdict
from histhooks.evidence import Keys, Pack, PackReport, Signature, Witness, keygen, pack, sign, verify_pack, witness
from histhooks.export import Exported, export
from histhooks.history import (
    Artifact,
    Comparison,
    Content,
    ContentUse,
    DataComparison,
    Differences,
    Lineage,
    LineageFold,
    LineageLink,
    LineageNode,
    Live,
    Model,
    ModelEvent,
    ModelVersion,
    RunRecord,
    Runs,
    Series,
    Summaries,
    Summary,
    Timeline,
    TimelineRow,
)
from histhooks.models import Promotion, Rollback, promote, rollback
from histhooks.plot import Chart, plot, spark_svg, svg_curves
from histhooks.report import report
from histhooks.team import (
    Evicted,
    ForkError,
    Merged,
    Pulled,
    Pushed,
    Status,
    TeamError,
    evict,
    grant,
    init,
    merge,
    pull,
    push,
    revoke,
    status,
    upgrade,
)
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
histhooks.autolog(groups="patient", time="when")
histhooks.autolog(groups=["patient", "user"], time=None)
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
    run.log_dataset("train", [[1.0], [2.0]], [0, 1], name="iris", source="data/iris.csv", groups=["a", "b"])
    run.log_artifact("model.pt")
    run.log_artifact("model.pt", keep=True)
    run.log_artifact(Path("model.pt"), role="model", direction="out", step=10)
    run.tag("team", "red")
    run.tag({"team": "red"})
    run.tag(team="red")
    run.note("worth a second look")
    run.tag(["baseline", "fast"])
    run.log_param("lr", 0.1)
    run.log_metric("loss", 0.3, 10, epoch=1)
    run.log_metrics({"loss": 0.3}, step=10)
    run.set_tag("team", "red")
    run.set_tags({"team": "red"})
    run.log_params(argparse.Namespace(lr=0.1))
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
histhooks.log_metric("loss", 0.3, 10, epoch=1)
histhooks.log_metrics({"loss": 0.3}, step=10)
histhooks.log_param("lr", 0.1)
histhooks.log_params({"lr": 0.1})
histhooks.log_artifact("model.pt", role="model", direction="out", step=10)
histhooks.log_artifact("model.pt", keep=False)
histhooks.autolog(keep_models=True)
histhooks.set_tag("team", "red")
histhooks.set_tags({"team": "red"})

# Serving.
with histhooks.watch("credit@production", object()) as served:
    pass
histhooks.watch("credit", object()).stop()
histhooks.observe("credit", [[0.0]], y_pred=[1], y_true=[1], time="2026-11-01")
drift = histhooks.History("histhooks.db").model("credit").drift(since="7d", window="1h", against="baseline")
assert_type(drift.code, int)
histhooks.start_run(params=argparse.Namespace(lr=0.1), tags=["baseline"])
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
assert_type(found, Runs)
assert_type([run.name for run in found], list[str])
assert_type(found[0], RunRecord)
assert_type(found[:2], Runs)
assert_type(found.rows(), list[dict[str, Any]])
every: list[RunRecord] = found
found.to_pandas()
assert_type(history.runs(tag={"team": "red"}), Runs)
assert_type(history.select("4711", "last"), Runs)
assert_type(record.summaries, Summaries)
assert_type(record.summaries["val_loss"], Summary)
assert_type(record.summaries[0], Summary)
assert_type(record.summaries[:2], Summaries)
assert_type(record.summaries.get("val_loss"), Summary | None)
assert_type(record.summaries.main, Summary | None)
assert_type(record.summaries.names, list[str])
assert_type([summary["name"] for summary in record.summaries], list[Any])
for summary in record.summaries:
    assert_type(summary.best, float | None)
    assert_type(summary.best_step, int | None)
    assert_type(summary.best_epoch, int | None)
    assert_type(summary.value, float | None)
    assert_type(summary.last, float | None)
    assert_type(summary.count, int)
    assert_type(summary.split, str | None)
record.summaries.to_pandas()
assert_type(history.search("no good", limit=None, since="7d")[0].run, RunRecord)
series = record.series("loss", points=1000)
assert_type(series, Series)
assert_type(series.count, int)
assert_type(series.is_thinned, bool)
chart = plot(
    [record, record],
    ["loss", "val_*"],
    x="epoch",
    log=True,
    log_x=False,
    smooth=0.9,
    attempts=False,
    start=0.0,
    stop=9.0,
)
assert_type(chart, Chart)
assert_type(plot(record).text(80, 24, has_colour=True, is_plain=False), str)
assert_type(chart.svg(), str)
assert_type(chart.html(), str)
chart.save(Path("chart.png"), width=960, height=520)
assert_type(spark_svg([1.0, None, 2.0], 120, 24, title="loss"), str)
assert_type(spark_svg(series), str)
assert_type(svg_curves(record, "loss", width=720, height=300), str)
assert_type(record.attempts, Runs)
assert_type(record.children, Runs)
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
assert_type(verify("histhooks.db", key="team.pem.pub", is_signed=True).is_signed, bool | None)
assert_type(pack("credit@3", "credit-3.zip", sign=True, key="team.pem", formats="all", anonymous=False), Pack)
assert_type(verify_pack("credit-3.zip", key="team.pem.pub", is_signed=True), PackReport)
assert_type(witness("file:heads.jsonl", meaning="reviewed", key="team.pem", to="head.json"), Witness)
assert_type(verify("histhooks.db", witness="git").witnessed, int | None)
assert_type(keygen("team.pem"), Keys)
assert_type(sign("head", meaning="reviewed", key=Path("team.pem"), store="histhooks.db", to="head.json"), Signature)

# Two runs, many runs, and one as a page.
with histhooks.History() as compared:
    assert_type(compared.diff("last~1", "last"), Differences)
    assert_type(compared.diff(compared.run("last~1"), compared.run(), tolerance=1e-6).differs, bool | None)
    assert_type(compared.compare("last~1", compared.run()), Comparison)
    assert_type(compared.compare_data("last~1", compared.run()), DataComparison)
    assert_type(compared.timeline(limit=3, project="demo"), Timeline)
    assert_type(compared.timeline()[0], TimelineRow)
    assert_type(compared.timeline()[0].gain, float | None)
    traced = compared.lineage("last", depth=3, limit=50)
    assert_type(traced, Lineage)
    assert_type(compared.lineage(Path("model.pt")).root, LineageNode)
    assert_type(traced.nodes, tuple[LineageNode, ...])
    assert_type(traced.links, tuple[LineageLink, ...])
    assert_type(traced.folds, tuple[LineageFold, ...])
    assert_type(traced.as_json(), dict[str, Any])
    assert_type(compared.content("9f31c02a", kind="file", limit=10), Content)
    assert_type(compared.content("9f31c02a").uses, tuple[ContentUse, ...])
    assert_type(compared.compare_data("last", "last", role="train", against="test").is_same, bool | None)
    assert_type(compared.compare("last~1", "last").rows(), list[dict[str, Any]])
    assert_type(compared.diff("last~1", "last").rows(), list[dict[str, Any]])
    compared.compare("last~1", "last").to_pandas()
    compared.diff("last~1", "last").to_pandas()
    assert_type(report(compared.run(), "report.html"), Path)
    assert_type(report(compared.run(), Path("report.md"), force=True, with_verify=False), Path)
    one = compared.run()
    assert_type([file["sha256"] for file in one.artifacts], list[str])
    assert_type(one.artifacts["model.pt"]["kept"], bool)
    assert_type(one.artifacts["model.pt"].read_bytes(), bytes)
    assert_type(one.artifacts["model.pt"].path, Path)
    assert_type(one.artifacts["model.pt"].save("again.pt", force=True), Path)
    assert_type(one.artifacts.find(), Artifact)
    assert_type(one.artifacts[0].files, list[Artifact])
    assert_type([file["sha256"] for file in one.file_reads], list[str | None])
    assert_type([file["function"] for file in one.file_reads], list[str])
    assert_type([data["n_rows"] for data in one.datasets], list[int | None])
    assert_type([data["role"] for data in one.datasets], list[str])
    assert_type([digest.digest for data in one.datasets for digest in data.digests], list[str | None])
    assert_type([overlap.n_equal for data in one.datasets for overlap in data.overlaps], list[int])
    assert_type([column.name for data in one.datasets for column in data.columns], list[str | None])
    assert_type([sketch.n_rows for data in one.datasets for sketch in data.sketches], list[int])
    assert_type([split.location for split in one.splits], list[str | None])
    assert_type([transform.class_name for transform in one.transforms], list[str])
    assert_type([weights.digest for weights in one.weights], list[str | None])
    assert_type([group["lr"] for optimizer in one.optimizers for group in optimizer["groups"]], list[float | None])
    assert_type([link["other_run_id"] for link in [*one.links, *one.linked_by]], list[str | None])
    assert_type(one.tags, dict[str, str | None])
    assert_type([note["body"] for note in one.notes], list[str | None])
    assert_type([event["title"] for event in one.events], list[str])
    assert_type(one.packages, dict[str, str])
    assert_type(one.code_diff, str | None)
    assert_type(one.untracked, dict[str, str])
    assert_type(one.parent, RunRecord | None)

# Checks.
verdict = history.check("last", only=["leak"], skip=["leak.index"], against="last~1", fail_on="warn")
assert_type(verdict, Verdict)
assert_type(verdict.findings, tuple[Finding, ...])
assert_type(verdict.cannot_tell, tuple[CannotTell, ...])
assert_type(verdict.code, int)
assert_type(verdict.worst, str | None)
assert_type(history.run("last").check(), Verdict)
assert_type(curate.save_checks([verdict], store="histhooks.db"), int)
assert_type(curate.waive("leak.prep", "last", reason="by design", until="2027-01-31"), str)

# Stores of a team as one.
together = merge("ann.db", Path("bob.db"), into="team.db", dry_run=True)
assert_type(together, Merged)
assert_type((together.ok, together.is_part, together.runs), tuple[bool, bool, int])
assert_type(together.forks, list[dict[str, Any]])
refused: HisthooksError = TeamError("why")
forked: TeamError = ForkError("why", together)

# Models.
assert_type(history.models(), list[Model])
model = history.model("fraud")
assert_type(model.versions, list[ModelVersion])
assert_type(model.events, list[ModelEvent])
assert_type(model.live(at="2026-05-03", alias="production"), Live | None)
assert_type(history.version("fraud@3").run, RunRecord | None)
assert_type(history.version("fraud@3").file.read_bytes(), bytes)
assert_type(promote("model.pt", model="fraud", reason="first", to="staging", keep=True, check=False), Promotion)
assert_type(rollback("fraud", reason="alarms", to=2, dry_run=True), Rollback)
assert_type(histhooks.models.path("fraud@production"), Path)
assert_type(report(model, Path("fraud.html")), Path)

# And in a database.
assert_type(init("postgresql://db.example/ml", by_project=True), bool)
assert_type(grant("ann", "churn", "postgresql://db.example/ml"), tuple[bool, bool])
assert_type(revoke("ann", None, "postgresql://db.example/ml"), bool)
assert_type(evict("team.db", older_than="400d", reason="room", points=True, dry_run=True), Evicted)
assert_type(
    push("histhooks.db", to="postgresql://db.example/ml", runs=("last",), where="loss < 1", dry_run=True), Pushed
)
assert_type(pull("postgresql://db.example/ml", into=Path("team.db"), project="churn", since="7d"), Pulled)
assert_type(status("postgresql://db.example/ml", Path("histhooks.db")), Status)
assert_type(upgrade("postgresql://db.example/ml"), tuple[int, int])
