"""Questions of ``where``: what each finds in a history that was recorded for real, and what is said of a bad one."""

from __future__ import annotations

import itertools
import math
import operator
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import histhooks
from helpers import programs
from histhooks.errors import QueryError
from histhooks.history import RunRecord

PROGRAM = """
import functools, histhooks
from collections import OrderedDict
nan, inf = float("nan"), float("inf")

def run(name, params, tags=None, **curves):
    with histhooks.start_run(name, params=params, tags=tags) as run:
        for metric, values in curves.items():
            for value in values:
                run.log({metric.replace("__", "-").replace("_at_", "@"): value})
        return run

first = {"lr": 0.1, "shuffle": True, "layers": [64, 32]}
run("resnet-a", first, {"team": "red"}, val_loss=[0.9, 0.2, 0.4], odd=[3.0, 1.0])
second = {"lr": "0.01", "shuffle": "false", "opt": OrderedDict}
run("resnet-b", second, {"team": "blue", "attempt": 2}, val_loss=[0.5, 0.6])
run("vit", {"lr": 1e-5, "shuffle": None, "a b": 1, "grow": inf}, None, val_loss=[0.7, nan], accuracy=[0.5, 0.9, 0.8])
run("blown", {"lr": 10}, None, val_loss=[inf], **{"validation_0__logloss": [0.3], "ndcg_at_5": [0.25]})
with histhooks.start_run("results", params={"lr": 0.5}) as one:
    one.log_results({"best_params": {"C": 3, "clf__C": 4}, "classes": ["a", "b"], "n_iter": 7})
    one.note("worth a Second look")
try:
    with histhooks.start_run("bad"):
        raise ValueError("no good")
except ValueError:
    pass
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "histhooks.db"
    programs.script(path, PROGRAM)
    return path


@pytest.fixture
def history(store: Path) -> Iterator[histhooks.History]:
    with histhooks.History(store) as opened:
        yield opened


def names(history: histhooks.History, where: str) -> set[str]:
    return {run.name for run in history.runs(where=where)}


ALL = {"resnet-a", "resnet-b", "vit", "blown", "results", "bad"}


@pytest.mark.parametrize(
    ("where", "found"),
    [
        # a metric: its best where the direction is known, else its last
        ("val_loss < 0.3", {"resnet-a"}),
        ("0.3 > val_loss", {"resnet-a"}),
        ("accuracy > 0.85", {"vit"}),
        ("odd = 1", {"resnet-a"}),
        ("odd.max >= 3 and odd.first = 3 and odd.count = 2", {"resnet-a"}),
        ("odd.best > 0", set()),
        ("val_loss.last < 0.5", {"resnet-a"}),
        ("val_loss.at_1 > 0", {"resnet-a", "resnet-b"}),  # of vit it is nan
        ("val_loss.at_0 > 0.6", {"resnet-a", "vit", "blown"}),
        ("val_loss.at_0 = inf", {"blown"}),
        ('metrics."val_loss".at_2 = 0.4', {"resnet-a"}),
        ("val_loss.at_1 > val_loss.at_0", {"resnet-b"}),
        ("val_loss.at_3 is null", ALL),
        ("not val_loss.at_2 < 0.3", {"resnet-a"}),
        ("val_loss.max > 0.8", {"resnet-a"}),
        ("val_loss.last > val_loss.best", {"resnet-a", "resnet-b"}),
        ("metrics.val_loss <= 0.2", {"resnet-a"}),
        ('metrics."validation_0-logloss".last < 0.4', {"blown"}),
        ("validation_0-logloss < 0.4", {"blown"}),
        ("ndcg@5 < 0.5", {"blown"}),
        # what is not finite
        ("val_loss > 5", {"blown"}),
        ("val_loss = inf", {"blown"}),
        ("val_loss.first > 5", {"blown"}),
        ("val_loss.last > -inf", {"resnet-a", "resnet-b", "blown"}),
        ("not val_loss.last > -inf", set()),
        ("val_loss.nonfinite > 0", {"vit", "blown"}),
        # params
        ("params.lr > 1e-4", {"resnet-a", "resnet-b", "blown", "results"}),
        ("params.lr = 0.01", {"resnet-b"}),
        ('params.lr = "0.01"', {"resnet-b"}),
        ('params.lr = "0.1"', {"resnet-a"}),
        ("1e-4 < params.lr <= 0.1", {"resnet-a", "resnet-b"}),
        ("params.lr in (0.1, 10)", {"resnet-a", "blown"}),
        ("params.shuffle = true", {"resnet-a"}),
        ("params.shuffle = false", {"resnet-b"}),
        ("params.shuffle = null", {"results", "bad", "vit", "blown"}),
        ("params.shuffle is not null", {"resnet-a", "resnet-b"}),
        ("has params.shuffle", {"resnet-a", "resnet-b", "vit"}),
        ("not has params.lr", {"bad"}),
        ("params.layers ~ 64", {"resnet-a"}),
        ("params.opt = OrderedDict", {"resnet-b"}),
        ("params.opt = collections.OrderedDict", {"resnet-b"}),
        ('params."a b" = 1', {"vit"}),
        ("params.grow > 100", {"vit"}),
        ("params.shuffle = 1", set()),
        # results, tags, notes
        ("results.n_iter > 5", {"results"}),
        ("results.best_params.C = 3", {"results"}),
        ("results.classes ~ b", {"results"}),
        ("tags.team = red", {"resnet-a"}),
        ("tags.team != red", {"resnet-b"}),
        ("tags.attempt >= 2", {"resnet-b"}),
        ("has tags.team", {"resnet-a", "resnet-b"}),
        ("notes ~ second", {"results"}),
        # columns
        ('status == "failed"', {"bad"}),
        ("status != finished", {"bad"}),
        ("name ~ RESNET", {"resnet-a", "resnet-b"}),
        ("name ~ res*-?", {"resnet-a", "resnet-b"}),
        ("name !~ e", {"blown", "vit", "bad"}),
        ('name in ("vit", blown)', {"vit", "blown"}),
        ("name not in (vit, blown, bad)", {"resnet-a", "resnet-b", "results"}),
        ("error_type = ValueError", {"bad"}),
        ("kind = block", ALL),
        ("duration_s < 10m", ALL),
        ("started > 2d ago", ALL),
        ("started_at > 2 days ago and started < now", ALL),
        ("started = today or started = yesterday", ALL),
        ('started_at > "2026-11-01T10:00:00Z" or started_at <= "2026-11-01T10:00:00Z"', ALL),
        ("started < 2001-01-01", set()),
        ("command ~ python or hostname is null", ALL),
        ("exit_code is null", ALL),
        # logic
        ("tags.team = red or tags.team = blue and params.lr > 5", {"resnet-a"}),
        ("(tags.team = red or tags.team = blue) and not params.lr > 0.05", {"resnet-b"}),
        ("tags.team = red && val_loss < 1", {"resnet-a"}),
        ("! has params.lr | val_loss > 5", {"bad", "blown"}),
    ],
)
def test_a_question_finds(history: histhooks.History, where: str, found: set[str]) -> None:
    assert names(history, where) == found


@pytest.mark.parametrize(
    ("where", "message", "caret"),
    [
        ("val_los < 0.3", "did you mean val_loss", (0, 7)),
        ("metrics.val_los < 0.3", "metrics.val_loss", (0, 15)),
        ("val_loss < 0.3 and params.lrr > 1", "params.lr", (19, 29)),
        ("lr > 1e-4", "did you mean params.lr", (0, 2)),
        ("team = red", "tags.team", (0, 4)),
        ("statsu = failed", "status", (0, 6)),
        ("status = faild", "did you mean failed", (9, 14)),
        ("kind = experiment", "there are fit", (7, 17)),
        ("zzzzqqqq > 1", "there are", (0, 8)),
        ("val_loss < high", "no column or metric is called 'high'", (11, 15)),
        ('val_loss < "high"', "is a number", (11, 17)),
        ("val_loss = nan", "nonfinite", (11, 14)),
        ("started > soon", "is a time", (10, 14)),
        ("val_loss", "a comparison is missing", (8, 9)),
        ("val_loss <", "not the end", (10, 11)),
        ("val_loss < 0.3 val_loss > 0", "join conditions by and, or", (15, 23)),
        ("(val_loss < 0.3", "closing bracket", (15, 16)),
        ("name in (a, b", "a ) is missing", (13, 14)),
        ("name in a", "a list", (8, 9)),
        ("name = 'open", "never closed", (7, 8)),
        ("3 < 4", "two values", (0, 1)),
        ("params.lr > null", "ask is null", (12, 16)),
        ("val_loss ~ 3", "is no text", (11, 12)),
        ("started > val_loss", "is a time", (10, 18)),
        ("", "the expression is empty", (0, 1)),
        ("(" * 100, "too deep", None),
    ],
)
def test_a_bad_question_is_explained_with_a_caret_under_the_place(
    history: histhooks.History, where: str, message: str, caret: tuple[int, int] | None
) -> None:
    with pytest.raises(QueryError) as caught:
        history.runs(where=where)
    said, shown, marks = str(caught.value).split("\n")
    assert message in said
    if caret is not None:
        assert shown == f"  {where}"
        assert marks == "  " + " " * caret[0] + "^" * (caret[1] - caret[0])


def test_a_long_question_is_shown_around_the_place(history: histhooks.History) -> None:
    with pytest.raises(QueryError) as caught:
        history.runs(
            where=" or ".join(["val_loss < 1"] * 50) + " or val_los < 1 or " + " or ".join(["val_loss < 1"] * 50)
        )
    _, shown, marks = str(caught.value).split("\n")
    assert len(shown) < 130
    assert shown[marks.index("^") : marks.rindex("^") + 1] == "val_los"


INJECTIONS = [
    "1; DROP TABLE runs",
    "' OR 1=1 --",
    'params."x\' OR 1=1" > 0',
    "name = 'a'' OR 1=1'",
    "x) OR (1=1",
    "?",
    "?1",
]
PIECES = [
    "val_loss", "params.lr", "name", "started", "tags.team", "status", "results.n_iter", 'metrics."odd".last', "0.3",
    "'red'", '"failed"', "<", ">=", "=", "!=", "~", "!~", "and", "or", "not", "in", "is", "null", "has", "(", ")", ",",
    "2d ago", "today", "inf", "nan", "true", *INJECTIONS,
]  # fmt: skip


def asked(history: histhooks.History, where: str) -> tuple[list[RunRecord], str]:
    """What is found, and what is said instead."""
    try:
        return history.runs(where=where), ""
    except QueryError as error:
        return [], str(error)


@pytest.mark.one_engine("it looks at what SQLite was asked")
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=9).map(" ".join)))
def test_any_text_gives_rows_or_an_explained_error_and_only_reads(store: Path, where: str) -> None:
    with histhooks.History(store) as history:
        statements: list[str] = []
        history._connection.set_trace_callback(statements.append)
        rows, said = asked(history, where)
        assert {run.name for run in rows} <= ALL
        assert not said or "^" in said or "SQLite refuses" in said
    # What reads is a SELECT; comments are what temporary tables of json_each leave.
    assert all(text.startswith(("SELECT", "WITH", "--")) for text in statements)
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (len(ALL),)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(max_size=30).filter(lambda text: '"' not in text))
def test_a_quoted_text_is_only_ever_a_value(store: Path, value: str) -> None:
    with histhooks.History(store) as history:
        rows, said = asked(history, f'name = "{value}"')
        assert {run.name for run in rows} == {value} & ALL
        assert not said or "no text" in said  # half a character


SEARCH = """
import histhooks
histhooks.autolog("sklearn")
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
X, y = [[float(n)] for n in range(20)], [float(n % 3) for n in range(20)]
GridSearchCV(Ridge(), {"alpha": [float(n) for n in range(1, 1006)], "fit_intercept": [True]}, cv=2).fit(X, y)
"""


@pytest.mark.one_engine("it trains for long")
def test_a_search_is_found_by_a_candidate_that_is_a_row_of_its_table(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    path = tmp_path / "search.db"
    environment = {**os.environ, "HISTHOOKS_STORE": str(path), "HISTHOOKS_QUIET": "1"}
    subprocess.run([sys.executable, "-c", SEARCH], env=environment, check=True, timeout=300)
    with histhooks.History(path) as history:
        assert [run.kind for run in history.runs(where="params.alpha = 1003")] == ["search"]
        assert [run.kind for run in history.runs(where="params.alpha = 1003 and params.fit_intercept = true")] == [
            "search"
        ]
        assert history.runs(where="params.alpha = 1003 and params.fit_intercept = false") == []
        assert history.runs(where="params.alpha > 1005") == []
        assert [run.kind for run in history.runs(where="params.alpha = 7")] == ["candidate"]
        assert [run.kind for run in history.runs(where="params.alpha = 7", is_nested=False, with_inner=True)] == [
            "search"
        ]
        assert [run.kind for run in history.runs(where="params.alpha > 1003 and results.rank_test_score < 2000")] == [
            "search"
        ]
        # A condition is asked of one candidate as a whole, not of all together.
        assert history.runs(where="params.alpha = 1003 and params.alpha = 1004") == []


# --- the same by hand -------------------------------------------------------------------------------------------------

MADE = """
import histhooks, itertools
nan, inf = float("nan"), float("inf")
choices = itertools.product([None, 1.0, 2.0, inf, nan], [None, 1.0, 3.0], [None, 1, "2", "a", True])
for number, (x, y, p) in enumerate(choices):
    with histhooks.start_run(f"r{number}", params={} if p is None else {"p": p}) as run:
        run.log({name: value for name, value in (("x", x), ("y", y)) if value is not None})
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "histhooks.db"
    environment = {**os.environ, "HISTHOOKS_STORE": str(path), "HISTHOOKS_QUIET": "1"}
    subprocess.run([sys.executable, "-c", MADE], env=environment, check=True, timeout=60)
    return path


