"""Names that people know from MLflow, W&B and TensorBoard, and what histhooks has in their place.

Such a name stays an ``AttributeError``, so that ``hasattr()`` says no and other tools do not misfire. The message
names the call of histhooks that does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_OPEN = "open a run with `with histhooks.start_run(params={...}) as run:`, and log with `run.log({...})`"
_ENDS = "a run ends with its block, `with histhooks.start_run() as run:`, or with `run.end()`"
_READ = 'read with `histhooks.History().runs(where="val_loss < 0.3").to_pandas()`'
_ONE = "read a run with `histhooks.History().run(ID)`"
_STORE = 'name the file: `histhooks.autolog(store="runs.db")`, or HISTHOOKS_STORE=runs.db in the environment'
_PROJECT = 'name the project: `histhooks.autolog(project="churn")`, or HISTHOOKS_PROJECT=churn in the environment'
_GROUP = 'name the group: `histhooks.autolog(group="sweep-1")`, or HISTHOOKS_GROUP=sweep-1 in the environment'
_WATCH = "`histhooks.autolog()`, which records a training, also its gradients where the framework shows them"
_VERSIONS = '`histhooks.models.promote("model.pt", model="fraud", reason="...")`, or `histhooks promote` in a shell'

# What a program says about a run; {0} is `run`, or `histhooks` for the current run.
_SAID = {
    "add_figure": 'save the figure to a file, then `run.log_artifact("figure.png", role="figure")`',
    "add_graph": _WATCH,
    "add_histogram": 'log numbers about it: `{0}.log({{"weights/mean": 0.1, "weights/std": 0.02}}, step=step)`',
    "add_hparams": '`{0}.log_params({{"lr": 0.1}})`',
    "add_image": 'save the image to a file, then `run.log_artifact("image.png", role="image")`',
    "add_scalar": '`{0}.log_metric("loss", 0.3, step=10)`',
    "add_scalars": '`{0}.log({{"loss": 0.3, "val_loss": 0.4}}, step=10)`',
    "add_tag": '`{0}.set_tag("team", "red")`',
    "add_tags": '`{0}.set_tags({{"team": "red"}})`',
    "add_text": '`run.note("text")`',
    "alert": '`run.event("alert", "loss is not finite", severity="warning")`',
    "config": '`{0}.log_params({{"lr": 0.1}})`, or `start_run(params={{...}})`',
    "define_metric": '`run.declare_metric("score", split="valid", direction=1)`',
    "finish": _ENDS,
    "log_artifacts": '`{0}.log_artifact("outputs")`, which records a folder',
    "log_batch": '`{0}.log({{...}}, step=step)`, `{0}.log_params({{...}})` and `{0}.set_tags({{...}})`',
    "log_code": "the code of each run is recorded already; `histhooks show last --code` prints it",
    "log_dict": '`{0}.log_params({{...}})` for what is chosen before training, `run.log_results({{...}})` for outcomes',
    "log_figure": 'save the figure to a file, then `run.log_artifact("figure.png", role="figure")`',
    "log_hyperparams": '`{0}.log_params({{"lr": 0.1}})`',
    "log_image": 'save the image to a file, then `run.log_artifact("image.png", role="image")`',
    "log_input": '`run.log_dataset("train", X, y)`',
    "log_model": 'save the model to a file, then `{0}.log_artifact("model.pt", role="model", keep=True)`',
    "log_parameter": '`{0}.log_param("lr", 0.1)`',
    "log_parameters": '`{0}.log_params({{"lr": 0.1}})`',
    "log_table": 'save the table to a file, then `run.log_artifact("table.csv", role="table")`',
    "log_text": '`run.note("text")`, or write a file and `run.log_artifact("notes.txt")`',
    "metric": '`{0}.log_metric("loss", 0.3)`',
    "param": '`{0}.log_param("lr", 0.1)`',
    "params": '`{0}.log_params({{"lr": 0.1}})` to record them, `histhooks.History().run("last").params` to read them',
    "save": '`{0}.log_artifact("model.pt", role="model", keep=True)`',
    "summary": '`run.log_results({{"accuracy": 0.9}})`',
    "track": '`{0}.log_metric("loss", 0.3, step=10)`',
    "unwatch": "`histhooks.disable()`",
    "use_artifact": '`run.log_artifact("data.csv", direction="in")`',
}  # fmt: skip
RUN = {
    **{name: text.format("run") for name, text in _SAID.items()},
    "end_run": _ENDS,
    "info": "a run has `id`, `name`, `kind`, `status` and `started_at`",
    "log_event": '`run.event("milestone", "halfway")`',
    "metrics": "`run.log({...})` to record, `histhooks.History().run(run.id).summaries` to read",
    "log_param_dict": '`run.log_params({"lr": 0.1})`',
    "run_id": "`run.id`",
    "set_name": '`histhooks.start_run("name")`, or afterwards `histhooks.curate.rename(run.id, "name")`',
}
MODULE = {
    **{name: text.format("histhooks") for name, text in _SAID.items()},
    "Api": _READ,
    "Artifact": '`run.log_artifact("model.pt", role="model")`',
    "Experiment": _OPEN,
    "Image": 'save the image to a file, then `run.log_artifact("image.png", role="image")`',
    "Live": _OPEN,
    "MlflowClient": _READ,
    "RunRecord": "`histhooks.history.RunRecord`",
    "SummaryWriter": _OPEN,
    "Table": 'save the table to a file, then `run.log_artifact("table.csv", role="table")`',
    "active_run": "`histhooks.current_run()`",
    "agent": _GROUP,
    "create_experiment": _PROJECT,
    "delete_run": '`histhooks.curate.delete("last", reason="why")`',
    "delete_tag": '`histhooks.curate.untag("last", "team")`',
    "end_run": _ENDS,
    "get_experiment_by_name": _PROJECT,
    "get_run": _ONE,
    "get_tracking_uri": "`histhooks.History().path`, or `histhooks doctor`, which says where it comes from",
    "init": _OPEN,
    "init_run": _OPEN,
    "keras": '`histhooks.autolog("keras")`, or `from histhooks.integrations.keras import HistoryCallback`',
    "last_active_run": '`histhooks.History().run("last")`',
    "lightning": '`histhooks.autolog("lightning")`, or `from histhooks.integrations.lightning import HistoryCallback`',
    "link": '`run.link("resumes", other_run_id)`',
    "load_model": '`histhooks.History().run(ID).artifacts["model.pt"].path`, a file that its framework loads',
    "log_dataset": '`run.log_dataset("train", X, y)`, on a run or on `histhooks.current_run()`',
    "log_results": '`run.log_results({"accuracy": 0.9})`, on a run or on `histhooks.current_run()`',
    "login": "there is no account and no server: nothing to log in to",
    "note": '`run.note("text")`, on a run or on `histhooks.current_run()`',
    "pytorch": '`histhooks.autolog("torch")`',
    "register_model": _VERSIONS,
    "run": "`histhooks.current_run()` for the run that records, `histhooks.History().run(ID)` to read one",
    "runs": "`histhooks.History().runs()`",
    "search_runs": _READ,
    "set_experiment": _PROJECT,
    "set_tracking_uri": _STORE,
    "sklearn": '`histhooks.autolog("sklearn")`, or `from histhooks.integrations.sklearn import recorded`',
    "sweep": _GROUP,
    "tag": '`histhooks.set_tag("team", "red")`',
    "torch": '`histhooks.autolog("torch")`, or `histhooks.integrations.torch.record(optimizer)`',
    "xgboost": '`histhooks.autolog("xgboost")`, or `from histhooks.integrations.xgboost import HistoryCallback`',
}
HISTORY = {
    "delete_run": '`histhooks.curate.delete("last", reason="why")`',
    "experiments": '`history.runs(project="churn")`; a project is what an experiment is elsewhere',
    "get_experiment_by_name": '`history.runs(project="churn")`; a project is what an experiment is elsewhere',
    "get_metric_history": '`history.run(ID).metrics("val_loss")`, or `.series("val_loss")` as arrays',
    "get_run": "`history.run(ID)`",
    "last": '`history.run("last")`',
    "list_experiments": '`history.runs(project="churn")`; a project is what an experiment is elsewhere',
    "list_runs": "`history.runs()`",
    "query": "`history.sql(...)`, with a query in SQL",
    "search_experiments": '`history.runs(project="churn")`; a project is what an experiment is elsewhere',
    "search_runs": '`history.runs(where="val_loss < 0.3", order_by="val_loss").to_pandas()`',
    "to_pandas": "`history.runs().to_pandas()`",
}
RECORD = {
    "best": '`run.summaries["val_loss"].best`, or `run.summaries.main.best` for the metric that ranks the run',
    "config": "`run.params`",
    "data": "`run.params`, `run.summaries`, `run.tags` and `run.datasets`",
    "delete": '`histhooks.curate.delete(run.id, reason="why")`',
    "diff": "`history.diff(run, other)`",
    "end_time": "`run.ended_at`",
    "experiment_id": "`run.project`",
    "files": "`run.artifacts` and `run.file_reads`",
    "info": "`run.id`, `run.name`, `run.status`, `run.started_at` and so on: columns are attributes of the run",
    "log": '`histhooks.start_run()` to record; a note can come later: `histhooks.curate.note(run.id, "text")`',
    "metric": '`run.summaries["val_loss"]`, `run.metrics("val_loss")` or `run.series("val_loss")`',
    "note": '`histhooks.curate.note(run.id, "text")` to write one, `run.notes` to read them',
    "param": '`run.params["lr"]`',
    "run_id": "`run.id`",
    "run_name": "`run.name`",
    "scan_history": '`run.metrics("val_loss")`, or `run.series("val_loss")` as arrays',
    "set_tag": '`histhooks.curate.tag(run.id, {"team": "red"})`',
    "start_time": "`run.started_at`",
    "state": "`run.status`",
    "summary": '`run.summaries["val_loss"].best`, and `run.results`',
    "tag": '`histhooks.curate.tag(run.id, {"team": "red"})` to write one, `run.tags` to read them',
    "to_dict": "`run.as_json()`",
    "to_dictionary": "`run.as_json()`",
    "url": "`run.history.path`, or `histhooks show ID`, which shows the run",
}  # fmt: skip

# Arguments that calls of other tools have, by the call here.
_NAMED = 'the name comes first: `start_run("name")`, or `start_run(name="name")`'
ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "start_run": {
        "config": "give `params={...}`",
        "description": '`run.note("text")` to leave one',
        "experiment_id": _PROJECT,
        "experiment_name": _PROJECT,
        "group": _GROUP,
        "log_system_metrics": "leave it out: the machine is sampled in every session",
        "nested": "leave it out: a run that begins inside the block of another one is nested",
        "notes": '`run.note("text")` to leave one',
        "parent_run_id": "leave it out: a run that begins inside the block of another one is nested",
        "project": _PROJECT,
        "run_id": "a run is written once; link a later one to it: `run.link(\"resumes\", other_run_id)`",
        "run_name": _NAMED,
        "store": _STORE,
    },
    "autolog": {
        "disable": "`histhooks.disable()` to switch it off",
        "exclusive": "leave it out: runs of your own and recorded fits share one history",
        "experiment_name": "give `project=`",
        "log_datasets": "leave it out: a fingerprint of the data is always recorded, its rows never",
        "run_name": "give `tags={...}`, or open a named run around the fit: `with histhooks.start_run(\"name\"):`",
        "silent": "set HISTHOOKS_QUIET=1 in the environment",
    },
}  # fmt: skip


def unknown(owner: str, name: str, known: Mapping[str, str]) -> str:
    """The message of an ``AttributeError``: what has no such name, and what to write in its place.

    Parameters
    ----------
    owner : str
        What was asked for the name, such as ``module 'histhooks'``.
    name : str
    known : mapping of str to str
        One of the tables of this module.

    Returns
    -------
    str

    Examples
    --------
    >>> unknown("a history", "get_run", HISTORY)
    "a history has no attribute 'get_run'; use `history.run(ID)`"
    """
    text = known.get(name)
    if text is None:
        return f"{owner} has no attribute {name!r}"
    return f"{owner} has no attribute {name!r}; {'use ' if text.startswith('`') else ''}{text}"


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """Have a call say what to write if it is given an argument that only another tool has."""
    hints = ARGUMENTS[function.__name__]

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name in hints:
                text = hints[name]
                told = f"{'use ' if text.startswith('`') else ''}{text}"
                raise TypeError(f"{function.__name__}() has no argument {name!r}; {told}")
        return function(*args, **kwargs)

    return call
