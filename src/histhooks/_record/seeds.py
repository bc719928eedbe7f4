"""Seeds that a program set. Nothing here draws a number.

Seeding functions are wrapped once their library is imported, also under names that a program bound earlier. The place
of a seed is the nearest one in the program, also where a library stands between; where a library seeds by itself, or
for a seeding function of the program, it is the library's. Where the generators stood is known by
:mod:`histhooks._record.rng_states`, and what a generator without a seed was made from by
:mod:`histhooks._record.entropy`.

Seeds among the params of a run (`random_state`, `seed`, also that of a splitter) stand in `seeds` with the name of the
param as their call. PYTHONHASHSEED is the seed of library `python`; if ``histhooks run`` chose it, that is its place.

Not seen: ``numpy.random.RandomState(3)`` and ``torch.Generator().manual_seed(3)``, whose classes take no hook, and a
seed that is set by writing to an object.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from histhooks._base.call_site import call_site
from histhooks._base.clock import now_us
from histhooks._base.values import dumps
from histhooks._base.vocabulary import BY_HISTHOOKS
from histhooks._hooks.imports import no_longer, when_imported
from histhooks._hooks.patching import Patches
from histhooks._host import hash_seed
from histhooks._host.guard import guarded
from histhooks._host.store_location import is_off
from histhooks._record import engine as _engine
from histhooks._record import entropy, replay, rng_states
from histhooks._record.entropy import seeding
from histhooks._record.run import current
from histhooks._store.entries import capture_entry, row_entry

if TYPE_CHECKING:
    from histhooks._record.run import Run

# Splitters of scikit-learn, by what their constructors have in common, and the modules between them and the program.
_SPLITTERS = ("_BaseKFold.__init__", "BaseShuffleSplit.__init__", "_RepeatedSplits.__init__", "train_test_split")
_SPLIT = "sklearn.model_selection._split"
_SPLITTING = (_SPLIT, "sklearn.utils._param_validation")
_OTHERS = ("", "sklearn")
_STDLIB = os.path.dirname(os.__file__) + os.sep
# Module with the function, its names, and the library that it seeds.
_SEEDING = (
    ("random", ("Random.seed",), "random"),  # of which `random.seed` is a bound method
    ("numpy.random", ("seed", "default_rng"), "numpy"),
    ("torch.random", ("manual_seed", "seed"), "torch"),
    ("torch.cuda.random", ("manual_seed", "manual_seed_all"), "torch"),
    ("jax._src.random", ("key", "PRNGKey"), "jax"),
    ("sklearn.model_selection._split", _SPLITTERS, "sklearn"),
    ("tensorflow.python.framework.random_seed", ("set_seed",), "tensorflow"),
    ("keras.src.utils.rng_utils", ("set_random_seed",), "keras"),
    ("lightning.fabric.utilities.seed", ("seed_everything",), "lightning"),
    ("lightning_fabric.utilities.seed", ("seed_everything",), "lightning"),
)
# Frames of these are no place of the program: a library that seeds was asked to, and a compiler stands between.
_LIBRARIES = (
    "torch", "keras", "lightning", "pytorch_lightning", "lightning_fabric", "numpy", "random", "sklearn", "tensorflow",
    "jax", "accelerate", "transformers", "importlib", "runpy", "functools", "threading", "concurrent",
)  # fmt: skip
_MOST = 500
_WHO = "seeds"

_patches = Patches()
_noted: set[tuple[Any, ...]] = set()
_hashed: set[str] = set()


# --- seeds ------------------------------------------------------------------------------------------------------------


def _around(library: str) -> Callable[..., Any]:
    def around(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # torch.manual_seed seeds the GPUs by functions that stand here too; a new generator seeds itself alone.
        if _is_seeding(library):
            return original(*args, **kwargs)
        if library == "random" and len(args) == 1 and "a" not in kwargs:
            bits = entropy.for_random(args[0])
            return original(*args, **(kwargs if bits is None else {**kwargs, "a": bits}))
        if library == "random" and args[0] is not sys.modules["random"]._inst:
            result = original(*args, **kwargs)
            if _caller(("random",)).partition(".")[0] not in _OTHERS and type(args[0]) is sys.modules["random"].Random:
                _note(library, original, args, kwargs, "Random")
            return result
        token = seeding.set((library, original.__name__))
        try:
            given = entropy.given_to_torch(original.__name__) if library == "torch" else None
            result = original(*args, **kwargs) if given is None else given
        finally:
            seeding.reset(token)
        if library == "torch" and original.__name__ == "seed":
            entropy.of_torch(result)
        else:
            _note(library, original, args, kwargs)
        return result

    return around


def _is_seeding(library: str) -> bool:
    inside = seeding.get()
    return inside is not None and inside[0] == library


def _watch_param(call: str) -> Callable[..., Any]:
    """See the ``random_state`` that the program gives to a function or a splitter of scikit-learn."""

    def watch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
        if _is_seeding("sklearn"):
            yield  # what splits makes a splitter
            return
        token = seeding.set(("sklearn", call))
        try:
            yield
        finally:
            seeding.reset(token)
        value = kwargs.get("random_state")
        if value is not None and _caller(_SPLITTING).partition(".")[0] not in _OTHERS:
            own = type(args[0]).__name__ if call == "__init__" and args else call
            _note("sklearn", original, (value,), {}, own)

    return watch


def _caller(skip: tuple[str, ...]) -> str:
    """The module that called: the nearest that is neither of histhooks, nor in ``skip``; '' for one of a package."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = str(frame.f_globals.get("__name__"))
        if name.partition(".")[0] != "histhooks" and name not in skip:
            is_packaged = "-packages" in frame.f_code.co_filename or frame.f_code.co_filename.startswith(_STDLIB)
            return name if not is_packaged or name.partition(".")[0] == "sklearn" else ""
        frame = frame.f_back
    return str(frame.f_globals.get("__name__"))


