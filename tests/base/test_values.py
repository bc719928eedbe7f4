"""Values of a program survive as JSON, whatever they are."""

import datetime
import enum
import functools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histhooks._base.names import clean_text
from histhooks._base.values import as_float, dumps, flatten, loads

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50)
plain = st.recursive(leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5))


def as_read(value: Any) -> Any:
    """What JSON in UTF-8 makes of a value: text without lone surrogates, lists."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [as_read(v) for v in value]
    if isinstance(value, dict):
        return {clean_text(k): as_read(v) for k, v in value.items()}
    return value


@given(plain)
def test_what_json_can_say_comes_back_as_it_was(value: Any) -> None:
    text = dumps(value)
    text.encode("ascii")
    json.loads(text, parse_constant=pytest.fail)  # no NaN and no Infinity, which are no JSON
    assert repr(loads(text)) == repr(reordered(as_read(value)))


def reordered(value: Any) -> Any:
    """Mappings with their keys in order, as the canonical form has them."""
    if isinstance(value, list):
        return [reordered(v) for v in value]
    if isinstance(value, dict):
        return {k: reordered(value[k]) for k in sorted(value)}
    return value


@given(plain)
def test_equal_values_have_one_text(value: Any) -> None:
    if isinstance(value, dict):
        assert dumps(dict(reversed(value.items()))) == dumps(value)
    assert dumps(value) == dumps(value)


def test_a_number_beyond_63_bits_and_what_is_not_finite_come_back() -> None:
    assert loads(dumps(2**200)) == 2**200
    assert loads(dumps([10**4000])) == [10**4000]
    for huge in (10**5000, -(10**5000)):  # more digits than Python converts
        assert int(loads(dumps(huge)), 16) == int(loads(dumps([huge]))[0], 16) == huge
    assert loads(dumps(math.inf)) == math.inf
    assert math.isnan(loads(dumps(math.nan)))
    assert loads(dumps({"$float": "mine"})) == {"$float": "mine"}


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.zeros((2, 3)), {"$array": {"shape": [2, 3], "dtype": "float64"}}),
        (np.dtype("int8"), "int8"),
        ({3, 1, 2}, [1, 2, 3]),
        ((1, "a"), [1, "a"]),
        (Path("a") / "b", "a/b"),
        (b"\x00\x01", {"$bytes": 2}),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (json.dumps, {"$callable": "json.dumps"}),
        (functools.partial(json.dumps, indent=2), {"$callable": "json.dumps", "keywords": {"indent": 2}}),
        (object(), {"$object": "builtins.object"}),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_json_has_no_word_for(value: Any, expected: Any) -> None:
    assert json.loads(dumps(value)) == expected


def test_a_cut_says_how_much_was_cut() -> None:
    assert json.loads(dumps("x" * 30_000))["$cut"]["characters"] == 30_000
    assert json.loads(dumps(list(range(5000))))["$cut"]["count"] == 5000
    loop: list[Any] = []
    loop.append(loop)
    assert "$cut" in dumps(loop)


@pytest.mark.parametrize("value", [1, True, 2.5, np.float32(1.5), np.array(3), np.array([4.0])])
def test_a_metric_is_a_number(value: Any) -> None:
    assert as_float(value) == float(np.asarray(value).reshape(-1)[0])


@pytest.mark.parametrize("value", ["0.5", None, b"1", [1], {}, np.array([1.0, 2.0])])
def test_anything_else_is_none(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        as_float(value)


def test_mappings_flatten_with_dots() -> None:
    assert flatten({"a": {"b": {"c": 1}}, "d": [1, {"e": 2}], "f": {}}) == {"a.b.c": 1, "d": [1, {"e": 2}], "f": {}}
