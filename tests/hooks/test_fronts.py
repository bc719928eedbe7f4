"""Code in the place of a function's own: nothing that a program can read of the function tells of it."""

import asyncio
import copy
import functools
import gc
import inspect
import os
import subprocess
import sys
import traceback
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histhooks._hooks.fronts import Unfit, _watched, seam_of
from histhooks._hooks.patching import Patches, watched_copy

seen: list[Any] = []


def watch(original: Any, args: Any, kwargs: Any) -> Iterator[None]:
    seen.append((original.__name__, args[1:], kwargs))
    try:
        result = yield
        seen.append(result)
    except BaseException as error:
        seen.append(error)
        raise


def around(original: Any, args: Any, kwargs: Any) -> Any:
    seen.append((original.__name__, args[1:], kwargs))
    result = original(*args, **kwargs)
    seen.append(result)
    return result


class Base:
    def hello(self) -> str:
        return "base"


class Model(Base):
    def fit(self, X: Any, /, y: Any = None, *rest: Any, weight: float = 3.0, **more: Any) -> Any:
        """Fit."""
        kept = [self.hello, super().hello()]
        return X, y, rest, weight, more, next(kept for _ in range(2))[1], len(inspect.stack())

    def bare(self) -> Any:
        return self

    def keywords(self, *, seam: int = 1, front: int, original: int = 2) -> tuple[int, int, int]:
        return seam, front, original

    def plain(self, args: Any, kwargs: Any = (), self_: Any = None) -> tuple[Any, Any, Any]:
        return args, kwargs, self_

    def fails(self, X: Any) -> Any:
        try:
            raise KeyError(X)
        except KeyError as error:
            raise ValueError(X) from error

    async def later(self, X: Any) -> Any:
        await asyncio.sleep(0)
        return X


NAMES = ("fit", "bare", "keywords", "plain", "fails", "later")


def told(function: Any) -> dict[str, Any]:
    """All that inspect says of a function."""
    code = function.__code__
    names = (
        "co_varnames co_argcount co_posonlyargcount co_kwonlyargcount co_nlocals co_flags co_name co_qualname "
        "co_filename co_firstlineno co_freevars"
    )
    return {
        **{name: getattr(code, name) for name in names.split()},
        "names": set(code.co_names) - {"enter", "done", "failed", "call", "front"},
        "signature": inspect.signature(function),
        "spec": inspect.getfullargspec(function),
        "source": inspect.getsource(function),
        "dict": dict(vars(function)),
        **{name: getattr(function, name) for name in ("__defaults__", "__kwdefaults__", "__doc__", "__annotations__")},
        "kind": [getattr(inspect, f"is{kind}")(function) for kind in ("function", "coroutinefunction", "builtin")],
        "closure": function.__closure__,
    }


@pytest.fixture(params=[watch, around])
def recorded(request: pytest.FixtureRequest) -> Iterator[Patches]:
    patches = Patches()
    for name in NAMES:
        patches.wrap(Model, name, request.param)
    seen.clear()
    yield patches
    patches.undo()
    assert not _watched


def test_all_that_inspect_says_is_as_before_and_afterwards_the_code_is_the_same_object() -> None:
    before = {name: told(vars(Model)[name]) for name in NAMES}
    codes = {name: vars(Model)[name].__code__ for name in NAMES}
    patches = Patches()
    for name in NAMES:
        patches.wrap(Model, name, watch)
        assert told(vars(Model)[name]) == before[name]
        assert inspect.ismethod(getattr(Model(), name))
    patches.undo()
    assert {name: vars(Model)[name].__code__ for name in NAMES} == codes
    assert all(vars(Model)[name].__code__ is codes[name] for name in NAMES)


def test_a_call_binds_and_gives_as_before(recorded: Patches) -> None:
    made = Model()
    assert made.fit(1, 2, 3, weight=4, k=5)[:6] == (1, 2, (3,), 4, {"k": 5}, "base")
    assert made.fit(1)[:6] == (1, None, (), 3.0, {}, "base")
    assert made.bare() is made
    assert made.keywords(front=7) == (1, 7, 2)
    assert made.plain([], self_={}) == ([], (), {})
    assert [entry for entry in seen if entry and isinstance(entry, tuple) and entry[0] in NAMES] == [
        ("fit", (1, 2, 3), {"weight": 4, "k": 5}),
        ("fit", (1,), {}),
        ("bare", (), {}),
        ("keywords", (), {"front": 7}),
        ("plain", ([],), {"self_": {}}),
    ]
    with pytest.raises(TypeError, match=r"Model.bare\(\) takes 1 positional argument but 2 were given"):
        made.bare(1)  # type: ignore[call-arg]
    assert asyncio.run(made.later(3)) == 3


