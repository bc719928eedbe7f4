"""Conditions as semi-joins find what the same conditions find run by run, in stores of random rows."""

from __future__ import annotations

import itertools
import operator
import random
import sqlite3
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import histhooks
from histhooks._base.clock import iso
from histhooks.history._ranking import best_value
from histhooks.history._table import query_of
from histhooks.history.query.names import Names, split
from histhooks.history.query.sql_functions import like, number, text

pytestmark = pytest.mark.one_engine("no ledger has its rows, and a push takes what a ledger has")

START = 1_700_000_000_000_000


class Maker:
    """Fills a store with rows that no program would record together."""

    def __init__(self, path: Path, seed: int) -> None:
        self.any = random.Random(seed)
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(resources.files("histhooks._store").joinpath("schema.sql").read_text(encoding="utf-8"))
        self.db.execute("BEGIN")
        self.series = itertools.count(1)

    def insert(self, table: str, **row: Any) -> None:
        sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        self.db.execute(sql, tuple(row.values()))

    def session(self, number: int) -> str:
        code = f"code{number}" if self.any.random() < 0.7 else None
        if code is not None:
            branch = self.any.choice(["main", "side", None])
            self.insert("code_versions", id=code, branch=branch, dirty=self.any.choice([0, 1, None]), details="{}")
        self.insert(
            "sessions", id=f"s{number}", kind="script", started_at=iso(START), status="finished", recorder_version="0",
            hostname=self.any.choice(["here", "there", None]), exit_code=self.any.choice([0, 1, None]),
            code_version_id=code,
        )  # fmt: skip
        return f"s{number}"

    def run(self, number: int, session: str, earlier: list[str]) -> str:
        run = f"r{number}"
        self.insert(
            "runs", id=run, session_id=session, name=self.any.choice("abc"), started_at=iso(START + number),
            parent_id=self.any.choice([*earlier, None, None]) if earlier else None,
            kind=self.any.choice(["loop", "fit"]), framework=self.any.choice(["torch", "keras"]),
            status=self.any.choice(["finished", "failed"]),
        )  # fmt: skip
        for name in ("x", "y"):
            if self.any.random() < 0.7:
                self.metric(run, name)
        for ordinal in range(self.any.randrange(3)):
            value = self.any.choice(["1", "2.5", '"1"', '"red"', "null", "true", '{"$float": "inf"}'])
            self.insert("params", run_id=run, ordinal=ordinal, key="p", value=value, source="user", time=ordinal)
        for ordinal in range(self.any.randrange(3)):
            value = self.any.choice(["red", "blue", "2", None])
            self.insert(
                "tags", run_id=run, session_id=session, ordinal=ordinal, key="t", value=value, value_sha256="",
                author_sha256="", time=self.any.randrange(3),
            )  # fmt: skip
        for ordinal in range(self.any.randrange(2)):
            body = self.any.choice(["red wine", None])
            self.insert(
                "notes", run_id=run, session_id=session, ordinal=ordinal, body=body, body_sha256="", author_sha256="",
                time=0,
            )  # fmt: skip
        return run

    def metric(self, run: str, name: str) -> None:
        series, count = next(self.series), self.any.choice([1, 2, 5, 19, 20, 40])
        values = [self.any.choice([None, 0.0, 1.0, 2.0, 3.0, 0.1]) for _ in range(count)]
        first, per = self.any.choice([None, 0, 3]), self.any.choice([1, 2, 3, 8, 20])
        epochs = [None if first is None else first + n // per for n in range(count)]
        finite = [value for value in values if value is not None]
        specials = [self.any.choice(["nan", "inf", "-inf"]) if value is None else None for value in values]
        self.insert(
            "metric_summaries", series=series, run_id=run, name=name, metric=name, start_time=0, count=count,
            split=self.any.choice(["train", "valid", "test", "system", None]), direction=self.any.choice([-1, 0, 1]),
            first=values[0], last=values[-1], last_special=specials[-1], last_step=count - 1, last_epoch=epochs[-1],
            min=min(finite, default=None), min_step=0, max=max(finite, default=None), max_step=0,
            nonfinite=count - len(finite),
        )  # fmt: skip
        for n in range(count):
            self.insert("points", series=series, n=n, epoch=epochs[n], time=n, value=values[n], special=specials[n])


@pytest.fixture(scope="module", params=range(3))
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("random") / "histhooks.db"
    maker, runs = Maker(path, request.param), list[str]()
    sessions = [maker.session(n) for n in range(6)]
    for n in range(60):
        runs.append(maker.run(n, maker.any.choice(sessions), runs[-5:]))
    maker.db.execute("COMMIT")
    maker.db.close()
    return path


NUMBERS = ("x", "x.best", "x.last", "y.min", "y.max", "y.first", "y.count", "params.p", "tags.t", "exit_code", "dirty")
TEXTS = ("tags.t", "hostname", "branch", "notes", "name", "params.p")
SIGNS = {"<": operator.lt, ">=": operator.ge, "=": operator.eq, "!=": operator.ne}
Values = dict[str, Any]
Question = tuple[str, Callable[[Values], bool | None]]


def as_number(name: str, values: Values) -> float | None:
    value = values[name]
    return number(value) if name in ("params.p", "tags.t") and value is not None else value


def as_text(name: str, values: Values) -> str | None:
    return text(values[name]) if name == "params.p" else values[name]


def known(test: Callable[..., Any], *found: Any) -> bool | None:
    return None if None in found else bool(test(*found))


def questions() -> Iterator[Question]:
    """Comparisons, each with what it says of a run by the values that this run has."""
    for name, (sign, test), value in itertools.product(NUMBERS, SIGNS.items(), (0.1, 1.0, 2.5)):
        yield f"{name} {sign} {value}", lambda v, n=name, t=test, w=value: known(t, as_number(n, v), w)
    for name, word in itertools.product(TEXTS, ("red", "here", "a")):
        yield f"{name} = '{word}'", lambda v, n=name, w=word: known(operator.eq, as_text(n, v), w)
        yield f"{name} != '{word}'", lambda v, n=name, w=word: known(operator.ne, as_text(n, v), w)
        yield f"{name} ~ '{word}'", lambda v, n=name, w=word: known(like, as_text(n, v), w)
        yield f"{name} !~ '{word}'", lambda v, n=name, w=word: known(lambda a, b: not like(a, b), as_text(n, v), w)
    for name in (*NUMBERS, *TEXTS):
        yield f"has {name}", lambda v, n=name: v[n] is not None
        yield f"{name} is null", lambda v, n=name: v[n] in (None, "null")
        yield f"{name} != null", lambda v, n=name: v[n] not in (None, "null")
    for left, (sign, test), right in itertools.product(("x", "exit_code"), SIGNS.items(), ("y.max", "params.p")):
        yield (
            f"{left} {sign} {'metrics.' if right[0] == 'y' else ''}{right}",
            lambda v, a=left, b=right, t=test: known(t, as_number(a, v), as_number(b, v)),
        )
    yield "0.1 < x <= 2", lambda v: known(lambda x: 0.1 < x <= 2, v["x"])
    yield "x in (0, 1, 2)", lambda v: known(lambda x: x in (0, 1, 2), v["x"])
    yield "tags.t not in (red, blue)", lambda v: known(lambda x: x not in ("red", "blue"), v["tags.t"])


def values_of(history: histhooks.History) -> dict[str, Values]:
    """The values of each run, read one by one; the best of a metric by the rule that all faces have."""
    names = Names(history)
    fields = {name: names.resolve(*split(name)) for name in {*NUMBERS, *TEXTS} - {"x", "x.best"}}
    out: dict[str, Values] = {}
    for run in history.runs():
        read = {
            name: history.cursor(f"SELECT {f.sql} FROM runs AS r WHERE r.id = ?", *f.values, run.id).fetchone()[0]
            for name, f in fields.items()
        }
        for row in run.summaries:
            if row["name"] == "x":
                best = best_value(history, run.id, row)
                last = read["x.last"]
                read["x"] = last if best is None else best.value
                read["x.best"] = None if row["direction"] == 0 else read["x"]
        out[run.id] = {"x": None, "x.best": None, **read}
    return out


def joined(sign: str, a: Callable[[Values], bool | None], b: Callable[[Values], bool | None]) -> Any:
    def test(values: Values) -> bool | None:
        found, decides = [a(values), b(values)], sign == "or"
        return decides if decides in found else None if None in found else not decides

    return test


def negated(test: Callable[[Values], bool | None]) -> Callable[[Values], bool | None]:
    return lambda values: None if (found := test(values)) is None else not found


def test_a_comparison_finds_what_the_values_of_each_run_say(store: Path) -> None:
    with histhooks.History(store) as history:
        values = values_of(history)
        for text, test in questions():
            assert {run.id for run in history.runs(where=text)} == {i for i in values if test(values[i])}, text
            opposite = {i for i in values if test(values[i]) is False}
            assert {run.id for run in history.runs(where=f"not {text}")} == opposite, text


def test_joined_comparisons_find_what_three_valued_logic_says(store: Path) -> None:
    some, leaves = random.Random(7), list(questions())

    def make(depth: int) -> Question:
        kind = some.choice(["and", "or", "not", "leaf"]) if depth else "leaf"
        if kind == "leaf":
            return some.choice(leaves)
        text, test = make(depth - 1)
        if kind == "not":
            return f"not ({text})", negated(test)
        other_text, other = make(depth - 1)
        return f"(({text}) {kind} ({other_text}))", joined(kind, test, other)

    with histhooks.History(store) as history:
        values = values_of(history)
        for _ in range(200):
            text, test = make(3)
            assert {run.id for run in history.runs(where=text)} == {i for i in values if test(values[i])}, text


def test_an_outer_run_is_found_through_any_run_inside_it(store: Path) -> None:
    with histhooks.History(store) as history:
        values = values_of(history)
        parents = {run.id: run.row["parent_id"] for run in history.runs()}
        for text, test in itertools.islice(questions(), 0, None, 7):
            found = {i for i in values if test(values[i])}
            while not found >= (above := {parents[i] for i in found} - {None}):
                found |= above
            outer = {run.id for run in history.runs(where=text, is_nested=False, with_inner=True)}
            assert outer == {i for i in found if parents[i] is None}, text


@pytest.mark.one_engine("it looks at SQLite's plan")
@pytest.mark.parametrize(
    ("where", "table"),
    [("x < 0.5", "m USING INDEX metric_summaries_by_name"), ("tags.t = red", "SCAN g"), ("branch = main", "SCAN s"),
     ("x < 0.5 and params.p > 1", "m USING INDEX metric_summaries_by_name"),
     ("not x < 0.5 or y.last > 1", "m USING INDEX metric_summaries_by_name")],
)  # fmt: skip
def test_runs_are_only_read_if_their_values_fit(store: Path, where: str, table: str) -> None:
    with histhooks.History(store) as history:
        query = query_of(history, {"where": where})
        sql = f"EXPLAIN QUERY PLAN SELECT count(*) FROM runs AS r{query.condition}"
        steps = [row["detail"] for row in history.sql(sql, *query.values)]
    assert any(table in step for step in steps)
    assert not any(step.startswith("SCAN") and step.split()[1] in ("r", "u", "runs") for step in steps), steps
