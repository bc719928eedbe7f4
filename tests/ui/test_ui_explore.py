"""Many runs at once: which axes a page takes, where runs stand on them, and that nothing is lost without a picture."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.pages import HOSTILE, client, make_hostile
from helpers.programs import HOST, ON_THAT_HOST
from histhooks import History
from histhooks.testing import run_program

pytest.importorskip("starlette")

from histhooks.ui._axes import axes_of, choices
from histhooks.ui._ranks import explained, going_with, ranks

PROGRAM = """
import histhooks
for number in range(40):
    params = {"lr": 10.0 ** (-number / 8), "opt": ("adam", "sgd")[number % 2], "depth": number % 4, "same": 7,
              "path": f"/data/{number}", "flag": number % 3 == 0}
    if number == 5:
        del params["lr"]
    with histhooks.start_run("train", params=params) as run:
        run.log({"val_loss": 1.0 + number / 10, "val_acc": number / 40})
        if number == 7:
            run.log({"val_loss": float("nan")})
with histhooks.start_run("search"):
    for number in range(3):
        with histhooks.start_run(f"candidate {number}", params={"C": number}) as run:
            run.log({"score": number / 3})
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("explore") / "h.db"
    assert run_program(ON_THAT_HOST + PROGRAM, found)[0] == 0
    return found


@pytest.fixture(scope="module")
def visitor(store: Path) -> Iterator[Any]:
    with client(store) as made:
        yield made


def axes_in(text: str) -> list[str]:
    part = text.partition('class="graph parallel"')[2].partition("</svg>")[0]
    return [html.unescape(name) for name in re.findall(r'<g class="axis" data-name="([^"]*)"', part)]


def test_the_first_axes_are_what_differs_and_the_main_metric(visitor: Any) -> None:
    page = visitor.get("/s/h/explore")
    assert page.status_code == 200
    assert axes_in(page.text) == ["params.lr", "params.opt", "params.depth", "params.flag", "val_loss"]
    assert page.text.count('class="stroke ') == 41
    assert "A run without a value lies at the foot." in page.text


def test_axes_are_named_in_the_language_of_filters(visitor: Any) -> None:
    page = visitor.get("/s/h/explore?axes=params.depth,val_loss.last,val_acc&where=params.opt+=+adam")
    assert axes_in(page.text) == ["params.depth", "val_loss.last", "val_acc"]
    assert page.text.count('class="stroke ') == 20
    assert page.text.count("data-row=") == 20
    unknown = visitor.get("/s/h/explore?axes=params.nothing")
    assert (unknown.status_code, "no param is called" in unknown.text) == (400, True)
    wrong = visitor.get("/s/h/explore?where=val_loss+<")
    assert (wrong.status_code, "^" in wrong.text) == (400, True)


def test_a_value_stands_where_its_scale_has_it(store: Path) -> None:
    with History(store) as history:
        runs = list(history.runs(where="name = train"))[::-1]
        lr, opt, depth, loss, flag = axes_of(
            history, runs, ["params.lr", "params.opt", "params.depth", "val_loss", "params.flag"]
        )
        assert lr.scale is not None
        assert lr.scale.is_log
        assert [lr.share(place) for place in (0, 5, 39)] == [1.0, None, 0.0]
        assert lr.share(8) == pytest.approx(1 - 8 / 39)
        assert (opt.categories, opt.literals) == (["adam", "sgd"], {"adam": "'adam'", "sgd": "'sgd'"})
        assert opt.share(0) == 0.25
        assert [depth.share(place) for place in range(4)] == pytest.approx([0, 1 / 3, 2 / 3, 1])
        assert (loss.direction, loss.share(0), loss.share(39)) == (-1, 0.0, 1.0)
        assert flag.literals == {"True": "true", "False": "false"}
        names, chosen = choices(history, runs, 2)
        assert chosen == ["params.lr", "params.opt", "val_loss"]
        assert {"params.path", "val_acc", "duration_s"} <= {*names}
        assert "params.same" not in names
        at, host = axes_of(history, runs, ["val_loss.at_0", "hostname"])
        assert (at.values[:3], at.direction, at.name) == ([1.0, 1.1, 1.2], -1, "val_loss.at_0")
        assert host.categories == [HOST]


def test_how_an_axis_goes_with_the_last_is_a_correlation_of_ranks(visitor: Any, store: Path) -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    with History(store) as history:
        runs = [run for run in history.runs(where="name = train") if "lr" in run.params]
        axes = axes_of(history, runs, ["params.lr", "params.depth", "params.opt", "params.same", "val_loss"])
        found = {one.word: one for one in going_with(axes, axes[-1])}
        losses = axes[-1].values
        for word, place in (("params.lr", 0), ("params.depth", 1)):
            expected = scipy_stats.spearmanr(axes[place].values, losses).statistic
            assert found[word].rho == pytest.approx(expected)
        assert "params.same" not in found
        assert found["params.lr"].share > 0.9
        assert found["params.opt"].share < 0.1
        assert found["params.opt"].rho is None
    page = visitor.get("/s/h/explore").text
    assert "How each goes with val_loss" in page
    assert ">-1.00<" in page
    assert ranks([3.0, 1.0, 3.0, 0.5]) == [2.5, 1.0, 2.5, 0.0]