def test_an_exception_is_the_same_with_the_same_traceback() -> None:
    recorded = Patches()
    recorded.wrap(Model, "fails", watch)
    seen.clear()
    with pytest.raises(ValueError, match="odd") as caught:
        Model().fails("odd")
    assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)[1:]] == ["fails"]
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__context__ is caught.value.__cause__
    assert seen[0] == ("fails", ("odd",), {})
    recorded.undo()


def test_a_watched_call_has_one_frame_more() -> None:
    plain = Model().fit(1)[6]
    patches = Patches()
    patches.wrap(Model, "fit", watch)
    patches.wrap(Model, "fit", watch)  # two integrations
    assert Model().fit(1)[6] == plain + 1
    patches.undo()


def test_defaults_that_a_program_sets_later_count(recorded: Patches) -> None:
    function: Any = Model.plain
    before = function.__defaults__
    try:
        function.__defaults__ = ("other", 5)
        function.mark = "mine"
        assert Model().plain(1) == (1, "other", 5)
        assert Model().plain(1, "again") == (1, "again", 5)
    finally:
        function.__defaults__ = before
    recorded.undo()
    assert vars(function).pop("mark") == "mine"


def test_code_that_is_given_to_an_old_function_runs_there_as_autoreload_does_it(recorded: Patches) -> None:
    def bare(self: Any) -> Any:
        return "new"

    other = types.FunctionType(bare.__code__, globals())
    holder = type("Holder", (), {"bare": other})
    patches = Patches()
    patches.wrap(holder, "bare", watch)
    old: Any = Model.bare
    before = old.__code__
    old.__code__ = other.__code__
    assert Model().bare() == "new"
    patches.undo()
    assert Model().bare() == "new"
    old.__code__ = before
    recorded.undo()
    assert seam_of(old.__code__) is None


def test_who_does_not_run_when_called_is_refused() -> None:
    class Lazy:
        def fit(self) -> Iterator[int]:
            yield 1

    with pytest.raises(Unfit, match="generator"):
        Patches().wrap(Lazy, "fit", watch)


def test_a_failure_of_a_watch_is_no_failure_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTHOOKS_STRICT", "0")

    def early(original: Any, args: Any, kwargs: Any) -> Iterator[None]:
        raise OSError("ours")
        yield

    def late(original: Any, args: Any, kwargs: Any) -> Iterator[None]:
        try:
            yield
        finally:
            raise OSError("ours")

    for watcher in (early, late):
        patches = Patches()
        patches.wrap(Model, "bare", watcher)
        patches.wrap(Model, "fails", watcher)
        made = Model()
        assert made.bare() is made
        with pytest.raises(ValueError, match="odd") as caught:
            made.fails("odd")
        assert isinstance(caught.value.__context__, KeyError)
        patches.undo()


def test_classes_are_freed() -> None:
    def make() -> weakref.ref[type]:
        class Dynamic(Base):
            def hello(self) -> str:
                return super().hello()

            again = hello

        patches.wrap(Dynamic, "hello", watch)
        patches.wrap(Dynamic, "again", watch, is_apart=True)
        assert (Dynamic().hello(), Dynamic().again()) == ("base", "base")
        return weakref.ref(Dynamic)

    patches = Patches()
    references = [make() for _ in range(3)]
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]
    patches.undo()


def test_an_alias_is_another_function_and_comes_back() -> None:
    class Streaming:
        def partial_fit(self) -> str:
            return "done"

        fit = partial_fit

    before = dict(vars(Streaming))
    patches = Patches()
    by_name: dict[str, Callable[..., Any]] = {name: functools.partial(named, name) for name in ("fit", "partial_fit")}
    patches.wrap(Streaming, "fit", by_name["fit"])
    patches.wrap(Streaming, "partial_fit", by_name["partial_fit"], is_apart=True)
    seen.clear()
    assert (Streaming().fit(), Streaming().partial_fit()) == ("done", "done")
    assert seen == ["fit", "partial_fit"]
    patches.undo()
    assert vars(Streaming)["fit"] is before["fit"] is vars(Streaming)["partial_fit"]


def named(name: str, original: Any, args: Any, kwargs: Any) -> Iterator[None]:
    seen.append(name)
    yield


def test_a_copy_is_watched_alone() -> None:
    watched: Any = watched_copy(Model.bare, watch)  # type: ignore[arg-type]
    seen.clear()
    made = Model()
    assert watched(made) is made is made.bare()
    assert len(seen) == 2
    assert told(watched) == told(Model.bare)
    assert copy.deepcopy(watched) is watched


