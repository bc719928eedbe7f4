"""Generators that a program makes without a seed: the entropy that each was made from, so that it can be made again.

===========================================  ======================================  ===================================
made by                                      seam                                    kept (`seeds`, value `entropy:N`)
===========================================  ======================================  ===================================
``numpy.random``: ``default_rng()``,         ``bit_generator.randbits``, NumPy's     the 128 bits that NumPy drew
``SeedSequence()``, ``RandomState()``, any   name for the function of ``secrets``
``BitGenerator()``, ``seed()``               that each of them draws from
``random.Random()``, ``random.seed()``       ``random.Random.seed``                  256 bits of ``os.urandom``, which
                                                                                     it is given as its seed
``torch.seed()``                             the function itself                     the seed that it gives back
===========================================  ======================================  ===================================

No class is replaced: types, pickles and classes of the program that derive from them are what they were. N goes in
where it came from: as what ``randbits`` gives, or as a seed. The rows belong to the session, in the order in which the
generators were made; the n-th at a location is the n-th that is made there again. Its location is the nearest line of
Python, also one of a library. Not kept: what the standard library makes, such as ``tempfile`` for its names or ``copy``
before it sets the state; what pickle makes.

``RandomState(3)`` draws entropy before it takes its seed, and drops it then: ``MT19937._legacy_seeding`` asks
``operator.index`` for the seed, in the same instruction of the program, which tells such a draw from others.

``random.Random.seed()`` without a seed reads 2,496 bytes of the system in C and shows none of them. So it gets 32 bytes
of the same source as an integer.

Not seen: ``torch.Generator().seed()``, whose class takes no hook (that of a generator given to ``random_split`` stands
in `splits`); ``torch.cuda.seed()``; what a forked worker makes from the system; ``os.urandom``, ``secrets``, ``uuid``.
"""

from __future__ import annotations

import operator
import os
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from types import FrameType, ModuleType
from typing import Any, NamedTuple

from histhooks._base.call_site import place
from histhooks._base.clock import now_us
from histhooks._base.vocabulary import ENTROPY
from histhooks._hooks.fronts import program_frame
from histhooks._hooks.imports import no_longer, when_imported
from histhooks._host.guard import guarded
from histhooks._host.store_location import is_off
from histhooks._record import engine as _engine
from histhooks._record import replay
from histhooks._store.entries import capture_entry, row_entry

MOST = 200  # of one process
_WHO = "entropy"
_RANDOM = "numpy.random"
_STDLIB = os.path.dirname(os.__file__) + os.sep
_DISCARDS = "numpy.random._pickle"  # whose functions make a generator to set its state
# The library whose seeding function runs, and that function.
seeding: ContextVar[tuple[str, str] | None] = ContextVar("histhooks_seeding", default=None)


class _Draw(NamedTuple):
    """Entropy that was drawn, and may be dropped by the instruction that drew it."""

    frame_id: int
    instruction: int
    call: str
    bits: int
    location: str
    time: int


_pending: dict[int, _Draw] = {}  # by thread
_undo: list[Callable[[], None]] = []
_count = 0


def is_full() -> bool:
    """Whether as many are kept as may be."""
    return _count >= MOST


def settle() -> None:
    """Record what is pending; before a run begins, and at the end of the session."""
    for thread_id in list(_pending):
        draw = _pending.pop(thread_id, None)
        if draw is not None:
            _put("numpy", draw.call, draw.bits, draw.location, draw.time)


def _put(library: str, call: str, bits: int, location: str, time: int) -> None:
    global _count
    session = _engine.engine.session
    if _count >= MOST:
        return
    _count += 1
    row: dict[str, Any] = {"session_id": session.id, "run_id": None, "library": library, "call": call}
    row |= {"value": f"{ENTROPY}{bits}", "location": location, "time": time}
    session.buffer.append(row_entry("seeds", session.id, row))
    if _count == MOST:
        note = f"of generators that were made without a seed, the first {MOST} were kept; the last one at {location}"
        session.buffer.append(capture_entry(session.id, None, "entropy", "truncated", note))


