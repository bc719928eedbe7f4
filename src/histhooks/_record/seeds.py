"""Seeds that a program set, and where the global random generators stood. Nothing here draws a number.

Seeding functions are wrapped once their library is imported, also under names that a program bound earlier. States are
read when hooks go in or a library comes (`process_start`), at the start of each run (`run_start`), and where they moved
since, at the end (`process_end`); a state is kept once, later rows name it by its digest. So it is known whether a
generator was used without a seed. The place of a seed is the nearest one in the program, also where a library
stands between; where a library seeds by itself, or for a seeding function of the program, it is the library's.

Form of a state, before zlib, numbers little-endian:

- `random`, `MT19937`: 625 uint32 (624 words, position), then 0x00, or 0x01 and a float64: the next Gaussian number;
- `numpy`, `MT19937`: 624 uint32, int32 position, int32 and float64: whether there is a next Gaussian number, and which;
- `torch`: the bytes of ``torch.Generator.get_state()``, for the CPU and for each GPU that is in use already.

Seeds among the params of a run (`random_state`, `seed`, also that of a splitter) stand in `seeds` with the name of the
param as their call. PYTHONHASHSEED is the seed of library `python`.

Not seen: ``numpy.random.RandomState(3)`` and ``torch.Generator().manual_seed(3)``, whose classes take no hook, and a
seed that is set by writing to an object.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import TYPE_CHECKING, Any

from histhooks._base.call_site import call_site
from histhooks._base.clock import now_us
from histhooks._base.values import dumps
from histhooks._hooks.imports import no_longer, when_imported
from histhooks._hooks.patching import Patches
from histhooks._host.guard import guarded
from histhooks._host.store_location import is_off
from histhooks._record import engine as _engine
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
    ("torch.random", ("manual_seed",), "torch"),
    ("torch.cuda.random", ("manual_seed", "manual_seed_all"), "torch"),
    ("jax._src.random", ("key", "PRNGKey"), "jax"),
    ("sklearn.model_selection._split", _SPLITTERS, "sklearn"),
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

_patches = Patches()
_noted: set[tuple[Any, ...]] = set()
_early: dict[str, tuple[Any, ...]] = {}
_hashed: set[str] = set()
_latest: dict[tuple[Any, ...], str] = {}
# The state that a generator had when it was read last, and its digest: between most runs nothing is drawn.
_digests: dict[tuple[str, str | None], tuple[bytes, str]] = {}
_seeding: ContextVar[str | None] = ContextVar("histhooks_seeding", default=None)


# --- seeds ------------------------------------------------------------------------------------------------------------


def _around(library: str) -> Callable[..., Any]:
    def around(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # torch.manual_seed seeds the GPUs by functions that stand here too; a new generator seeds itself alone.
        if _seeding.get() == library:
            return original(*args, **kwargs)
        if library == "random" and args[0] is not sys.modules["random"]._inst:
            result = original(*args, **kwargs)
            if _caller(("random",)).partition(".")[0] not in _OTHERS and type(args[0]) is sys.modules["random"].Random:
                _note(library, original, args, kwargs, "Random")
            return result
        token = _seeding.set(library)
        try:
            result = original(*args, **kwargs)
        finally:
            _seeding.reset(token)
        _note(library, original, args, kwargs)
        return result

    return around


def _watch_param(call: str) -> Callable[..., Any]:
    """See the ``random_state`` that the program gives to a function or a splitter of scikit-learn."""

    def watch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
        if _seeding.get() == "sklearn":
            yield  # what splits makes a splitter
            return
        token = _seeding.set("sklearn")
        try:
            yield
        finally:
            _seeding.reset(token)
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
    site = nearest if _seeding.get() is not None else call_site(_LIBRARIES) or nearest
    text = str(value)[:1000] if isinstance(value, (int, str)) else dumps(value)[:1000]
    key = (session.id, run_id, call, library, text, site)
    if key in _noted:
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


def _note_hash_seed() -> None:
    """The seed of Python's own hashes, which order sets of words; as it was when the interpreter started."""
    value = os.environ.get("PYTHONHASHSEED", "")
    if value.isdigit() and not sys.flags.ignore_environment:
        session, writer = _engine.engine.session, _engine.engine.writer
        row: dict[str, Any] = {"session_id": session.id, "run_id": None, "library": "python"}
        row |= {"call": "PYTHONHASHSEED"}
        # Before the first run of the session, which has it too.
        began = now_us() if writer is None else writer.began
        row |= {"value": value, "location": None, "time": began}
        session.buffer.append(row_entry("seeds", session.id, row))


# --- states -----------------------------------------------------------------------------------------------------------

State = tuple[str, str | None, str, bytes]  # library, device, algorithm, state


def _random_state() -> Iterator[State]:
    import struct

    random = sys.modules["random"]
    _, words, gauss = random.getstate()
    following = b"\0" if gauss is None else struct.pack("<?d", True, gauss)
    yield "random", None, "MT19937", struct.pack("<625I", *words) + following


def _numpy_state() -> Iterator[State]:
    found = sys.modules["numpy.random"].get_state(legacy=False)
    algorithm = str(found["bit_generator"])
    if algorithm == "MT19937":
        import struct

        inner = found["state"]
        tail = struct.pack("<iid", inner["pos"], found["has_gauss"], found["gauss"])
        yield "numpy", None, algorithm, inner["key"].astype("<u4").tobytes() + tail
    else:
        yield "numpy", None, algorithm, dumps(found).encode("ascii")


