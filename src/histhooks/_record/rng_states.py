"""Where the global random generators stood. Nothing here draws a number.

=================  =====================================================================================================
point              is taken
=================  =====================================================================================================
``process_start``  under ``histhooks run``, before the first line of the program: `random`
``import``         right after the library has come: `numpy`, `torch`
``first_seen``     when recording began in a program that had the library by then: it may have drawn before
``run_start``      at the start of each run
``run_end``        at the end of a run, where it moved since the start, without the state
``process_end``    at the end of the session, where it moved since it was read last, without the state
=================  =====================================================================================================

A state is kept once; later rows name it by its digest. A run that ended without a row `run_end` of a generator used
none of its numbers. Candidates of a search have no rows of their own. That of a run that a signal killed is not
read: the program may hold the generator's lock.

Form of a state, before zlib, numbers little-endian. One that is as its library made it is kept by what it was made
from, which is told by its length:

- `random`, `MT19937`: 625 uint32 (624 words, position), then 0x00, or 0x01 and a float64: the next Gaussian number;
- `numpy`, `MT19937`: 16 bytes, the entropy of the ``SeedSequence`` that ``MT19937`` is made from; or 624 uint32, int32
  position, int32 and float64: whether there is a next Gaussian number, and which;
- `torch`, CPU: 8 bytes, ``initial_seed()``, for ``manual_seed()``; or the bytes of ``Generator.get_state()``; of each
  GPU that is in use already the latter.

JAX has no global generator: its keys come from seeds, which :mod:`histhooks._record.seeds` keeps. Keras draws its own
from `random`. TensorFlow seeds its operations from the system if ``tf.random.set_seed`` has not been called: no state
of it can be kept, and a row of `captures` says so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import now_us
from histhooks._base.values import dumps
from histhooks._hooks.imports import no_longer, when_imported
from histhooks._host.guard import guarded
from histhooks._record import engine as _engine
from histhooks._record import replay
from histhooks._store.entries import capture_entry, row_entry

if TYPE_CHECKING:
    from histhooks._record.run import Run
    from histhooks._record.session import Recorded

State = tuple[str, str | None, str, bytes]  # library, device, algorithm, state
_Key = tuple[str, str | None]  # library, device

# What the generators of a library stood at when it came, until a session begins.
_early: dict[str, tuple[str, int, State]] = {}
_latest: dict[tuple[Any, ...], str] = {}
# The state that a generator had when it was read last, and its digest: between most runs nothing is drawn.
_digests: dict[_Key, tuple[bytes, str]] = {}
# Of the generators that a library has made: the whole state, and what it was made from.
_made: dict[_Key, tuple[bytes, bytes]] = {}
_told: set[str] = set()  # sessions that say what cannot be kept of TensorFlow
_WHO = "states"
_FRESH = 623  # the position of an MT19937 that NumPy has just made
_UNUSED = b"\1\0\0\0\1\0\0\0" + bytes(8)  # the same of torch's; what follows the words is of Gaussian numbers


# --- reading ----------------------------------------------------------------------------------------------------------


def _random_state() -> Iterator[State]:
    import struct

    _, words, gauss = sys.modules["random"].getstate()
    following = b"\0" if gauss is None else struct.pack("<?d", True, gauss)
    yield "random", None, "MT19937", struct.pack("<625I", *words) + following


def _numpy_state() -> Iterator[State]:
    numpys = sys.modules["numpy.random"]
    found = numpys.get_state(legacy=False)
    algorithm = str(found["bit_generator"])
    if algorithm != "MT19937":
        yield "numpy", None, algorithm, dumps(found).encode("ascii")
        return
    import struct

    inner = found["state"]
    whole = inner["key"].astype("<u4").tobytes() + struct.pack("<iid", inner["pos"], found["has_gauss"], found["gauss"])
    if inner["pos"] == _FRESH and not found["has_gauss"]:
        whole = _as_made(("numpy", None), whole, lambda: _entropy_of(numpys, inner))
    yield "numpy", None, algorithm, whole


def _entropy_of(numpys: Any, state: dict[str, Any]) -> bytes | None:
    """What NumPy made its global generator from; None if it is another one by now."""
    made: Any = getattr(numpys.mtrand._rand._bit_generator, "seed_seq", None)  # since NumPy 1.25
    entropy = None if made is None else made.entropy
    if replay.plan is not None and replay.plan.numpy_entropy is not None:
        entropy = replay.plan.numpy_entropy  # which its state was made from, not the generator
    if type(entropy) is not int or entropy >> 128 or made.spawn_key or made.pool_size != 4:
        return None
    again = numpys.MT19937(numpys.SeedSequence(entropy)).state["state"]
    is_same = again["pos"] == state["pos"] and again["key"].tobytes() == state["key"].tobytes()
    return entropy.to_bytes(16, "little") if is_same else None


def _torch_state() -> Iterator[State]:
    torch = sys.modules["torch"]
    whole = _bytes_of(torch.default_generator.get_state())
    # The struct `CPUGeneratorImplStateLegacy`: seed, numbers left in the block, is seeded, position. One that was
    # seeded and has not drawn is at 0 with 1 left; it comes to 1 left again, but at 624.
    if len(whole) == 5056 and whole[8:24] == _UNUSED and not any(whole[-40:]):
        whole = whole[:8]
    yield "torch", "cpu", "mt19937", whole
    if torch.cuda.is_initialized() and not torch.cuda.is_current_stream_capturing():
        # A GPU's generator is a seed and an offset on the host; reading it waits for no device.
        for number, generator in enumerate(torch.cuda.default_generators):
            yield "torch", f"cuda:{number}", "philox", _bytes_of(generator.get_state())


def _bytes_of(tensor: Any) -> bytes:
    """The bytes of a tensor on the CPU, without NumPy."""
    import ctypes  # which torch has imported

    return ctypes.string_at(tensor.data_ptr(), tensor.numel())


def _as_made(key: _Key, whole: bytes, ask: Callable[[], bytes | None]) -> bytes:
    known = _made.get(key)
    if known is None or known[0] != whole:
        known = _made[key] = (whole, ask() or whole)
    return known[1]


_STATES = {"random": _random_state, "numpy.random": _numpy_state, "torch": _torch_state}


def is_ready(module: str) -> bool:
    """Whether a library is imported, and no more being imported."""
    found = sys.modules.get(module)
    return found is not None and not getattr(getattr(found, "__spec__", None), "_initializing", False)


def _states() -> Iterator[State]:
    for module, read in _STATES.items():
        if is_ready(module):
            yield from read()


# --- keeping ----------------------------------------------------------------------------------------------------------


def _digest_of(state: State) -> str:
    library, device, _, data = state
    known = _digests.get((library, device))
    if known is None or known[0] != data:
        import hashlib

        known = _digests[library, device] = (data, hashlib.sha256(data).hexdigest())
    return known[1]


def _entry(state: State, point: str, run_id: str | None, time: int, *, is_kept: bool = True) -> tuple[Any, ...]:
    import zlib

    library, device, algorithm, data = state
    session = _engine.engine.session
    digest = _digest_of(state)
    _latest[session.id, library, device] = digest
    is_left_out = not is_kept or digest in session.known_states
    if is_kept:
        session.known_states.add(digest)
    row: dict[str, Any] = {
        "session_id": session.id,
        "run_id": run_id,
        "point": point,
        "library": library,
        "device": device,
    }
    row |= {"algorithm": algorithm, "digest": digest, "state": None if is_left_out else zlib.compress(data, 1)}
    return row_entry("rng_states", run_id or session.id, {**row, "time": time})


def _put_early() -> None:
    session = _engine.engine.session
    for key in list(_early):
        found = _early.pop(key, None)
        if found is not None:  # else another thread, whose first run begins too, was faster
            point, time, state = found
            session.buffer.append(_entry(state, point, None, time))


@guarded
def at_run_start(run: Run) -> None:
    """Record where the global generators stand, and the determinism flags where they changed."""
    session = _engine.engine.session
    _put_early()
    for state in _states():
        session.buffer.append(_entry(state, "run_start", run.id, now_us()))
        run.states_at_start[state[0], state[1]] = _digest_of(state)
    flags = _determinism()
    if flags and flags != session.determinism:
        session.determinism = flags
        run.event("determinism", "flags that decide whether the same seed gives the same numbers", dumps(flags))
    if session.id not in _told and (why := _unkept()) is not None:
        _told.add(session.id)
        session.buffer.append(capture_entry(session.id, None, "random_states", "skipped", why))


@guarded
def at_run_end(run: Recorded) -> None:
    """Record which of the global generators moved since the run began."""
    for state in _states():
        known = run.states_at_start.get((state[0], state[1]))
        if known is not None and known != _digest_of(state):
            run.put(_entry(state, "run_end", run.id, now_us(), is_kept=False))


@guarded
def at_session_end() -> None:
    """Record which of the global generators moved since they were read last."""
    session = _engine.engine.session
    _put_early()
    for state in _states():
        known = _latest.get((session.id, state[0], state[1]))
        if known is not None and known != _digest_of(state):
            session.buffer.append(_entry(state, "process_end", None, now_us(), is_kept=False))


def _determinism() -> dict[str, Any]:
    torch = sys.modules.get("torch") if is_ready("torch") else None
    if torch is None:
        return {}
    cudnn = torch.backends.cudnn
    return {
        "torch.use_deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "torch.float32_matmul_precision": torch.get_float32_matmul_precision(),
        "torch.backends.cudnn.deterministic": cudnn.deterministic,
        "torch.backends.cudnn.benchmark": cudnn.benchmark,
    }


def _unkept() -> str | None:
    """What to say of TensorFlow where the program has not seeded it; None where it need not be said."""
    module = sys.modules.get("tensorflow.python.eager.context")
    context = getattr(module, "_context", None)  # None until it is used; `context()` would make one
    if context is None or getattr(context, "_seed", None) is not None:
        return None
    return "TensorFlow without tf.random.set_seed() seeds its operations from the system, which it does not show"


# --- seams ------------------------------------------------------------------------------------------------------------


def _keeper(name: str, point: str) -> Callable[[ModuleType], None]:
    @guarded
    def keep(module: ModuleType) -> None:
        if replay.plan is not None:
            replay.plan.restore(name, point)
        for state in _STATES[name]():
            _early.setdefault(f"{name}/{state[1]}", (point, now_us(), state))

    return keep


def _is_before_program() -> bool:
    """Whether Python is starting up: `site` runs `sitecustomize`, which ``histhooks run`` begins in."""
    return getattr(getattr(sys.modules.get("site"), "__spec__", None), "_initializing", False) is True


def install() -> None:
    """Keep where the generators stand now, and those that come where they stand then."""
    for name in _STATES:
        if is_ready(name):
            _keeper(name, "process_start" if _is_before_program() else "first_seen")(sys.modules[name])
        else:
            # Not `torch.random`: asked while torch is imported, its generator ends the process (2.x).
            when_imported(name, _keeper(name, "import"), _WHO)


def uninstall() -> None:
    """Wait for no library any more."""
    for name in _STATES:
        no_longer(name, _WHO)
    _early.clear()


_engine.engine.at_run_start.append(at_run_start)
_engine.engine.at_run_end.append(at_run_end)
_engine.engine.at_session_end.append(at_session_end)
