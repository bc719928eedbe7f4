"""Wrappers that are plain functions, and originals that come back by identity."""

import functools
import inspect
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from histhooks._patching import Patch, Patches, rebind, renew_all


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    made = types.ModuleType("a_framework")
    exec(
        "def fit(x, *, y=2):\n    'Fits.'\n    return x + y\n"
        "class Base:\n    def train(self, x):\n        return ('base', x)\n"
        "class Child(Base):\n    pass\n",
        vars(made),
    )
    sys.modules["a_framework"] = made
    yield made
    del sys.modules["a_framework"]


def doubled(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return (original(*args, **kwargs), "seen")


def test_a_wrapper_is_a_plain_function_that_looks_and_pickles_like_the_original(module: types.ModuleType) -> None:
    original = module.fit
    patches = Patches()
    patches.wrap(module, "fit", doubled)
    assert module.fit is not original
    assert type(module.fit) is types.FunctionType
    assert inspect.signature(module.fit) == inspect.signature(original)
    assert (module.fit.__name__, module.fit.__module__, module.fit.__doc__) == ("fit", "a_framework", "Fits.")
    assert pickle.loads(pickle.dumps(module.fit)) is module.fit
    assert module.fit(1, y=3) == (4, "seen")
    patches.undo()
    assert module.fit is original


def test_a_method_that_a_class_inherited_is_inherited_again(module: types.ModuleType) -> None:
    patches = Patches()
    patches.wrap(module.Child, "train", doubled)
    assert module.Child().train(1) == (("base", 1), "seen")
    assert module.Base().train(1) == ("base", 1)
    patches.undo()
    assert "train" not in vars(module.Child)
    assert module.Child().train(1) == ("base", 1)


def test_a_wrapper_that_somebody_still_holds_does_nothing(module: types.ModuleType) -> None:
    patches = Patches()
    patches.wrap(module, "fit", doubled)
    held = module.fit
    patches.undo()
    assert held(1) == 3


def test_who_wrapped_ours_keeps_theirs(module: types.ModuleType) -> None:
    patches = Patches()
    patches.wrap(module, "fit", doubled)
    ours = module.fit

    def theirs(x: int) -> tuple[Any, str]:
        return (ours(x), "theirs")

    vars(module)["fit"] = theirs
    patches.undo()
    assert module.fit is theirs
    assert module.fit(1) == (3, "theirs")


def test_names_that_a_program_bound_earlier_are_bound_anew_and_back(module: types.ModuleType) -> None:
    program = types.ModuleType("a_program")
    vars(program)["train_it"] = original = module.fit
    sys.modules["a_program"] = program
    try:
        patches = Patches()
        patches.wrap(module, "fit", doubled, rebound=True)
        assert program.train_it is module.fit
        patches.undo()
        assert program.train_it is original is module.fit
        assert rebind(original, original) == 2
    finally:
        del sys.modules["a_program"]


def test_the_latest_patch_of_a_function_is_undone_first(module: types.ModuleType) -> None:
    original = module.fit
    patches = Patches()
    patches.wrap(module, "fit", doubled)
    patches.wrap(module, "fit", doubled)
    assert module.fit(1) == ((3, "seen"), "seen")
    patches.undo()
    assert module.fit is original


@pytest.mark.parametrize("thing", [7, len, staticmethod(len)])
def test_what_is_no_plain_function_is_refused(module: types.ModuleType, thing: object) -> None:
    vars(module)["fit"] = thing
    with pytest.raises(TypeError, match="no plain function"):
        Patches().wrap(module, "fit", doubled)


def test_a_wrapper_that_a_neighbour_took_out_comes_back_and_one_that_is_inside_stays() -> None:
    class Owner:
        def inner(self) -> str:
            return "inner"

        def outer(self) -> str:
            return "outer"

    def around(original: Any, args: Any, kwargs: Any) -> str:
        return f"ours({original(*args, **kwargs)})"

    plain = dict(vars(Owner))
    patches = Patches()
    for name in ("inner", "outer"):
        patches.wrap(Owner, name, around)
    ours = vars(Owner)["inner"]

    @functools.wraps(ours)
    def theirs(self: Owner) -> str:
        return f"theirs({ours(self)})"

    Owner.inner = theirs  # type: ignore[method-assign]
    Owner.outer = plain["outer"]  # type: ignore[method-assign]
    renew_all()
    assert (Owner().inner(), Owner().outer()) == ("theirs(ours(inner))", "ours(outer)")
    patches.undo()
    assert (Owner().inner(), Owner().outer()) == ("theirs(inner)", "outer")
    assert vars(Owner)["outer"] is plain["outer"]


def test_a_front_takes_the_calls_that_it_knows_and_goes_with_its_wrapper(module: types.ModuleType) -> None:
    def short(patch: Patch, wrapper: Callable[..., Any]) -> Callable[..., Any]:
        def fit(x: Any, *, y: Any = 2) -> Any:
            return (patch.original(x), "short") if y == 2 and patch.is_active else wrapper(x, y=y)

        return fit

    original = module.fit
    patches = Patches()
    held = patches.wrap(module, "fit", doubled, front=short).wrapper
    assert (module.fit(1), module.fit(1, y=3)) == ((3, "short"), (4, "seen"))
    assert pickle.loads(pickle.dumps(module.fit)) is module.fit
    assert {held.__code__, patches.wrap(module.Base, "train", doubled).wrapper.__code__} == patches.codes()
    module.fit = original
    renew_all()
    assert (module.fit(1), module.fit(1, y=3)) == ((3, "short"), (4, "seen"))
    patches.undo()
    assert module.fit is original
    assert (held(1), held(1, y=3)) == (3, 4)