def _torch_state() -> Iterator[State]:
    torch = sys.modules["torch"]
    yield "torch", "cpu", "mt19937", bytes(torch.default_generator.get_state().tolist())
    if torch.cuda.is_initialized() and not torch.cuda.is_current_stream_capturing():
        # A GPU's generator is a seed and an offset on the host; reading it waits for no device.
        for number, generator in enumerate(torch.cuda.default_generators):
            yield "torch", f"cuda:{number}", "philox", bytes(generator.get_state().tolist())


_STATES = {"random": _random_state, "numpy.random": _numpy_state, "torch": _torch_state}


def _is_ready(module: str) -> bool:
    found = sys.modules.get(module)
    return found is not None and not getattr(getattr(found, "__spec__", None), "_initializing", False)


def _states(*modules: str) -> Iterator[State]:
    for module in modules or tuple(_STATES):
        if _is_ready(module):
            yield from _STATES[module]()


def _digest_of(state: State) -> str:
    library, device, _, data = state
    known = _digests.get((library, device))
    if known is None or known[0] != data:
        import hashlib

        known = _digests[library, device] = (data, hashlib.sha256(data).hexdigest())
    return known[1]


def _entry(state: State, point: str, run_id: str | None) -> tuple[Any, ...]:
    import zlib

    library, device, algorithm, data = state
    session = _engine.engine.session
    digest = _digest_of(state)
    _latest[session.id, library, device] = digest
    is_known = digest in session.known_states
    session.known_states.add(digest)
    row: dict[str, Any] = {
        "session_id": session.id,
        "run_id": run_id,
        "point": point,
        "library": library,
        "device": device,
    }
    row |= {"algorithm": algorithm, "digest": digest, "state": None if is_known else zlib.compress(data, 1)}
    return row_entry("rng_states", run_id or session.id, {**row, "time": now_us()})


@guarded
def at_run_start(run: Run) -> None:
    """Record where the global generators stand, and the determinism flags where they changed."""
    session = _engine.engine.session
    if session.id not in _hashed:
        _hashed.add(session.id)
        _note_hash_seed()
    while _early:
        _, (point, state) = _early.popitem()
        session.buffer.append(_entry(state, point, None))
    for state in _states():
        session.buffer.append(_entry(state, "run_start", run.id))
    flags = _determinism()
    if flags and flags != session.determinism:
        session.determinism = flags
        run.event("determinism", "flags that decide whether the same seed gives the same numbers", dumps(flags))


@guarded
def at_session_end() -> None:
    """Record where the global generators stand, where that is not known yet."""
    session = _engine.engine.session
    while _early:
        _, (point, early) = _early.popitem()
        session.buffer.append(_entry(early, point, None))
    for state in _states():
        known = _latest.get((session.id, state[0], state[1]))
        if known is not None and known != _digest_of(state):
            session.buffer.append(_entry(state, "process_end", None))


def _determinism() -> dict[str, Any]:
    torch = sys.modules.get("torch") if _is_ready("torch") else None
    if torch is None:
        return {}
    cudnn = torch.backends.cudnn
    return {
        "torch.use_deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "torch.float32_matmul_precision": torch.get_float32_matmul_precision(),
        "torch.backends.cudnn.deterministic": cudnn.deterministic,
        "torch.backends.cudnn.benchmark": cudnn.benchmark,
    }


# --- seams ------------------------------------------------------------------------------------------------------------


def _installer(names: tuple[str, ...], library: str) -> Callable[[ModuleType], None]:
    def install(module: ModuleType) -> None:
        for path in names:
            holder, _, name = path.rpartition(".")
            owner = vars(module).get(holder) if holder else module
            if owner is not None and name in vars(owner):
                around = _watch_param(name) if library == "sklearn" else _around(library)
                _patches.wrap(owner, name, around, of_any_kind=library != "sklearn")
        _keep_first(module)

    return install


@guarded
def _keep_first(module: ModuleType) -> None:
    """Keep where a generator stands when its library comes: what draws before the first run is known by that.

    Not that of torch: asked while torch is imported, its generator ends the process (2.x).
    """
    if module.__name__ in ("random", "numpy.random"):
        _keeper(module.__name__)(module)


def _keeper(name: str) -> Callable[[ModuleType], None]:
    @guarded
    def keep(module: ModuleType) -> None:
        for state in _STATES[name]():
            _early.setdefault(f"{name}/{state[1]}", ("process_start", state))

    return keep


def install() -> None:
    """Begin to see seeds, and keep where the generators stand now."""
    if _patches:
        return
    for module, names, library in _SEEDING:
        when_imported(module, _installer(names, library))
    for name in _STATES:
        # A library that comes later is looked at when it comes; torch by the first run after it.
        if _is_ready(name):
            _keeper(name)(sys.modules[name])


def uninstall() -> None:
    """Put everything back, by identity."""
    for module, _, _ in _SEEDING:
        no_longer(module)
    _patches.undo()
    _noted.clear()
    _early.clear()


_engine.engine.at_run_start.append(at_run_start)
_engine.engine.at_session_end.append(at_session_end)
