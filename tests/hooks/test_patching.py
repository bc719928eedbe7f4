"""Functions that are recorded and stay what they are, and originals that come back by identity."""

import functools
import inspect
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from histhooks._hooks.patching import Patch, Patches, rebind, renew_all


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


def test_a_function_stays_the_same_object_and_looks_and_pickles_as_before(module: types.ModuleType) -> None:
    original, code = module.fit, module.fit.__code__
    before = inspect.signature(original), inspect.getfullargspec(original), dict(vars(original))
    held = pickle.dumps({"how": functools.partial(original, 1)})
    patches = Patches()
    patches.wrap(module, "fit", doubled)
    assert module.fit is original
    assert (inspect.signature(original), inspect.getfullargspec(original), dict(vars(original))) == before
    assert (module.fit.__name__, module.fit.__module__, module.fit.__doc__) == ("fit", "a_framework", "Fits.")
    assert pickle.dumps({"how": functools.partial(original, 1)}) == held
    assert module.fit(1, y=3) == (4, "seen")
    patches.undo()
    assert module.fit is original
    assert module.fit.__code__ is code


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


def test_names_that_a_program_bound_earlier_are_recorded_wherever_they_are(module: types.ModuleType) -> None:
    held = {"partial": functools.partial(module.fit, 1), "default": (lambda how=module.fit: how(1))}
    patches = Patches()
    patches.wrap(module, "fit", doubled)
    assert [how() for how in held.values()] == [(3, "seen"), (3, "seen")]
    patches.undo()
    assert [how() for how in held.values()] == [3, 3]


def test_names_of_what_is_no_plain_function_are_bound_anew_and_back(module: types.ModuleType) -> None:
    made = module.Base()
    vars(module)["bound"] = original = made.train
    program = types.ModuleType("a_program")
    vars(program)["train_it"] = original
    sys.modules["a_program"] = program
    try:
        patches = Patches()
        patches.wrap(module, "bound", doubled, of_any_kind=True)
        assert program.train_it is module.bound is not original
        assert program.train_it(1) == (("base", 1), "seen")
        patches.undo()
        assert program.train_it is original is module.bound
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


def test_where_a_neighbour_puts_back_what_was_before_theirs_that_is_recorded(module: types.ModuleType) -> None:
    original = module.fit

    def theirs(x: int) -> tuple[Any, str]:
        return (original(x), "theirs")

    vars(module)["fit"] = theirs
    patches = Patches()
    patches.wrap(module, "fit", doubled)
    assert module.fit(1) == ((3, "theirs"), "seen")
    vars(module)["fit"] = original  # as MLflow does
    renew_all()
    assert (module.fit(1), theirs(1)) == ((3, "seen"), ((3, "seen"), "theirs"))
    patches.undo()
    assert (module.fit(1), theirs(1)) == (3, (3, "theirs"))


def test_who_wraps_a_recorded_function_keeps_it_recorded_once(module: types.ModuleType) -> None:
    patches = Patches()
    patches.wrap(module, "fit", doubled)
    ours = module.fit

    @functools.wraps(ours)
    def theirs(x: int) -> tuple[Any, str]:
        return (ours(x), "theirs")

    vars(module)["fit"] = theirs
    renew_all()
    assert module.fit(1) == ((3, "seen"), "theirs")
    patches.undo()
    assert module.fit(1) == (3, "theirs")


def test_a_front_takes_the_calls_that_it_knows_and_goes_with_its_wrapper(module: types.ModuleType) -> None:
    def short(patch: Patch, wrapper: Callable[..., Any]) -> Callable[..., Any]:
        def fit(x: Any, *, y: Any = 2) -> Any:
            return (patch.original(x), "short") if y == 2 and patch.is_active else wrapper(x, y=y)

        return fit

    original = module.fit
    patches = Patches()
    code = original.__code__
    held = patches.wrap(module, "fit", doubled, front=short).wrapper
    assert (module.fit(1), module.fit(1, y=3)) == ((3, "short"), (4, "seen"))
    assert pickle.loads(pickle.dumps(module.fit)) is module.fit
    assert {held.__code__, patches.wrap(module.Base, "train", doubled).wrapper.__code__} <= patches.codes()
    patches.undo()
    assert module.fit is original
    assert module.fit.__code__ is code
    assert (held(1), held(1, y=3)) == (3, 4)
