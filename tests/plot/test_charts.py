"""Charts of runs that were recorded for real: what is drawn, what is said, and in which form."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from histhooks import History, QueryError
from histhooks.plot import Chart, plot, svg_curves
from histhooks.testing import run_program

PROGRAM = """
import histhooks, math
for name, rate in (("slow", 0.02), ("fast", 0.06)):
    with histhooks.start_run(name) as run:
        run.declare_metric("unknown", direction=0)
        for step in range(200):
            run.log({"loss": math.exp(-step * rate)}, step=step, epoch=step // 20)
            if step % 20 == 19:
                run.log({"val_loss": math.nan if step == 59 else math.exp(-step * rate)}, step=step, epoch=step // 20)
        run.log({"unknown": 1.0, "minus": -1.0}, step=0)
        run.log({"unknown": 2.0, "minus": 1.0}, step=1)
with histhooks.start_run("begin & <go>") as begin:
    for step in range(120):
        begin.log({"loss": 100.0 - step}, step=step)
with histhooks.start_run("again") as again:
    again.link("resumes", begin.id)
    for step in range(80, 150):
        again.log({"loss": 90.0 - step / 2}, step=step)
with histhooks.start_run("anew") as anew:
    anew.link("continues", again.id)
    for step in range(50):
        anew.log({"loss": 1.0}, step=step)
with histhooks.start_run("long") as run:
    for step in range(50_000):
        run.log({"loss": math.sin(step / 1000) + (5 if step == 31_234 else 0)})
with histhooks.start_run("nothing"):
    pass
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plot") / "histhooks.db"
    code, _, err = run_program(PROGRAM, path)
    assert code == 0, err
    return path


@pytest.fixture
def history(store: Path) -> Iterator[History]:
    with History(store) as opened:
        yield opened


def test_curves_are_named_by_what_tells_them_apart(history: History) -> None:
    slow, fast = history.run("slow"), history.run("fast")
    assert [c.label for c in plot(slow, ["loss", "val_loss"]).curves] == ["loss", "val_loss"]
    assert [c.label for c in plot([slow, fast], "loss").curves] == ["slow", "fast"]
    assert [c.label for c in plot([slow, fast], ["*loss"]).curves] == [
        "slow · loss", "slow · val_loss", "fast · loss", "fast · val_loss",
    ]  # fmt: skip
    assert [c.label for c in plot(slow).curves] == ["loss", "val_loss"]
    assert [c.label for c in plot([slow, fast]).curves] == ["slow", "fast"]


def test_the_best_point_is_marked_only_where_better_is_known(history: History) -> None:
    chart = plot(history.run("slow"), ["val_loss", "unknown"])
    assert [curve.best for curve in chart.curves] == [(199.0, math.exp(-199 * 0.02)), None]
    assert chart.curves[0].nonfinite == 1
    assert "val_loss: 1 of 10 points is not finite" in chart.notes
    part = plot(history.run("slow"), "val_loss", start=100)
    assert "val_loss: 1 of 10 points is not finite in the whole series" in part.notes
    assert part.curves[0].count < 10
    assert chart.text(80, 20).count("★") == 2  # in the legend and in the picture
    assert "×" in chart.text(80, 20)


def test_axes_by_epoch_and_by_time(history: History) -> None:
    run = history.run("slow")
    by_epoch = plot(run, "val_loss", x="epoch")
    assert by_epoch.curves[0].main.x == [float(n) for n in range(10)]
    with pytest.raises(QueryError, match="no points to plot"):
        plot(run, "unknown", x="epoch")
    relative = plot(run, "loss", x="relative").curves[0].main.x
    times = plot(run, "loss", x="time").curves[0].main.x
    assert 0 <= relative[0] <= relative[-1] < 60
    assert [b - a for a, b in zip(relative, times)] == pytest.approx([times[0] - relative[0]] * 200)
    with pytest.raises(QueryError, match="choose one of step, epoch, time, relative"):
        plot(run, "loss", x="steps")


def test_smoothing_is_the_average_without_the_pull_to_zero(history: History) -> None:
    chart = plot(history.run("slow"), "loss", smooth=0.9)
    raw, smooth = chart.curves[0].pieces
    assert (raw.is_faint, smooth.is_faint) == (True, False)
    assert raw.y == [math.exp(-step * 0.02) for step in range(200)]
    weights = [0.1 * 0.9 ** (10 - n) for n in range(11)]
    expected = sum(w * y for w, y in zip(weights, raw.y)) / sum(weights)
    assert smooth.y[0] == pytest.approx(1.0)
    assert smooth.y[10] == pytest.approx(expected)
    assert chart.curves[0].last == (199.0, raw.y[-1])
    assert "smoothed by 0.9" in chart.notes[0]
    with pytest.raises(QueryError, match="not including, 1"):
        plot(history.run("slow"), "loss", smooth=1.0)


def test_attempts_are_one_curve_and_the_abandoned_tail_is_faint(history: History) -> None:
    for name in ("again", "begin & <go>"):
        chart = plot(history.run(name), "loss")
        (curve,) = chart.curves
        tail, main = curve.pieces
        assert main.x == [float(step) for step in range(150)]
        assert main.y[79:82] == [21.0, 50.0, 49.5]
        assert (tail.is_faint, tail.x) == (True, [float(step) for step in range(79, 120)])
        assert curve.best == (149.0, 15.5)
        assert (curve.count, curve.drawn) == (190, 190)
        assert not any("stand for" in note for note in chart.notes)
        assert any("2 attempts, drawn as one curve" in note for note in chart.notes)
    alone = plot(history.run("again"), "loss", attempts=False).curves[0]
    assert (len(alone.pieces), alone.main.x[0]) == (1, 80.0)
    # Both of one training: one curve.
    assert len(plot([history.run("again"), history.run("begin & <go>")], "loss").curves) == 1


def test_an_attempt_that_counts_anew_is_not_laid_over_the_others(history: History) -> None:
    chart = plot(history.run("anew"), "loss")
    assert chart.curves[0].main.x == [float(step) for step in range(50)]
    assert any("2 attempts count steps anew" in note for note in chart.notes)
    assert len(plot(history.run("anew"), "loss", x="time").curves[0].main.x) == 80 + 70 + 50


def test_a_long_curve_is_thinned_and_keeps_its_peak(history: History) -> None:
    chart = plot(history.run("long"), "loss")
    (curve,) = chart.curves
    assert len(curve.main.x) < 1100
    assert (31_234.0, math.sin(31.234) + 5) in list(zip(curve.main.x, curve.main.y))
    assert any(note.endswith("points stand for 50,000") for note in chart.notes)


def test_what_a_log_axis_has_no_place_for_is_counted(history: History) -> None:
    chart = plot(history.run("slow"), "minus", log=True)
    assert "1 point at or below 0 has no place on a log axis" in chart.notes
    for form in (chart.text(60, 15), chart.svg(), chart.html()):
        assert form
    assert any("on a log axis" in note for note in plot(history.run("slow"), "loss", log_x=True).notes)


def test_questions_that_cannot_be_answered(history: History) -> None:
    with pytest.raises(QueryError, match="no metric 'los'; there is loss, val_loss"):
        plot(history.run("slow"), "los")
    with pytest.raises(QueryError, match="none of the runs has metric 'los'; there is loss"):
        plot([history.run("slow"), history.run("fast")], "los")
    with pytest.raises(QueryError, match="there is no metric to plot"):
        plot(history.run("nothing"))


@pytest.mark.parametrize("columns", [40, 80, 133])
@pytest.mark.parametrize("lines", [12, 24])
def test_text_fits_its_place(history: History, columns: int, lines: int) -> None:
    chart = plot([history.run("slow"), history.run("fast")], "*loss", smooth=0.5)
    text = chart.text(columns, lines + len(chart.notes))
    assert max(len(line) for line in text.splitlines()) <= columns
    assert "\x1b" not in text
    coloured = chart.text(columns, lines + len(chart.notes), has_colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == text


def test_curves_differ_by_marks_without_colour_and_ascii_is_ascii(history: History) -> None:
    chart = plot([history.run("slow"), history.run("fast")], "loss")
    text = chart.text(100, 20)
    for mark in "●■":
        assert text.count(mark) >= 3
    plain = chart.text(100, 20, is_plain=True)
    assert plain.isascii()
    assert plain.count("*") > 20
    assert plain.count("o") > 20


def shapes(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def test_svg_is_whole_and_shows_the_words_as_they_are(history: History, tmp_path: Path) -> None:
    chart = plot(history.run("begin & <go>"), "loss", attempts=False, title="begin & <go>")
    root = shapes(chart.svg(600, 300))
    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any(text.startswith("loss") and "best -19 at step 119" in text for text in texts)
    assert (root.attrib["width"], root.attrib["height"]) == ("600", "300")
    chart.save(tmp_path / "chart.svg")
    written = (tmp_path / "chart.svg").read_text(encoding="utf-8")
    texts = ["".join(text.itertext()) for text in shapes(written).iter("{http://www.w3.org/2000/svg}text")]
    assert "begin & <go>" in texts
    assert "url(" not in written
    assert shapes(svg_curves(history.run("slow"), "loss")).tag.endswith("svg")
    assert chart._repr_html_() == chart.svg()


def test_html_is_one_page_that_loads_nothing(history: History, tmp_path: Path) -> None:
    chart = plot(history.run("slow"), ["loss", "val_loss"], title="</script><script>alert(1)</script>")
    chart.save(tmp_path / "chart.html")
    page = (tmp_path / "chart.html").read_text(encoding="utf-8")
    assert page.count("<script") == 2
    assert not re.search(r"\b(src|href)\s*=|url\(|@import|https?://(?!www\.w3\.org/2000/svg)", page)
    found = re.search(r'<script type="application/json" id="points">(.*?)</script>', page, re.S)
    assert found
    curves = json.loads(found[1])
    assert [curve["label"] for curve in curves] == ["loss", "val_loss"]
    assert curves[1]["y"][2] == "nan"
    assert (curves[0]["x"][7], float(curves[0]["y"][7])) == ("at step 7", pytest.approx(math.exp(-0.14), rel=1e-5))
    assert curves[0]["px"] == sorted(curves[0]["px"])


def test_no_name_breaks_a_terminal_a_picture_or_a_page(store_path: Path) -> None:
    program = """
import histhooks
with histhooks.start_run("a\\x1b[2J\\x07 & <b>") as run:
    run.log({"x\\x1b[31m<i>\\x08": 1.0, "y": 2.0})
    run.log({"x\\x1b[31m<i>\\x08": 2.0, "y": 1.0})
"""
    code, _, err = run_program(program, store_path)
    assert code == 0, err
    with History(store_path) as history:
        chart = plot(history.run("last"), ["x*", "y"])
    assert not set("\x1b\x07\x08") & set(chart.text(80, 20))
    assert "<i>" in "".join(shapes(chart.svg()).itertext())
    assert not set("\x1b\x07\x08") & set(chart.html())
    assert "<i>" not in chart.html().replace('"label":"x', "").partition("<script")[0]


def test_what_cannot_be_written_is_told(history: History, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="cannot be written: No such file or directory"):
        plot(history.run("slow"), "loss").save(tmp_path / "nowhere" / "chart.svg")


def test_pictures_by_matplotlib(history: History, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    chart = plot(
        [history.run("slow"), history.run("fast")], "*loss", smooth=0.5, log=True, title="$x_1$ & <b> 損失 \x1b"
    )
    chart.save(tmp_path / "chart.png", width=600, height=300)
    picture = (tmp_path / "chart.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])) == (600, 300)
    plot(history.run("slow"), "loss", x="time").save(tmp_path / "chart.pdf")
    assert (tmp_path / "chart.pdf").read_bytes()[:5] == b"%PDF-"
    with pytest.raises(QueryError, match=r"\.png, \.svg, \.pdf or \.html"):
        chart.save(tmp_path / "chart.gif")


def test_a_chart_prints_itself(history: History) -> None:
    chart = plot(history.run("slow"), "loss")
    assert isinstance(chart, Chart)
    assert str(chart).startswith("slow\n─ loss  last 0.01869, best 0.01869 at step 199 ★\n")
    assert json.loads(json.dumps(chart.as_json()))["curves"][0]["points"] == 200


def test_in_a_picture_the_legend_is_below_the_title_and_a_star_at_the_edge_is_whole(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = pytest.importorskip("matplotlib.figure").Figure
    kept: list[Any] = []
    save = drawn.savefig
    monkeypatch.setattr(drawn, "savefig", lambda self, path: (kept.append(self), save(self, path)))
    plot(history.run("slow"), ["val_loss", "loss"]).save(tmp_path / "chart.png", width=900, height=480)
    (figure,) = kept
    (axes,) = figure.axes
    title = figure._suptitle
    assert axes.get_legend().get_window_extent().y1 <= title.get_window_extent().y0
    stars = [line for line in axes.lines if line.get_marker() == "*"]
    assert stars
    assert not any(star.get_clip_on() for star in stars)
    assert max(star.get_window_extent().x1 for star in stars) <= 900


def test_runs_of_one_name_are_called_by_what_varies(tmp_path: Path) -> None:
    path = tmp_path / "sweep.db"
    program = (
        "import histhooks\nfor lr in (0.1, 0.2):\n    for wd in (0, 0.5):\n"
        "        with histhooks.start_run('sweep', params={'lr': lr, 'wd': wd, 'same': 1}) as run:\n"
        "            for epoch in range(3): run.log({'val_loss': lr * epoch}, epoch=epoch)\n"
        "for _ in range(2):\n    with histhooks.start_run('alike') as run: run.log({'val_loss': 1.0})\n"
    )
    code, _, err = run_program(program, path)
    assert code == 0, err
    with History(path) as history:
        runs = history.runs(order_by="started_at", reverse=True)
        chart = plot(runs[:4], "val_loss", x="epoch")
        assert [c.label for c in chart.curves] == ["lr=0.1 wd=0", "lr=0.1 wd=0.5", "lr=0.2 wd=0", "lr=0.2 wd=0.5"]
        assert [c.label for c in plot([runs[0], runs[2]], "val_loss").curves] == ["lr=0.1", "lr=0.2"]
        alike = [run for run in runs if run.name == "alike"]
        assert [c.label for c in plot(alike, "val_loss").curves] == [f"alike {run.id[-8:]}" for run in alike]
        mixed = [c.label for c in plot([runs[0], runs[1], alike[0]], "val_loss").curves]
        assert mixed == ["sweep wd=0", "sweep wd=0.5", "alike"]
        assert "lr=0.2 wd=0.5" in chart.svg()
        assert "lr=0.2 wd=0.5" in chart.html()
        ticks = re.findall(r">([0-9.]+)</text>", chart.html())
        assert {"0", "1", "2"} <= {*ticks}
        assert not {"0.5", "1.5"} & {*ticks}


@pytest.mark.parametrize("smooth", [0.0, 0.5])
def test_a_window_has_the_points_of_the_whole_in_it(history: History, smooth: float) -> None:
    run = history.run("slow")
    for x, start, stop in (("step", 20, 60), ("n", 20, 60), ("epoch", 2, 4), ("relative", 0, 1e9)):
        whole = plot(run, "loss", x=x, smooth=smooth).curves[0].main
        some = plot(run, "loss", x=x, smooth=smooth, start=start, stop=stop).curves[0]
        expected = [(a, b) for a, b in zip(whole.x, whole.y, strict=True) if start <= a <= stop]
        assert expected
        assert list(zip(some.main.x, some.main.y, strict=True)) == expected
        assert some.count == len(expected)
    assert plot(history.run("again"), "loss", x="n").curves[0].main.x == list(range(70))  # of this run alone
    joined = plot(history.run("again"), "loss", start=70, stop=90).curves[0]
    assert joined.main.x == list(range(70, 91))
    with pytest.raises(QueryError, match="window"):
        plot(run, "loss", start=math.nan)
    with pytest.raises(QueryError, match="no points to plot"):
        plot(run, "loss", start=1e6)


def test_a_clipped_chart_spans_the_percentiles_and_its_lines_end_at_the_edge(history: History, tmp_path: Path) -> None:
    chart = plot(history.run("long"), "loss", clip=True)
    whole = plot(history.run("long"), "loss")
    assert whole.y_scale.high > 4
    assert (round(chart.y_scale.low, 2), round(chart.y_scale.high, 2)) == (-1.0, 1.0)
    assert any(note.startswith("clipped to -") and "1st to the 99th percentile" in note for note in chart.notes)
    assert max(chart.curves[0].main.y) > 4  # the points are those that were recorded
    svg = chart.svg(600, 400)
    assert svg.count("<svg") == 2  # the inner one cuts what leaves it
    assert 'overflow="hidden"' in svg
    assert whole.svg(600, 400).count("<svg") == 1
    text = chart.text(80, 20)
    rows = [line.partition("┤")[2] or line.partition("│")[2] for line in text.splitlines()]
    at = round(31_234 / 50_000 * len(max(rows, key=len)))
    assert all(
        any("\u2801" <= sign <= "\u28ff" for sign in row[at - 2 : at + 2]) for row in rows[3:6]
    )  # up to the edge
    pytest.importorskip("matplotlib")
    chart.save(tmp_path / "clipped.png")
    assert (tmp_path / "clipped.png").stat().st_size > 5000


def test_a_band_has_the_mean_between_the_extremes_of_each_part(history: History, tmp_path: Path) -> None:
    chart = plot(history.run("long"), "loss", band=True)
    (curve,) = chart.curves
    assert curve.ribbon is not None
    assert curve.main.y == curve.ribbon.mean
    assert max(curve.ribbon.high) > 4
    assert all(low <= mean <= high for low, mean, high in zip(curve.ribbon.low, curve.ribbon.mean, curve.ribbon.high))
    assert any(" parts of 50,000 points" in note for note in chart.notes)
    assert chart.svg().count('opacity="0.2"/>') == 1
    assert chart.as_json()["curves"][0]["band"]["high"] == curve.ribbon.high
    smooth = plot(history.run("long"), "loss", band=True, smooth=0.9).curves[0]
    assert smooth.ribbon is not None
    assert smooth.ribbon.high == curve.ribbon.high  # what was logged, whatever is drawn over it
    assert len(smooth.pieces) == 1
    assert plot(history.run("slow"), "loss", band=True).curves[0].ribbon is None  # each point is there


def test_the_band_and_the_clip_of_joined_attempts_are_over_all_their_points(store_path: Path) -> None:
    program = """
import histhooks
before = None
for number in range(2):
    with histhooks.start_run("long") as run:
        if before:
            run.link("resumes", before)
        for step in range(number * 3000, number * 3000 + 3000):
            run.log({"loss": float(step) if step != 4000 else 1e6}, step=step)
    before = run.id
"""
    assert run_program(program, store_path)[0] == 0
    with History(store_path) as history:
        chart = plot(history.run("last"), "loss", band=True, clip=True, points=400)
    ribbon = chart.curves[0].ribbon
    assert ribbon is not None
    assert (ribbon.x[0], ribbon.x[-1], max(ribbon.high)) == (0.0, 5999.0, 1e6)
    assert chart.curves[0].clip == pytest.approx((59.99, 5939.01), abs=2)


def test_a_y_axis_that_is_asked_for_is_exact(history: History) -> None:
    chart = plot(history.run("slow"), "loss", bottom=0.25, top=0.75, clip=True)
    assert chart.y_scale.padded(0.04) == chart.y_scale
    assert (chart.y_scale.low, chart.y_scale.high) == (0.25, 0.75)
    for bottom, top in ((0.75, 0.25), (0.5, None), (math.nan, 1.0)):
        with pytest.raises(QueryError, match="a y-axis goes from"):
            plot(history.run("slow"), "loss", bottom=bottom, top=top)
    with pytest.raises(QueryError, match="begins above 0"):
        plot(history.run("slow"), "loss", bottom=-1.0, top=1.0, log=True)


def test_attempts_that_count_anew_are_one_axis_when_aligned(history: History) -> None:
    (curve,) = plot(history.run("anew"), "loss", align=True).curves
    assert curve.main.x == [float(step) for step in range(200)]  # 80 of 120 that count, 70, and 50 counted anew
    assert curve.main.y[-50:] == [1.0] * 50
    alone = plot(history.run("anew"), "loss", align=True, attempts=False).curves[0]
    assert alone.main.x == [float(step) for step in range(150, 200)]
    assert plot(history.run("again"), "loss", align=True, attempts=False).curves[0].main.x[0] == 80.0  # counts on
    window = plot(history.run("anew"), "loss", align=True, start=140, stop=160).curves[0]
    assert window.main.x == [float(step) for step in range(140, 161)]
    times = plot(history.run("anew"), "loss", align=True, x="relative").curves[0].main.x
    assert times == sorted(times)


def test_a_run_goes_on_behind_the_file_that_it_loaded(store_path: Path) -> None:
    program = """
import histhooks
from pathlib import Path
with histhooks.start_run("first") as first:
    for step in range(100):
        first.log({"loss": 1.0}, step=step, epoch=step // 10)
    Path("model.pt").write_bytes(b"weights of step 49")
    first.log_artifact("model.pt", role="checkpoint", step=49)
with histhooks.start_run("second") as second:
    second.link("resumes", first.id, path="model.pt")
    for step in range(100):
        second.log({"loss": 1.0}, step=step, epoch=step // 10)
"""
    code, _, error = run_program(program, store_path)
    assert code == 0, error
    with History(store_path) as history:
        second = history.run("second")
        assert plot(second, "loss", align=True, attempts=False).curves[0].main.x[0] == 50.0
        assert plot(second, "loss", align=True, attempts=False, x="epoch").curves[0].main.x[0] == 5.0
        tail, main = plot(second, "loss", align=True).curves[0].pieces
    assert (tail.is_faint, tail.x[-1], main.x[-1]) == (True, 99.0, 149.0)


def test_a_metric_that_a_later_attempt_lacks_is_drawn(store_path: Path) -> None:
    program = """
import histhooks
with histhooks.start_run("first") as first:
    for step in range(5):
        first.log({"loss": 1.0, "val_loss": 2.0}, step=step)
with histhooks.start_run("second") as second:
    second.link("resumes", first.id)
    for step in range(5, 8):
        second.log({"loss": 1.0}, step=step)
"""
    assert run_program(program, store_path)[0] == 0
    with History(store_path) as history:
        (curve,) = plot(history.run("first"), "val_loss").curves
        assert (curve.main.x, curve.run_id) == ([0.0, 1.0, 2.0, 3.0, 4.0], history.run("first").id)
        assert plot(history.run("second"), "val_loss").curves[0].main.x == curve.main.x  # of the same training
        with pytest.raises(QueryError, match="no metric 'nothing'"):
            plot(history.run("second"), "nothing")