BY_VALUE = """
import sys
def watch(original, args, kwargs):
    print("watched")
    yield
class Base:
    def fit(self, X): return "base"
class Model(Base):
    def fit(self, X, y=None): return super().fit(X), X, y, helper()
def helper(): return "helped"
def uses(): return Model().fit(7)
if len(sys.argv) > 2:
    sys.path.insert(0, sys.argv[2])
    from histhooks._hooks.patching import Patches
    Patches().wrap(Model, "fit", watch)
import {0}
with open(sys.argv[1], "wb") as file:
    {0}.dump((Model, uses), file, **{1})
"""
LOAD = """
import pickle, sys, {0}
kind, uses = pickle.load(open(sys.argv[1], "rb"))
print(kind().fit(1), kind().fit(1, y=2), uses(), "histhooks" in sys.modules)
"""


@pytest.mark.parametrize(("pickler", "how"), [("cloudpickle", "{}"), ("dill", "{'recurse': True}")])
def test_a_pickle_by_value_loads_where_histhooks_is_not(pickler: str, how: str, tmp_path: Path) -> None:
    pytest.importorskip(pickler)
    import histhooks

    source = str(Path(histhooks.__file__).parents[1])
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HISTHOOKS")}
    for name, text in (("save.py", BY_VALUE.format(pickler, how)), ("load.py", LOAD.format(pickler))):
        (tmp_path / name).write_text(text)
    for arguments in (["plain.pkl"], ["ours.pkl", source]):
        command = [sys.executable, "save.py", *arguments]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    told = [
        subprocess.run(
            [sys.executable, "load.py", name], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        ).stdout
        for name in ("plain.pkl", "ours.pkl")
    ]
    assert (
        told[0] == told[1] == "('base', 1, None, 'helped') ('base', 1, 2, 'helped') ('base', 7, None, 'helped') False\n"
    )


# --- any parameters ---------------------------------------------------------------------------------------------------

_name = st.sampled_from(
    ["self", "X", "y", "args", "kwargs", "seam", "front", "original", "error", "told", "größe", "_"]
)


@st.composite
def functions(draw: st.DrawFn) -> str:
    names = draw(st.lists(_name, unique=True, max_size=7))
    kinds = sorted(draw(st.integers(0, 4)) for _ in names)
    for single in (2, 4):  # one *args, one **kwargs
        first = True
        for number, kind in enumerate(kinds):
            if kind == single and not first:
                kinds[number] = 1 if single == 2 else 3
            first = first and kind != single
    kinds.sort()
    out, has_default = [], False
    for number, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        is_given = (kind in (0, 1) and (has_default or draw(st.booleans()))) or (kind == 3 and draw(st.booleans()))
        has_default = has_default or (is_given and kind in (0, 1))
        text = {2: f"*{name}", 4: f"**{name}"}.get(kind, f"{name}={number}" if is_given else name)
        if kind == 3 and kinds[:number].count(3) == 0 and 2 not in kinds:
            out.append("*")
        out.append(text)
        if kind == 0 and (number + 1 == len(kinds) or kinds[number + 1] != 0):
            out.append("/")
    body = draw(
        st.sampled_from(["", "local = [1]; ", "held = (lambda: __class__)(); ", "inner = [x for x in (1, 2)]; "])
    )
    return f"class Made:\n def method({', '.join(out)}):\n  {body}return ({''.join(f'{name}, ' for name in names)})\n"


@settings(deadline=None, max_examples=int(os.environ.get("HISTHOOKS_EXAMPLES", "60")))
@given(functions(), st.lists(st.integers(), max_size=8), st.dictionaries(_name, st.integers(), max_size=3))
def test_every_function_gives_or_raises_the_same(source: str, args: list[int], kwargs: dict[str, int]) -> None:
    made: dict[str, Any] = {"__name__": "made"}
    exec(source, made)
    method = vars(made["Made"])["method"]
    before = _outcome(method, args, kwargs), inspect.getfullargspec(method), method.__code__.co_varnames
    for how in (watch_it, run_it):
        patches = Patches()
        patches.wrap(made["Made"], "method", how)
        assert (_outcome(method, args, kwargs), inspect.getfullargspec(method), method.__code__.co_varnames) == before
        patches.undo()


def watch_it(original: Any, args: Any, kwargs: Any) -> Iterator[None]:
    yield


def run_it(original: Any, args: Any, kwargs: Any) -> Any:
    return original(*args, **kwargs)


def _outcome(function: Any, args: Any, kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except TypeError as error:
        return str(error)
