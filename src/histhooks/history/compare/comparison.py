"""Compare many runs: the columns in which they differ, and the best value of each metric."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from histhooks._base.telling import telling
from histhooks._base.values import dumps
from histhooks.errors import QueryError
from histhooks.history._dataframes import frame
from histhooks.history._ranking import value_of
from histhooks.history._seeds import seed_calls, set_by_program
from histhooks.history._shown import Shown
from histhooks.history.compare.change import ABSENT, is_same
from histhooks.history.compare.command import options_of

if TYPE_CHECKING:
    import pandas

    from histhooks.history._records import RunRecord


@dataclass(frozen=True, slots=True)
class Column:
    """One property, for each of the runs.

    Attributes
    ----------
    kind : str
        `run`, `param`, `data`, `code`, `environment`, `seeds`, `model`, `metric`, `result` or `duration`.
    name : str
    values : tuple
        One for each run; None also if a run has none, see `missing`. For a metric its best value, or the last one if
        the direction is unknown, or the mean if its points are folds.
    missing : tuple of bool
        Whether each run lacks the property.
    direction : int
        1 if more is better, -1 if less is, 0 if unknown.
    best : tuple of int
        Indices of the best runs; empty if unknown, or all are equal.
    is_default : bool
        Whether it is a param that has its default value in every run that has it.
    is_repeated : bool
        Whether other columns say the same: the list of the parts of a pipeline, a second name of a param, an argument
        that a param holds.
    """

    kind: str
    name: str
    values: tuple[Any, ...]
    missing: tuple[bool, ...]
    direction: int = 0
    best: tuple[int, ...] = ()
    is_default: bool = False
    is_repeated: bool = False

    @property
    def title(self) -> str:
        """Its name, with the kind before a param, a result or a role of data."""
        prefix = {"param": "params.", "result": "results.", "data": "data."}.get(self.kind, "")
        return prefix + self.name


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Shown):
    """Some runs side by side.

    Attributes
    ----------
    runs : tuple of dict
        `id`, `name`, `kind`, `status`, `started_at` of each.
    columns : tuple of Column
        In which they differ.
    same : tuple of str
        Titles of what they have in common.

    Examples
    --------
    >>> found = history.compare("last~1", "last")
    >>> [row["params.lr"] for row in found.rows()], "data.train" in found.same
    ([0.1, 0.01], True)
    >>> [column["name"] for column in found.as_json()["columns"] if column["kind"] == "param"]
    ['lr']
    """

    runs: tuple[dict[str, Any], ...]
    columns: tuple[Column, ...]
    same: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"<Comparison of {len(self.runs)} runs: {len(self.columns)} columns differ, {len(self.same)} are the same>"
        )

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        columns = [
            {
                "kind": column.kind, "name": column.name, "direction": column.direction,
                "values": list(column.values), "missing": list(column.missing),
                "is_default": column.is_default, "is_repeated": column.is_repeated,
                "best": [self.runs[place]["id"] for place in column.best],
            }
            for column in self.columns
        ]  # fmt: skip
        return {"runs": list(self.runs), "columns": columns, "same": list(self.same)}

    def rows(self) -> list[dict[str, Any]]:
        """A dict for each run: what identifies it, and each column by its title."""
        return [
            {**run, **{column.title: column.values[place] for column in self.columns}}
            for place, run in enumerate(self.runs)
        ]

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each run, a column for each thing in which they differ; the columns are those of :meth:`rows`.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        QueryError
            If pandas is not installed.
        """
        return frame(self.rows())


def compare(runs: Sequence[RunRecord]) -> Comparison:
    """Put runs side by side.

    Raises
    ------
    QueryError
        If there are fewer than two.
    """
    if len(runs) < 2:
        raise QueryError(f"compare needs two runs or more, not {len(runs)}")
    columns = [
        *_columns("run", [_facts(run) for run in runs]),
        *_inputs(runs),
        *_columns("data", [_data(run) for run in runs]),
        *_columns("code", [_code(run) for run in runs]),
        *_columns("environment", [_environment(run) for run in runs]),
        *_columns("seeds", [{"seeds": _seeds(run)} for run in runs]),
        *_columns("model", [_model(run) for run in runs]),
        *_metrics(runs),
        *_columns("result", [run.results for run in runs], _direction_of_score if _are_searches(runs) else _unknown),
        *_columns("duration", [{"duration_s": run.row["duration_s"]} for run in runs]),
    ]
    differing = tuple(column for column in columns if not _is_equal(column))
    return Comparison(
        runs=tuple({name: run.row[name] for name in _WHO} | {"status": run.status} for run in runs),
        columns=differing,
        same=tuple(column.title for column in columns if _is_equal(column)),
    )


