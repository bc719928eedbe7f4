"""Any object as a param: one that cannot be read costs itself and nothing else, and none costs much."""

from __future__ import annotations

import collections
import enum
import functools
import itertools
import json
import math
import operator
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histhooks._base.values import as_whole, dumps, flatten, key_text, loads, text_of, what_was_cut, what_was_unread
from histhooks.testing import query, run_program


class Quit(BaseException):
    """What is no Exception."""


ERRORS = (KeyError, IndexError, AssertionError, RecursionError, AttributeError, Quit, SystemExit, KeyboardInterrupt)


def odd_class(error: type[BaseException], *bases: type) -> type:
    """A class whose objects raise whatever they are asked."""

    def refuse(*_: object, **__: object) -> Any:
        raise error("odd")

    names = (
        *(
            "__repr__",
            "__str__",
            "__eq__",
            "__hash__",
            "__bool__",
            "__len__",
            "__iter__",
            "__getattr__",
            "__contains__",
        ),
        *("__format__", "__float__", "__int__", "__index__", "__getitem__", "__lt__", "keys", "items", "__dir__"),
    )
    asked = {name: property(refuse) for name in ("__class__", "shape", "dtype", "device", "name", "__fspath__", "item")}
    made: type = type("Odd", bases, {**dict.fromkeys(names, refuse), **asked})
    return made


def an_odd(error: type[BaseException], *bases: type) -> Any:
    kind = odd_class(error, *bases)
    return kind.__new__(kind)


def is_bounded(text: str) -> bool:
    json.loads(text)
    return len(text) < 3_000_000


BASES: tuple[tuple[type, ...], ...] = (
    (),
    (str,),
    (int,),
    (float,),
    (list,),
    (tuple,),
    (dict,),
    (set,),
    (bytes,),
    (Exception,),
)


def raised_by_odd(error: type[BaseException], bases: tuple[type, ...]) -> list[str]:
    """What went wrong with an odd object; in words, since pytest shows objects where a test fails."""
    odd, wrong = an_odd(error, *bases), []
    for value in (odd, [odd, 1], (odd,), {"a": odd}, functools.partial(print, odd, key=odd)):
        try:
            json.loads(dumps(value, "param"))
            found = flatten({"a": 1, "odd": value, "z": 2})
            if (found["a"], found["z"], key_text(odd), len(text_of(odd, "tag")) < 1000) != (1, 2, key_text(odd), True):
                wrong.append(f"{type(value)}: the others are gone")
        except BaseException as raised:
            wrong.append(
                f"{type(value)} {bases}: {type(raised).__name__}, {''.join(traceback.format_tb(raised.__traceback__))}"
            )
    return wrong


@pytest.mark.parametrize("error", ERRORS)
def test_what_raises_whatever_it_is_asked_is_known_by_its_class(error: type[BaseException]) -> None:
    assert "".join(itertools.chain.from_iterable(raised_by_odd(error, bases) for bases in BASES)) == ""


class Counted(Mapping[str, int]):
    """A mapping that does not give all of its values."""

    def __init__(self, n: float) -> None:
        self.n = n

    def __len__(self) -> int:
        return int(self.n)

    def __iter__(self) -> Iterator[str]:
        return (f"key {n}" for n in itertools.takewhile(lambda n: n < self.n, itertools.count()))

    def __getitem__(self, key: str) -> int:
        if key == "key 1":
            raise LookupError("not that one")
        return 1


def test_what_a_mapping_does_not_give_is_named_and_the_rest_is_there() -> None:
    assert loads(dumps(Counted(3))) == {"key 0": 1, "key 1": {"$unread": "LookupError"}, "key 2": 1}
    assert what_was_unread(dumps(Counted(3))) == "LookupError"
    assert what_was_unread(dumps(Counted(1))) is None
    assert {key: dumps(value) for key, value in flatten({"of": Counted(2)}).items()} == {
        "of.key 0": "1",
        "of.key 1": '{"$unread":"LookupError"}',
    }
    assert is_bounded(dumps(Counted(math.inf)))


def nested(depth: int) -> dict[str, Any]:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(depth):
        inner["k"] = {}
        inner = inner["k"]
    return deep