def test_what_an_axis_explains_sees_an_optimum_in_its_middle_and_no_chance() -> None:
    values = [float(abs(number - 50)) for number in range(101)]
    assert explained([number // 13 for number in range(101)], values) == pytest.approx(0.93, abs=0.05)
    assert explained([number % 8 for number in range(96)], [float(number * 37 % 96) for number in range(96)]) < 0.05
    assert explained([1.0] * 9, values[:9]) is None
    assert explained([1.0, 2.0] * 4, [5.0] * 8) is None


def test_what_a_brush_may_write_finds_the_runs_on_that_part(visitor: Any, store: Path) -> None:
    with History(store) as history:
        for where, count in (
            ("params.lr >= 0.001 and params.lr <= 0.01", 8), ("params.opt in ('adam', 'sgd')", 40),
            ("params.flag in (true)", 14), ("params.depth >= 1 and params.depth <= 2", 20),
        ):  # fmt: skip
            assert len(history.runs(where=where)) == pytest.approx(count, abs=1)
            page = visitor.get("/s/h/explore", params={"where": where}).text
            assert page.count('class="stroke ') == len(history.runs(where=where))


def test_of_a_search_its_candidates_are_shown_and_chosen_runs_are_those(visitor: Any, store: Path) -> None:
    page = visitor.get("/s/h/explore?runs=search").text
    assert axes_in(page) == ["params.C", "score"]
    assert page.count('class="stroke ') == 3
    with History(store) as history:
        ids = [run.id[-8:] for run in history.runs(where="name = train", limit=2)]
    page = visitor.get(f"/s/h/explore?runs={','.join(ids)}").text
    assert page.count('class="stroke ') == 2


def test_one_run_and_none_have_their_words(visitor: Any, tmp_path: Path) -> None:
    one = visitor.get("/s/h/explore", params={"where": "params.lr = 1"}).text
    assert one.count('class="stroke ') == 1
    assert "1 run<" in one
    assert "No run matches" in visitor.get("/s/h/explore", params={"where": "val_loss > 100"}).text
    store = tmp_path / "bare.db"
    assert run_program("import histhooks\nfor _ in range(3):\n    with histhooks.start_run('x'): pass", store)[0] == 0
    with client(store) as other:
        assert "Nothing to compare" in other.get("/s/bare/explore").text


def test_of_very_many_runs_the_latest_are_drawn(tmp_path: Path) -> None:
    program = """
    import histhooks
    for number in range(620):
        with histhooks.start_run("x", params={"n": number}): pass
    """
    store = tmp_path / "many.db"
    assert run_program(program, store)[0] == 0
    with client(store) as visitor:
        page = visitor.get("/s/many/explore").text
        assert page.count('class="stroke ') == 500
        assert "the latest 500 of 620 runs" in page
        assert page.count("data-row=") == 100
        assert "All 620 in the table of runs" in page


def test_hostile_texts_are_texts(tmp_path: Path) -> None:
    with client(make_hostile(tmp_path / "bad.db")) as visitor:
        page = visitor.get("/s/bad/explore")
        assert page.status_code == 200
        names = [html.unescape(name) for name in re.findall(r'name="axes" value="([^"]*)"', page.text)]
        answers = [page, *(visitor.get("/s/bad/explore", params={"axes": f"{name},params.lr"}) for name in names)]
        assert len(answers) > len(HOSTILE)
        for answer in answers:
            assert answer.status_code in (200, 400)
            for danger in ("<img src=x", "<script>document", "\u202e", "\x00", ">49<"):
                assert danger not in answer.text


def test_numbers_at_the_ends_of_what_a_float_holds_are_drawn(tmp_path: Path) -> None:
    program = """
import histhooks
for value in (1e308, -1e308, 5e-324, 10**400, -(10**400), 3):
    with histhooks.start_run("train", params={"big": value}) as run:
        run.log({"loss": float(value) if abs(value) <= 1e308 else 0.0})
"""
    assert run_program(program, tmp_path / "h.db")[0] == 0
    with client(tmp_path / "h.db") as visitor:
        page = visitor.get("/s/h/explore?axes=params.big,loss")
    assert page.status_code == 200
    assert axes_in(page.text) == ["params.big", "loss"]
    paths = re.findall(r'class="stroke [^>]* d="([^"]*)"', page.text) or re.findall(r' d="(M[^"]*L[^"]*)"', page.text)
    assert len(paths) >= 6
    assert not any(word in path for path in paths for word in ("nan", "inf"))


def test_a_long_name_of_an_axis_ends_with_what_tells_it_from_others() -> None:
    from histhooks.ui._fitting import fit_end, length

    assert fit_end("params.lr", 20) == "params.lr"
    assert fit_end("params.optimizer.weight_decay", 12) == "…weight_decay"
    assert fit_end("params.optimizer.weight_decay", 14) == "…optimizer.weight_decay"
    assert fit_end("x" * 80, 6) == "…" + "x" * 8
    assert length(fit_end("params." + "w" * 40, 9)) <= 9