_WHO = ("id", "name", "kind", "status", "started_at")


def _is_equal(column: Column) -> bool:
    first = column.values[0]
    return len({*column.missing}) == 1 and all(is_same(value, first) for value in column.values[1:])


def _columns(
    kind: str, found: list[Mapping[str, Any]], direction: Callable[[str], int] = lambda name: 0
) -> list[Column]:
    out = []
    for name in dict.fromkeys(name for facts in found for name in facts):
        values = [facts.get(name, ABSENT) for facts in found]
        missing = tuple(value is ABSENT for value in values)
        plain = tuple(None if value is ABSENT else value for value in values)
        out.append(Column(kind, name, plain, missing, direction(name), _best(plain, direction(name))))
    return out


def _inputs(runs: Sequence[RunRecord]) -> list[Column]:
    """Params and arguments, and which of them say what others say."""
    params, options = [run.params for run in runs], [options_of(run) for run in runs]
    sources = [run.param_sources for run in runs]
    chosen = {key for each in sources for key, source in each.items() if source != "default"}
    both = {str(n): {**found, **options[n]} for n, found in enumerate(params)}
    told = telling(both, {str(n): {**each, **dict.fromkeys(options[n], "command")} for n, each in enumerate(sources)})
    columns = [*_columns("param", list(params)), *_columns("command", list(options))]
    return [
        replace(
            column,
            is_default=column.kind == "param" and column.name not in chosen,
            is_repeated=column.name not in told and column.name in chosen | {key for each in options for key in each},
        )
        for column in columns
    ]


def _best(values: Sequence[Any], direction: int) -> tuple[int, ...]:
    """Places of the best values; none where all are equal."""
    known = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if not direction or len({*known}) < 2:
        return ()
    best = max(known) if direction > 0 else min(known)
    return tuple(place for place, value in enumerate(values) if value == best and not isinstance(value, bool))


def _metrics(runs: Sequence[RunRecord]) -> list[Column]:
    found = [{row["name"]: row for row in run.summaries if row["split"] != "system"} for run in runs]
    directions: dict[str, int] = {}
    values: list[dict[str, Any]] = []
    for run, rows in zip(runs, found):
        mine: dict[str, Any] = {}
        for name, row in rows.items():
            directions.setdefault(name, row["direction"])
            mine[name] = value_of(run, row)
        values.append(mine)
    return _columns("metric", list(values), lambda name: directions[name])


def _are_searches(runs: Sequence[RunRecord]) -> bool:
    """Whether scores in results are those of scikit-learn; XGBoost and Keras call the best loss `best_score`, too."""
    return all(run.kind in ("search", "candidate", "validate") for run in runs)


def _unknown(_: str) -> int:
    return 0


def _direction_of_score(name: str) -> int:
    # scikit-learn: a greater score is a better one (https://scikit-learn.org/stable/modules/model_evaluation.html).
    return 1 if name in ("best_score", "mean_test_score") else 0


def _facts(run: RunRecord) -> dict[str, Any]:
    row = run.row
    return {
        "framework": row["framework"], "version": row["framework_version"], "model": row["model_class"],
        "outcome": run.status if not run.error_type else f"{run.status} {run.error_type}", "epochs": row["epochs_done"],
    }  # fmt: skip


def _data(run: RunRecord) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for row in run.datasets:
        rows = f"{row['n_rows']} × {row['n_columns']}" if row["n_rows"] is not None else row["kind"]
        out[row["role"]] = f"{rows} {(row['content_hash'] or '')[:8]}".strip()
    return out


def _code(run: RunRecord) -> dict[str, Any]:
    code = run.code
    if code is None:
        return {}
    commit = (code["commit_hash"] or "no commit")[:10]
    # What ran on top of the commit; not what else lies there.
    told = code["details"]
    texts = [code["diff"], *(told.get(key) for key in ("diff_content", "untracked", "sources")), run.cells]
    beside = f" +{hashlib.sha256(dumps(texts).encode()).hexdigest()[:4]}" if any(texts) else ""
    return {"code": f"{commit}{beside}", "program": code["entry_script"]}


def _environment(run: RunRecord) -> dict[str, Any]:
    found = run.environment
    if found is None:
        return {}
    return {"environment": found["id"][:8], **{name: found[name] for name in ("python", "os", "cpu", "gpus")}}


def _seeds(run: RunRecord) -> str | None:
    rows = set_by_program(seed_calls(run))
    return ", ".join(dict.fromkeys(f"{row['library']} {row['value']}" for row in rows)) or None


def _model(run: RunRecord) -> dict[str, Any]:
    shape = run.architecture
    return {} if shape is None else {"parameters": shape["n_parameters"]}