def test_what_is_deep_long_or_holds_itself_is_bounded_and_says_so() -> None:
    circle: dict[str, Any] = {"a": 1}
    circle["me"] = circle
    ring: list[Any] = [1]
    ring.append(ring)
    assert loads(dumps(ring)) == [1, {"$cut": {"circle": 1}}]
    assert what_was_cut(dumps(ring)) == "it holds itself"
    flat = flatten({"before": 1, "circle": circle, "deep": nested(2000), "many": dict.fromkeys(range(50_000)), "z": 2})
    assert (flat["before"], flat["circle.a"], flat["z"]) == (1, 1, 2)
    cuts = {key: what_was_cut(dumps(value)) for key, value in flat.items()}
    assert cuts.pop("circle.me") == "it holds itself"
    assert cuts.pop("many") == "1000 of 50000 items"
    assert [why for key, why in cuts.items() if key.startswith("deep.")] == ["what lies 13 deep"]
    assert len(flat) < 10
    shared = [1, 2]
    assert loads(dumps([shared, shared])) == [shared, shared]
    wide: Any = 1
    for _ in range(10):
        wide = [wide] * 10
    assert is_bounded(dumps(wide))
    assert is_bounded(dumps(["x" * 100_000] * 1000))


def test_generators_and_endless_iterators_are_not_iterated() -> None:
    lazy = (n for n in range(3))
    endless = itertools.count()
    for value in (lazy, endless, iter([1]), map(str, [1]), open, sys.stdout, zip([1], [2], strict=True)):
        assert dumps(value).startswith(('{"$object":', '{"$callable":'))
    assert (list(lazy), next(endless)) == ([0, 1, 2], 0)


class Color(enum.Enum):
    RED = ("a", 1)


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    ONE = "one"


@dataclass
class Config:
    lr: float = 0.1


def add(a: int, b: int) -> int:
    return a + b


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Color.RED, "Color.RED"),
        (Level.HIGH, 3),
        (Word.ONE, "one"),
        (functools.partial(add, 1, b=2), {"$callable": f"{__name__}.add", "args": [1], "keywords": {"b": 2}}),
        (functools.partial(add, b=2), {"$callable": f"{__name__}.add", "keywords": {"b": 2}}),
        (operator.itemgetter(1), {"$object": "operator.itemgetter"}),
        (Config(), {"$object": f"{__name__}.Config"}),
        (math, {"$object": "builtins.module"}),
        (PurePosixPath("/a/b"), "/a/b"),
        ({1: "a", "1": "b"}, {"1": "a", "1 (2)": "b"}),
        ({math.nan: 1, None: 2, (1.5, "x"): 3}, {"nan": 1, "None": 2, "(1.5, 'x')": 3}),
        (collections.deque([1, 2]), [1, 2]),
        (range(3), [0, 1, 2]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({1, "a", None, (2,)}, [1, None, [2], "a"]),
        ("\ud800", "\\ud800"),
        (b"\xff" * 5, {"$bytes": 5}),
        (functools.lru_cache(add), {"$callable": f"{__name__}.add"}),
        (sys.maxsize + 1, sys.maxsize + 1),
    ],
)
def test_a_value_is_read_by_its_class(value: Any, told: Any) -> None:
    found = json.loads(dumps(value))
    assert (sorted(found, key=str) if isinstance(value, (set, frozenset)) else found) == told


def test_arrays_and_tensors_are_looked_at_and_not_waited_for() -> None:
    np, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    assert loads(dumps(np.float32(0.5))) == 0.5
    assert loads(dumps(np.array(3))) == 3
    assert loads(dumps(np.bool_(True))) is True
    assert loads(dumps(np.array([object()]))) == {"$array": {"shape": [1], "dtype": "object"}}
    assert is_bounded(dumps(np.longdouble(1) / 3))
    assert is_bounded(dumps(np.datetime64("NaT", "s")))
    assert loads(dumps(torch.zeros(2, device="meta"))) == {"$array": {"shape": [2], "dtype": "torch.float32"}}
    assert loads(dumps(torch.tensor(1.0))) == {"$array": {"shape": [], "dtype": "torch.float32"}}
    assert loads(dumps(torch.float16)) == "torch.float16"
    assert loads(dumps(torch.device("cpu"))) == "cpu"
    assert loads(dumps(np.exp)) == {"$callable": "numpy.exp"}
    module = torch.nn.Linear(2, 2)
    assert loads(dumps(module)) == {"$object": "torch.nn.modules.linear.Linear"}


@pytest.mark.parametrize(("value", "number"), [(3, 3), (3.0, 3), (True, 1), (2**70, 2**70)])
def test_a_whole_number_is_a_step(value: Any, number: int) -> None:
    assert as_whole(value) == number


@pytest.mark.parametrize("value", ["3", 1.5, None, b"3", math.nan, math.inf, [3], 3j, {3}, object()])
def test_what_is_no_whole_number_is_no_step(value: Any) -> None:
    assert as_whole(value) is None


def test_steps_of_numpy_and_torch() -> None:
    np, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    assert [as_whole(value) for value in (np.int32(4), np.float32(4.0), np.array(4), torch.tensor(4))] == [4] * 4
    assert [as_whole(value) for value in (np.float64(4.5), np.array([1, 2]), torch.tensor(4.5))] == [None] * 3
    assert as_whole(torch.zeros((), device="meta", dtype=torch.int64)) is None