@guarded
def _note(
    library: str,
    original: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    call: str | None = None,
) -> None:
    call = call or original.__name__
    if len(_noted) >= _MOST:
        return
    if library == "random":
        args = args[1:]
    value = args[0] if args else next(iter(kwargs.values()), None)
    if is_off() or not (isinstance(value, (int, float, str, bytes, list, tuple)) or hasattr(value, "dtype")):
        return  # None, or a generator that is handed on
    session = _engine.engine.session
    run = current.get()
    run_id = run.id if run is not None and run.is_recorded and run.status == "running" else None
    nearest = call_site()
    if call == "default_rng" and nearest is not None and "site-packages" in nearest:
        return  # a generator that a library made for itself
    # What a seeding function calls in turn stays where the library calls it, so that the program's own calls stand out.
    site = nearest if seeding.get() is not None else call_site(_LIBRARIES) or nearest
    text = str(value)[:1000] if isinstance(value, (int, str)) else dumps(value)[:1000]
    # A loop of the program's own, such as one of PyTorch, is under way without being the current run.
    inside = run_id or next(reversed(list(session.live)), None)
    key: tuple[Any, ...] = (session.id, inside, call, library, text, site)
    if key in _noted:
        key = (*key, "again")  # the second time in a run is kept too, since it is another fact than the first
        if inside is None or key in _noted:
            return
    _noted.add(key)
    row: dict[str, Any] = {
        "session_id": session.id,
        "run_id": run_id,
        "library": library,
        "call": call,
    }
    row |= {"value": text, "location": site, "time": now_us()}
    session.buffer.append(row_entry("seeds", run_id or session.id, row))
    if len(_noted) == _MOST:
        note = f"{_MOST} different seeds were kept, and no more"
        session.buffer.append(capture_entry(session.id, None, "seeds", "truncated", note))


@guarded
def _at_run_start(run: Run) -> None:
    session = _engine.engine.session
    if session.id not in _hashed:
        _hashed.add(session.id)
        _note_hash_seed()
    entropy.settle()


@guarded
def _at_session_end() -> None:
    entropy.settle()


def _note_hash_seed() -> None:
    """The seed of Python's own hashes, which order sets of words; as it was when the interpreter started."""
    value = os.environ.get("PYTHONHASHSEED", "")
    if value.isdigit() and not sys.flags.ignore_environment:
        session, writer = _engine.engine.session, _engine.engine.writer
        row: dict[str, Any] = {"session_id": session.id, "run_id": None, "library": "python"}
        row |= {"call": "PYTHONHASHSEED"}
        # Before the first run of the session, which has it too.
        began = now_us() if writer is None else writer.began
        place = BY_HISTHOOKS if hash_seed.is_chosen() else None
        row |= {"value": value, "location": place, "time": began}
        session.buffer.append(row_entry("seeds", session.id, row))


# --- seams ------------------------------------------------------------------------------------------------------------


def _installer(names: tuple[str, ...], library: str) -> Callable[[ModuleType], None]:
    def install(module: ModuleType) -> None:
        for path in names:
            holder, _, name = path.rpartition(".")
            owner = vars(module).get(holder) if holder else module
            if owner is not None and name in vars(owner):
                around = _watch_param(name) if library == "sklearn" else _around(library)
                _patches.wrap(owner, name, around, of_any_kind=library != "sklearn")

    return install


def install() -> None:
    """Begin to see seeds, and keep where the generators stand now."""
    if _patches:
        return
    for module, names, library in _SEEDING:
        when_imported(module, _installer(names, library), _WHO)
    replay.begin()
    rng_states.install()
    entropy.install()


def uninstall() -> None:
    """Put everything back, by identity."""
    for module, _, _ in _SEEDING:
        no_longer(module, _WHO)
    rng_states.uninstall()
    entropy.uninstall()
    _patches.undo()
    _noted.clear()


_engine.engine.at_run_start.insert(0, _at_run_start)
_engine.engine.at_session_end.append(_at_session_end)