NAMES = {"x": "metrics.x", "y": "metrics.y", "p": "params.p"}
COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Fact = dict[str, float | None]
Question = tuple[str, Callable[[Fact], bool | None]]


def compared(name: str, sign: str, value: float) -> Question:
    def asked(fact: Fact) -> bool | None:
        own = fact[name]
        return None if own is None else bool(COMPARE[sign](own, value))

    return f"{NAMES[name]} {sign} {value}", asked


def compared_with(name: str, sign: str, other: str) -> Question:
    def asked(fact: Fact) -> bool | None:
        a, b = fact[name], fact[other]
        return None if a is None or b is None else bool(COMPARE[sign](a, b))

    return f"{NAMES[name]} {sign} {NAMES[other]}", asked


def negated(one: Question) -> Question:
    def asked(fact: Fact) -> bool | None:
        found = one[1](fact)
        return None if found is None else not found

    return f"not ({one[0]})", asked


def joined(sign: str, one: Question, other: Question) -> Question:
    """Kleene's three values, as SQL has them."""
    decides = sign == "or"

    def asked(fact: Fact) -> bool | None:
        found = [one[1](fact), other[1](fact)]
        return decides if decides in found else None if None in found else not decides

    return f"({one[0]} {sign} {other[0]})", asked


VALUES = st.sampled_from([0.0, 1.0, 2.0, 3.0, float("inf"), float("-inf")])
NAMED = st.sampled_from(["x", "y", "p"])
QUESTIONS = st.recursive(
    st.one_of(
        st.builds(compared, NAMED, st.sampled_from(list(COMPARE)), VALUES),
        st.builds(compared_with, st.sampled_from(["x", "y"]), st.sampled_from(list(COMPARE)), NAMED),
    ),
    lambda inner: st.one_of(st.builds(negated, inner), st.builds(joined, st.sampled_from(["and", "or"]), inner, inner)),
    max_leaves=6,
)


def facts() -> dict[str, Fact]:
    """What the program logged, as a question sees it: nan is no value, a number in a text is one, a boolean is none."""
    out: dict[str, Fact] = {}
    choices = itertools.product([None, 1.0, 2.0, math.inf, None], [None, 1.0, 3.0], [None, 1.0, 2.0, None, None])
    for number, (x, y, p) in enumerate(choices):
        out[f"r{number}"] = {"x": x, "y": y, "p": p}
    return out


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=QUESTIONS)
def test_a_question_finds_what_python_finds(made: Path, question: Question) -> None:
    text, asked = question
    with histhooks.History(made) as history:
        found = {run.name for run in history.runs(where=text)}
    assert found == {name for name, fact in facts().items() if asked(fact)}