def _is_library_of_python(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return file.startswith(_STDLIB) and "-packages" not in file


# --- NumPy ------------------------------------------------------------------------------------------------------------


def _has_a_seed(frame: FrameType) -> bool:
    """Whether scikit-learn or SciPy makes a generator of a seed, which a forest does for each tree."""
    if frame.f_code.co_name != "check_random_state":
        return False
    return str(frame.f_globals.get("__name__")).partition(".")[0] in ("sklearn", "scipy")


@guarded
def _drawn(bits: int) -> None:
    thread_id = threading.get_ident()
    before = _pending.pop(thread_id, None)
    if before is not None:
        _put("numpy", before.call, before.bits, before.location, before.time)
    frame = program_frame(sys._getframe(1))
    if frame is None or frame.f_globals.get("__name__") == _DISCARDS or _is_library_of_python(frame) or is_off():
        return
    inside = seeding.get()
    call = inside[1] if inside is not None and inside[0] == "numpy" else "SeedSequence"
    _pending[thread_id] = _Draw(id(frame), frame.f_lasti, call, bits, place(frame), now_us())


class _Operator(ModuleType):
    """The module ``operator`` for NumPy's MT19937, which asks it for an index only to take a seed.

    The function that it gets is the original, so that no frame of histhooks is in the traceback of a seed that is none.
    """

    @property
    def index(self) -> Any:
        if _pending:
            _seeded()
        return operator.index


@guarded
def _seeded() -> None:
    draw = _pending.get(threading.get_ident())
    frame = program_frame(sys._getframe(1)) if draw is not None else None
    if draw is not None and frame is not None and draw[:2] == (id(frame), frame.f_lasti):
        del _pending[threading.get_ident()]
        if replay.plan is not None:
            replay.plan.put_back("numpy", draw.location, draw.bits)


@guarded
def _watch_numpy(module: ModuleType) -> None:
    bits, words = (sys.modules.get(f"{_RANDOM}.{name}") for name in ("bit_generator", "_mt19937"))
    if _undo:
        return
    if bits is None or words is None or "randbits" not in vars(bits) or vars(words).get("operator") is not operator:
        session = _engine.engine.session
        note = "this NumPy draws entropy in another way: generators that it makes without a seed are not kept"
        session.buffer.append(capture_entry(session.id, None, "entropy", "skipped", note))
        return
    draw, ours = vars(bits)["randbits"], _Operator("operator")
    vars(ours).update((name, value) for name, value in vars(operator).items() if name != "index")

    def randbits(k: int) -> int:
        given = _given(sys._getframe(1)) if replay.plan is not None else None
        drawn: int = draw(k) if given is None else given
        if _count < MOST and not _has_a_seed(sys._getframe(1)):
            _drawn(drawn)
        return drawn

    for holder, name, own, original in ((bits, "randbits", randbits, draw), (words, "operator", ours, operator)):
        setattr(holder, name, own)
        _undo.append(lambda a=holder, b=name, c=own, d=original: _put_back(a, b, c, d))  # type: ignore[misc]


@guarded
def _given(frame: FrameType) -> int | None:
    """What a recorded program drew here; None if nothing was kept."""
    asking = program_frame(frame)
    if replay.plan is None or asking is None or _has_a_seed(frame) or _is_library_of_python(asking):
        return None
    if asking.f_globals.get("__name__") == _DISCARDS or _count >= MOST:
        return None
    return replay.plan.take("numpy", place(asking))


def _put_back(holder: ModuleType, name: str, own: object, original: object) -> None:
    if vars(holder).get(name) is own:
        setattr(holder, name, original)


# --- random, torch ----------------------------------------------------------------------------------------------------


@guarded
def for_random(generator: Any) -> int | None:
    """A seed for a generator of `random` that is to have none.

    Returns
    -------
    int or None
        None where nothing is recorded of it, and it is left to seed itself.
    """
    if _count >= MOST or is_off() or _engine.engine.session.pid != os.getpid():
        return None  # a forked child seeds `random` before anything else
    frame = program_frame(sys._getframe(1))
    while frame is not None and frame.f_globals.get("__name__") == "random":
        frame = program_frame(frame.f_back)
    if frame is None or _is_library_of_python(frame):
        return None
    given = replay.plan.take("random", place(frame)) if replay.plan is not None else None
    bits = int.from_bytes(os.urandom(32), "little") if given is None else given
    call = "seed" if generator is sys.modules["random"]._inst else "Random"
    _put("random", call, bits, place(frame), now_us())
    return bits


@guarded
def given_to_torch(call: str) -> int | None:
    """The seed that a recorded program got from ``torch.seed()``, set here too; None if none was kept."""
    frame = program_frame(sys._getframe(1)) if replay.plan is not None and call == "seed" else None
    seed = replay.plan.take("torch", place(frame)) if replay.plan is not None and frame is not None else None
    if seed is not None:
        sys.modules["torch"].manual_seed(seed)
    return seed


@guarded
def of_torch(seed: Any) -> None:
    """Keep the seed that ``torch.seed()`` has drawn."""
    frame = program_frame(sys._getframe(1))
    if type(seed) is int and frame is not None and not is_off():
        _put("torch", "seed", seed, place(frame), now_us())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pending.clear)  # which is the parent's


def install() -> None:
    """Keep what NumPy draws from the system, once it is there."""
    global _count
    _count = 0
    when_imported(_RANDOM, _watch_numpy, _WHO)


def uninstall() -> None:
    """Put everything back."""
    no_longer(_RANDOM, _WHO)
    while _undo:
        _undo.pop()()
    _pending.clear()