LEAVES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers(), st.dates()),
    *(st.sampled_from([Color.RED, Level.HIGH, add, print, Config(), Path("a"), object(), ..., NotImplemented, int]),),
)
HASHABLE = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.tuples(st.text(), st.floats()))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner), st.dictionaries(HASHABLE, inner), st.tuples(inner, inner), st.sets(HASHABLE),
        inner.map(lambda value: functools.partial(print, value)), st.lists(inner).map(collections.deque),
    ),
    max_leaves=20,
)  # fmt: skip


@given(VALUES, st.sampled_from(["", "lr", "api_key", "token"]))
@settings(max_examples=settings().max_examples)
def test_no_value_raises_and_each_becomes_json(value: Any, key: str) -> None:
    assert is_bounded(dumps(value, key))
    assert dumps(value, key) == dumps(value, key)
    for name, inner in flatten({"a": value, key: value}).items():
        assert is_bounded(dumps(inner, name))
        assert what_was_cut(dumps(inner)) is None or name


PROGRAM = """
import histhooks, sys
class Odd:
    __slots__ = ()
    def refuse(self, *args): raise KeyError("no")
    __repr__ = __str__ = __eq__ = __hash__ = __bool__ = __getattr__ = __len__ = __iter__ = refuse
    __class__ = property(refuse)
class Mean(dict):
    def items(self): raise RuntimeError("no items")
    keys = __iter__ = items
from collections import UserDict
class Lazy(UserDict):
    def __getitem__(self, key):
        if key == "lost": raise ConnectionError("gone")
        return 1
circle = {}; circle["me"] = circle
deep = {}; inner = deep
for _ in range(2000): inner["k"] = {}; inner = inner["k"]
odd = {"first": 1, "odd": Odd(), "set": [Odd()], "mean": Mean(a=1), "lazy": Lazy(lost=1, there=1), "circle": circle,
       "deep": deep, "many": dict.fromkeys(range(50_000), 1), "last": 2}
with histhooks.start_run("odd", params=odd, tags={"odd": Odd(), "k": "v"}) as run:
    run.log_params(odd)
    run.log_results(odd)
    run.tag(odd)
    run.log({"a": 1.0, "odd": Odd(), "z": 2.0})
    run.log(3)
    run.log("loss")
    run.log(None)
    run.log({"step": 1.0}, step="3")
    run.log({"step": 1.0}, step=1.5, epoch="1")
    run.log_dataset(None, Odd())
    run.log_dataset("train", Odd())
    run.event("note", Odd(), Odd())
    run.note(Odd())
    run.link("uses", Odd())
    run.log_artifact(Odd())
for value in (Odd(), [1], 3):
    histhooks.start_run(value, params=value, tags=value).end()
print("through")
"""


def test_no_call_of_a_run_raises_for_an_odd_value_and_the_rest_is_kept(store_path: Path) -> None:
    code, out, errors = run_program(PROGRAM, store_path, HISTHOOKS_STRICT="", HISTHOOKS_QUIET="")
    assert (code, out) == (0, "through\n"), errors
    run = "(SELECT id FROM runs WHERE name = 'odd')"
    params = dict(query(store_path, f"SELECT key, value FROM latest_params WHERE run_id = {run}"))
    assert (params["first"], params["last"], params["mean.a"], params["lazy.there"]) == ("1", "2", "1", "1")
    assert params["odd"] == '{"$object":"__main__.Odd"}'
    results = dict(query(store_path, f"SELECT key, value FROM latest_results WHERE run_id = {run}"))
    assert (results["first"], results["last"]) == ("1", "2")
    notes = [note for (note,) in query(store_path, "SELECT note FROM captures WHERE collector = 'params'")]
    assert "lazy.lost: ConnectionError was raised when it was read" in notes
    cut = next(str(note) for note in notes if str(note).startswith("kept of"))
    assert "circle.me (it holds itself)" in cut
    assert "many (1000 of 50000 items)" in cut
    points = query(store_path, "SELECT name, step, epoch FROM metrics WHERE split IS NOT 'system' ORDER BY name, n")
    assert points == [("a", 0, None), ("step", 0, None), ("step", 1, None), ("z", 0, None)]
    told = "\n".join(str(title) for (title,) in query(store_path, "SELECT title FROM events WHERE kind = 'refused'"))
    assert "metrics are names with numbers, such as {'loss': 0.3}, not int" in told
    assert "step is a whole number from 0 on, below 2**63, not '3'" in told
    assert "not 1.5" in told
