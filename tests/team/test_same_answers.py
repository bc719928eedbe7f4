"""A target is asked where it is, and says what a file of the same history says: odd texts, odd numbers, each verb."""

from __future__ import annotations

import json
import random
import re
import shlex
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner

from helpers import odd_history
from helpers.postgresql import ask_target
from helpers.team_stores import Session
from helpers.verbs import ask
from histhooks import History, team
from histhooks.cli import cli
from histhooks.errors import HisthooksError, QueryError, TeamError
from histhooks.history.curves.band import band_of
from histhooks.history.curves.thinning import find_series
from histhooks.history.query.sql_functions import contains, like
from histhooks.team.postgres.dialect import encoded

WHERES = r"""
params.lr<0.2
params.lr=0.5
params.lr="0.5"
params.text=0.1
params.under=1000
params.e>5
params.big>9e18
params.most>9e18
params.huge>1e307
params.tiny>0
params.inf>5
params.nan=1
params.zero=0
params.true=true
params.false=false
params.none is null
has params.none
params.none is not null
params.sharp~straße
params.small~STRASSE
params.greek~σίσυφος
params.emoji~NAÏVE*
params.emoji~☃
params.percent~%
params.percent~"50% _x"
params.quote~"it's"
params.class=JSONDecoder
params.class=json.decoder.JSONDecoder
params.class~decoder
params.list~two
params.deep.c=x
params.long~xxx
params.line~two
params.empty=""
params.mark~e
tags.team=red
tags.team!=red
tags.team in (red, Red)
tags.late>2
tags."ta g"~é
notes~"É"
notes~note*
error~ValueError
error_message~☃
loss<0.1
loss.best<0.2
loss.last>1
score>4
score.max>=4
score.min=0
odd.nonfinite>0
odd.last>0
odd.first=0
wild>5
wild.last>1e300
loss.at_4<1
loss.at_4>0
loss.count>100
loss is null
odd is null
results.best_params.C>1
results.best_params.kernel=rbf
results.best_score<0.5
file~model*
file~"MODEL"
data is not null
sha256 is not null
kind=block and not tags.team=blue
name~"run ?"
name~*[0-2]
name~"run 1" or params.lr>5
session_id is not null
actor~é
epochs_done>=0
steps_done>0
duration_s<1h
val_loss>1 and params.lr>0.05
val_loss.last > loss.last
0.1 <= params.lr <= 1
params.number in (1, 2, 7)
params.number not in (1, 2, 7)
number=1
started>1d ago and status=finished
loss.best < val_loss
""".strip().splitlines()
SORTS = (
    "loss", "loss desc", "loss asc", "-loss", "score", "odd", "wild", "params.lr", "params.e", "params.text",
    "tags.team", "tags.late", "results.best_params.kernel", "val_loss.first", "loss.at_4", "params.small", "name",
    "duration_s", "started_at", "status", "kind, name", "notes", "file", "loss, started_at",
)  # fmt: skip
VERBS = r"""
runs --all --all-projects
runs --all-projects --where params.lr<1 --sort loss
runs --all-projects --sort params.lr --reverse
runs --all-projects --tag team=red
runs --all-projects --group-by project
runs --all-projects --since 7d --until now
show last
show last~1
show last~2
show last~3
metrics last
metrics last loss
metrics last~2 odd
metrics last~4 wild loss
diff last~2 last~3
compare last~2 last~3 last~4
compare last last~1
search odd
search "straße"
search "STRASSE"
search nothing_has_this
search 0
check last
check last~1
check last~2
data last~2
lineage last~2
lineage last~3
whence model.bin
models
tail last
show last~9
""".strip().splitlines()


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store."""
    return odd_history.make(tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="module")
def there(odd: Path, postgresql: str) -> str:
    """A target that has it."""
    address = f"{postgresql}{'&' if '?' in postgresql else '?'}histhooks_schema=hh_{uuid4().hex[:12]}"
    team.init(address)
    assert team.push(odd, to=address).ok
    return address


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for caches, which is to stay empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "histhooks"


def said(history: History, **which: Any) -> list[str] | str:
    try:
        return [run.id for run in history.runs(is_nested=None, **which)]
    except HisthooksError as error:
        return str(error)


def test_conditions_find_the_same_runs(odd: Path, there: str, no_cache: Path) -> None:
    with History(odd) as here, History(there) as other:
        found = {where: (said(here, where=where), said(other, where=where)) for where in WHERES}
    assert {where: pair for where, pair in found.items() if pair[0] != pair[1]} == {}
    assert sum(isinstance(pair[0], list) and bool(pair[0]) for pair in found.values()) > 50  # they find something
    assert not no_cache.exists()


def test_runs_come_in_the_same_order(odd: Path, there: str) -> None:
    with History(odd) as here, History(there) as other:
        for order in SORTS:
            for which in ({}, {"reverse": True}, {"limit": 3}):
                assert said(here, order_by=order, **which) == said(other, order_by=order, **which), (order, which)


def test_no_question_changes_what_is_read_next(there: str) -> None:
    with History(there) as history:
        (row,) = history.sql("SELECT series, count FROM metric_summaries ORDER BY count DESC LIMIT 1")
        for sql in (
            "DELETE FROM points WHERE series = ?", "INSERT INTO points SELECT * FROM points WHERE series = ?",
            "CREATE TABLE x AS SELECT * FROM points WHERE series = ?", "SELECT nothing FROM points WHERE series = ?",
        ):  # fmt: skip
            with pytest.raises(QueryError):
                history.sql(sql, row["series"])
        with pytest.raises(QueryError, match="0 values"):
            history.sql("SELECT ? AS a")
        sql = "SELECT count(*) AS count FROM points WHERE series = ?"
        assert [dict(each) for each in history.sql(sql, row["series"])] == [{"count": row["count"]}]


def test_a_text_fits_the_same_patterns(there: str) -> None:
    rng = random.Random(3)
    signs = "ab[]!^-*?\\\\.zA0\0\ue000é(){}+|$\n&~ "
    for pattern in ("[z-a]*", "[^a]*", "[!z-a]?", "[a--b]*", "[[:alpha:]]*", "[\\\\d]*", "[!]a]*", "[]*", "0", "e"):
        _fits_the_same(there, [(text, pattern) for text in ("", "a", "^", "d", "\0", "\ue000", "]", "a\0b")])
    words = [("".join(rng.choices(signs, k=n % 5)), "".join(rng.choices(signs, k=n % 7 + 1))) for n in range(2000)]
    _fits_the_same(there, words)


def _fits_the_same(there: str, words: list[tuple[str, str]]) -> None:
    both = [[encoded(word) for word in each] for each in zip(*words, strict=True)]
    sql = (
        "SELECT hh_like(u.a, u.b), hh_contains(u.a, u.b) FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY "
        "AS u (a, b, n) ORDER BY n"
    )
    said = ask_target(there, sql, *both)
    for (text, pattern), found in zip(words, said, strict=True):
        assert found == (bool(like(text, pattern)), contains(text, pattern)), (text, pattern)


@pytest.mark.parametrize("words", VERBS)
def test_a_verb_prints_the_same(
    odd: Path, there: str, words: str, no_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(odd.parent)
    verb, *rest = shlex.split(words)
    told = []
    for place in (str(odd), there):
        done = CliRunner().invoke(cli, [verb, *rest, "--store", place, "--json"], standalone_mode=False)
        assert done.exception is None or isinstance(done.exception, HisthooksError), done.exception
        told.append(
            (done.return_value, done.output.replace(place, "PLACE"), str(done.exception).replace(place, "PLACE"))
        )
    assert told[1] == told[0]
    assert not no_cache.exists()


def test_each_table_holds_the_same(odd: Path, there: str) -> None:
    with History(odd) as here, History(there) as other:
        for row in here.sql("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"):
            if row["name"] in ("_sqlite_migrations", "merged_spools", "exports"):
                continue
            names = [each["name"] for each in here.sql(f"PRAGMA table_info({row['name']})")]
            assert [each["name"] for each in other.sql(f"PRAGMA table_info({row['name']})")][: len(names)] == names
            if row["name"] in ("points", "rollups"):
                table = f"{row['name']} AS t JOIN metric_summaries AS s ON s.series = t.series"
                names = ["s.run_id", "s.name", *(f"t.{name} AS {name}_" for name in names if name != "series")]
            else:
                table, names = row["name"], [name for name in names if name != "series"]
            sql = f"SELECT {', '.join(names)} FROM {table}"
            assert sorted(map(repr, here.sql(sql))) == sorted(map(repr, other.sql(sql))), row["name"]


def test_the_queries_of_the_page_give_the_same(odd: Path, there: str) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "sql.md"
    queries = re.findall(r"```sql\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert queries
    with History(odd) as here, History(there) as other:
        for query in queries:
            assert sorted(map(repr, here.sql(query))) == sorted(map(repr, other.sql(query))), query


def test_curves_are_the_same_at_each_thinning(odd: Path, there: str) -> None:
    told = []
    for place in (odd, there):
        with History(place) as history:
            run = history.run("many")
            curves = [run.curve("loss", points, smooth=smooth, start=start).as_json()
                      for points in (2, 10, 100, 5000) for smooth in (0.0, 0.9) for start in (None, 70)]  # fmt: skip
            told.append(json.dumps(curves))
    assert told[0] == told[1]


def test_points_that_come_are_seen_and_those_that_go(odd: Path, there: str, target: str) -> None:
    team.push(odd, to=target)
    with History(target) as history:
        run = history.run("many")
        assert [point.n for point in run.curve("loss", 2).points][-1] == 1499  # some parts, then all
        assert len(list(run.metrics("loss"))) == 1500
        sql = "FROM point_chunks WHERE chunk = 1 AND series IN (SELECT series FROM metric_summaries WHERE run_id = %s)"
        ask_target(target, f"DELETE {sql} RETURNING chunk", run.id)
        history.refresh()
        assert len(list(run.metrics("loss"))) == 1024


def test_a_curve_that_grows_is_read_on(target: str, tmp_path: Path) -> None:
    session = Session(tmp_path / "grows.db", 0)
    run_id = session.train(n_points=100)
    team.push(session.path, to=target)
    with History(target) as history, History(session.path) as here:
        for more in (1, 27, 64, 900, 1024, 70_000):
            session.write(session.points(session.runs[0], more, first=session_length(here, run_id)))
            team.push(session.path, to=target)
            for each in (history, here):
                each.refresh()
            runs = [each.run(run_id) for each in (history, here)]
            for points in (2, 50, 700):
                one, other = (json.dumps(run.curve("loss", points).as_json()) for run in runs)
                assert one == other, (more, points)
            bands = [band_of(each, find_series(each, run_id, "loss"), 20) for each in (history, here)]
            assert bands[0] == bands[1]


def test_a_curve_has_what_was_pushed_a_moment_ago(target: str, tmp_path: Path) -> None:
    session = Session(tmp_path / "grows.db", 0)
    run_id = session.train(n_points=5)
    team.push(session.path, to=target)
    with History(target) as history:
        run = history.run(run_id)
        for count in range(5, 9):
            assert run.curve("loss").count == count
            assert len(run.series("loss")) == count
            session.write(session.points(session.runs[0], 1, first=count))
            team.push(session.path, to=target)


def session_length(history: History, run_id: str) -> int:
    ((count,),) = history.cursor("SELECT count FROM metric_summaries WHERE run_id = ? AND name = 'loss'", run_id)
    return int(count)


def test_sql_of_ones_own_is_taken_in_the_words_of_both(odd: Path, there: str) -> None:
    both = (
        "SELECT count(*), max(1, 2), ifnull(NULL, 'x') FROM runs WHERE name GLOB 'run [0-2]' AND name LIKE 'RUN%'",
        "SELECT name AS n, status = 'failed' AS f FROM runs WHERE parent_id IS NULL ORDER BY error_type, name LIMIT 3",
        "SELECT group_concat(name, '; ') AS names FROM (SELECT name FROM runs ORDER BY started_at)",
        "SELECT total(duration_s) > 0, CAST('7' AS INTEGER), substr(name, -2), typeof(1) IS NOT NULL FROM runs LIMIT 1",
        'SELECT j.value FROM json_each(\'["b", "a"]\') AS j ORDER BY j.value',
        "SELECT name FROM runs WHERE error_type IS ? ORDER BY started_at LIMIT -1 OFFSET 2",
    )
    with History(odd) as here, History(there) as other:
        for sql in both[:3] + both[4:5]:
            assert here.sql(sql) == other.sql(sql), sql
        assert here.sql(both[5], None) == other.sql(both[5], None)
        assert other.sql('SELECT DISTINCT ON (status) status FROM runs ORDER BY status, id::text COLLATE "C"')
        assert other.sql("SELECT pushed_by FROM sessions LIMIT 1")[0]["pushed_by"]
        for bad in ("DELETE FROM runs", "SELECT nothing FROM runs", "SELECT 1; DELETE FROM runs", "SELECT (1"):
            with pytest.raises(QueryError, match="PostgreSQL refuses the query"):
                other.sql(bad)
        assert other.sql("SELECT count(*) AS n FROM runs")[0]["n"]  # a refusal ends no transaction of the next question


def test_a_server_that_goes_is_said_and_found_again(tmp_path: Path) -> None:
    from helpers.postgresql import server

    with server() as started:
        address = started.address
        team.init(address)
        history = History(address)
        assert history.runs() == []
        started.stop()
        with pytest.raises(TeamError, match=r"cannot be reached|connection was lost"):
            history.runs()
        started.start()
        assert history.runs() == []
        history.close()


def test_a_target_of_an_older_version_is_read_through_a_copy_until_it_is_upgraded(
    odd: Path, target: str, no_cache: Path
) -> None:
    team.push(odd, to=target)
    ask_target(target, "DELETE FROM store_info WHERE key = 'reading' RETURNING key")
    with History(target) as history:
        assert not history.is_there
        assert history.runs(where="params.small~STRASSE")
    assert list(no_cache.glob("targets/*.db"))
    assert ask("team", "upgrade", target)[0] == 0
    with History(target) as history:
        assert history.is_there
        assert history.runs(where="params.small~STRASSE")
