"""Curves as small as a word: valid SVG, extremes kept, gaps where a value is not finite."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from histhooks.cli._common import sparkline
from histhooks.plot import spark_svg

SVG = "{http://www.w3.org/2000/svg}"


def places(svg: str) -> list[tuple[float, float]]:
    root = ElementTree.fromstring(svg)
    found = []
    for line in root.iter(f"{SVG}polyline"):
        found += [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    found += [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in root.iter(f"{SVG}circle")]
    return found  # type: ignore[return-value]


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(), max_size=500))
def test_any_values_make_a_picture_inside_its_frame(values: list[float | None]) -> None:
    found = places(spark_svg(values, 100, 20))
    assert all(0 <= x <= 100 and 0 <= y <= 20 for x, y in found)
    finite = [v for v in values if v is not None and math.isfinite(v)]
    assert bool(found) == bool(finite)
    if finite and max(finite) / 2 - min(finite) / 2 > 1e-9 * max(map(abs, finite)):
        assert {min(y for _, y in found), max(y for _, y in found)} == {1.5, 18.5}


def test_what_differs_in_its_last_bits_only_is_a_level_line() -> None:
    assert {y for _, y in places(spark_svg([0.1, 0.1 + 1e-17, 0.1 + 2e-17, 0.30000000000000004 - 0.2], 100, 20))} == {
        10.0
    }
    assert set(sparkline([0.1] * 1000)) == set(sparkline([0.1] * 71, 10)) == {"▄"}
    assert sparkline([0.1, 0.1 + 1e-6, 0.1 + 2e-6]) == "▁▄█"
    assert sparkline([-1.7e308, 1.7e308]) == "▁█"


def test_a_single_peak_among_many_points_stays() -> None:
    values = [0.0] * 100_000
    values[77_777] = 1.0
    svg = spark_svg(values, 120, 24)
    assert len(svg) < 5000
    ((x, y),) = [place for place in places(svg) if place[1] < 2]
    assert (x, y) == (92.5, 1.5)


def test_a_gap_stands_where_a_value_is_not_finite() -> None:
    assert spark_svg([1.0, 2.0, math.nan, 2.0, 1.0]).count("<polyline") == 2
    assert spark_svg([1.0, None, 2.0]).count("<circle") == 2
    assert "<polyline" not in spark_svg([])
    assert "<title>a &lt; b</title>" in spark_svg([1.0, 2.0], title="a < b")
    assert re.search(r'width="80" height="16"', spark_svg([1.0], 80, 16))
