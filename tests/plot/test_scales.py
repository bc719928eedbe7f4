"""Scales span what they must, and their ticks are round values inside."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histhooks.plot._scales import Scale, duration, scale_of, short

finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(st.lists(finite, min_size=1, max_size=20), st.booleans(), st.integers(2, 10), st.sampled_from([0.0, 0.04]))
def test_ticks_lie_inside_and_shares_between_0_and_1(
    values: list[float], is_log: bool, count: int, margin: float
) -> None:
    scale = scale_of(values, is_log=is_log, margin=margin)
    assert scale.low < scale.high
    for value in values:
        if value > 0 or not is_log:
            assert -1e-9 <= scale.share(value) <= 1 + 1e-9
    ticks = scale.ticks(count)
    assert len(ticks) <= count * 3 + 2
    places = [scale.share(value) for value, _ in ticks]
    assert places == sorted(places)
    assert all(-1e-6 <= place <= 1 + 1e-6 for place in places)


@pytest.mark.parametrize(
    ("scale", "count", "labels"),
    [
        (Scale(0, 1), 4, ["0.0", "0.5", "1.0"]),
        (Scale(-0.02, 0.11), 4, ["0.00", "0.05", "0.10"]),
        (Scale(0, 1_000_000), 4, ["0", "500,000", "1,000,000"]),
        (Scale(0.001, 10, True), 5, ["0.001", "0.01", "0.1", "1", "10"]),
        (Scale(0.5, 20, True), 4, ["0.5", "1", "2", "5", "10", "20"]),
        (Scale(0, 2, kind="whole"), 8, ["0", "1", "2"]),
        (Scale(-0.1, 3.1, kind="whole"), 8, ["0", "1", "2", "3"]),
        (Scale(0, 100, kind="whole"), 4, ["0", "50", "100"]),
        (Scale(3, 4.5, True, kind="whole"), 8, ["3", "4"]),
        (Scale(0, 0.1, kind="duration"), 2, ["0.00 s", "0.05 s", "0.10 s"]),
        (Scale(0, 100, kind="duration"), 4, ["0 s", "30 s", "1:00", "1:30"]),
        (Scale(0, 7000, kind="duration"), 4, ["0 min", "30 min", "1 h", "1 h 30"]),
        (Scale(0, 100_000, kind="duration"), 3, ["0 h", "12 h", "24 h"]),
    ],
)
def test_ticks_are_round_and_labelled_alike(scale: Scale, count: int, labels: list[str]) -> None:
    assert [label for _, label in scale.ticks(count)] == labels


def test_ticks_of_a_time_are_round_where_the_person_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        noon = 1_764_000_000  # 2025-11-24 16:00:00 UTC, half past nine in the evening there
        assert [label for _, label in Scale(noon, noon + 7200, kind="time").ticks(4)] == [
            "21:30", "22:00", "22:30", "23:00", "23:30",
        ]  # fmt: skip
    finally:
        monkeypatch.undo()
        time.tzset()


def test_numbers_are_short() -> None:
    assert [short(v) for v in (0.123456, 12345.0, 1.5e-7, 2.5e12, -3.0, math.nan, math.inf)] == [
        "0.1235", "12,345", "1.5e-7", "2.5e12", "-3", "nan", "inf",
    ]  # fmt: skip
    assert [duration(v, 0) for v in (0.25, 59.0, 61.0, 3700.0)] == ["0.25 s", "59 s", "1:01", "1:01:40"]


def test_labels_of_great_numbers_that_lie_close_differ() -> None:
    labels = [label for _, label in scale_of([1.0424e9, 1.0427e9]).ticks(4)]
    assert len({*labels}) == len(labels) > 2
    assert all(float(label) == pytest.approx(value) for value, label in scale_of([1.0424e9, 1.0427e9]).ticks(4))
