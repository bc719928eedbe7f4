"""Put random generators back where those of a recorded program stood, in a process that repeats it.

``histhooks reproduce`` writes a plan and names it in HISTHOOKS_REPLAY. The first process that begins to record takes
it, so that children do not start from the states of their parent. Where recording would read a state, the kept one is
set first (:mod:`histhooks._record.rng_states`), and a generator that is made without a seed gets the n-th number that
was kept for its place (:mod:`histhooks._record.entropy`). What was restored is recorded like any other state.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from types import ModuleType
from typing import Any

from histhooks._base.secret_shapes import lazily
from histhooks._host.guard import guarded
from histhooks._record import engine as _engine
from histhooks._store.entries import capture_entry

VARIABLE = "HISTHOOKS_REPLAY"
COLLECTOR = "replay"
# Cells have other names in each kernel; `histhooks reproduce` runs them as the script cells.py or cells.ipy.
_CELL = lazily(r"ipykernel_|<ipython-input|<python-input|(?:^|[\\/])cells\.(?:py|ipy):")
_FRESH_NUMPY = 16  # bytes of a state that is kept by the entropy that it was made from


class Replay:
    """What to put back.

    Parameters
    ----------
    plan : dict
        `states`: a list of `library`, `device`, `point` and `state` (hexadecimal, in the form of docs/randomness.md);
        `entropy`: numbers by library and location, as :func:`key_of` writes them; `run`: the id of the run; `turn`: a
        number that tells repetitions of one run apart, if there is one.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self.run_id: str = plan["run"]
        self.turn: int | None = plan.get("turn")
        self.is_told = False
        self.numpy_entropy: int | None = None
        self._states = {(row["library"], row["point"]): row for row in plan["states"]}
        self._gpus = [row for row in plan["states"] if str(row["device"] or "").startswith("cuda")]
        self._entropy = {key: deque(map(int, values)) for key, values in plan["entropy"].items()}
        self._taken: set[int] = set()
        self.n_lacking = 0
        self.restored: list[str] = []

    def restore(self, name: str, point: str) -> None:
        """Set the global generator of a library to its kept state, if it was kept at this point.

        Parameters
        ----------
        name : str
            `random`, `numpy.random` or `torch`.
        point : str
            Of `rng_states`: `process_start`, `import` or `first_seen`.
        """
        library = name.partition(".")[0]
        row = self._states.get((library, point))
        if row is None:
            return
        data = bytes.fromhex(row["state"])
        _SETTERS[name](sys.modules[name], data)
        if library == "numpy" and len(data) == _FRESH_NUMPY:
            self.numpy_entropy = int.from_bytes(data, "little")
        self.restored.append(library)
        if name == "torch" and self._gpus and sys.modules[name].cuda.is_initialized():
            torch = sys.modules[name]
            for gpu in self._gpus:
                generator = torch.cuda.default_generators[int(gpu["device"].partition(":")[2])]
                generator.set_state(torch.tensor(list(bytes.fromhex(gpu["state"])), dtype=torch.uint8))

    def take(self, library: str, location: str) -> int | None:
        """The next number that was kept for a place; None if there is none."""
        left = self._entropy.get(key_of(library, location))
        if not left:
            self.n_lacking += 1
            return None
        bits = left.popleft()
        self._taken.add(bits)
        return bits

    def put_back(self, library: str, location: str, bits: int) -> None:
        """Undo :meth:`take`, for a number that the program drops."""
        if bits in self._taken:
            self._taken.discard(bits)
            self._entropy[key_of(library, location)].appendleft(bits)

    @property
    def n_left(self) -> int:
        """Kept numbers that nothing asked for."""
        return sum(map(len, self._entropy.values()))


plan: Replay | None = None


def key_of(library: str, location: str) -> str:
    """The name of a place; of an installed package without where it is installed, of a notebook without the cell."""
    if _CELL.search(location):
        return f"{library} cells"
    inside = location.rpartition("-packages/")
    return f"{library} {inside[2]}"


# --- states -----------------------------------------------------------------------------------------------------------


def _set_random(module: ModuleType, data: bytes) -> None:
    import struct

    gauss = struct.unpack("<d", data[2501:])[0] if data[2500] else None
    module.setstate((3, struct.unpack("<625I", data[:2500]), gauss))


def _set_numpy(module: ModuleType, data: bytes) -> None:
    import struct

    if len(data) == _FRESH_NUMPY:
        made = module.MT19937(module.SeedSequence(int.from_bytes(data, "little"))).state
        module.set_state({**made, "has_gauss": 0, "gauss": 0.0})
    elif data[:1] == b"{":  # another generator than MT19937, as JSON
        import json

        module.set_state(json.loads(data))
    else:
        words = sys.modules["numpy"].frombuffer(data[:2496], "<u4")
        module.set_state(("MT19937", words, *struct.unpack("<iid", data[2496:])))


def _set_torch(module: ModuleType, data: bytes) -> None:
    import struct

    if len(data) == 8:
        module.default_generator.manual_seed(struct.unpack("<Q", data)[0])
    else:
        module.default_generator.set_state(module.tensor(list(data), dtype=module.uint8))


_SETTERS = {"random": _set_random, "numpy.random": _set_numpy, "torch": _set_torch}


# --- life -------------------------------------------------------------------------------------------------------------


@guarded
def begin() -> None:
    """Take the plan that the environment names, unless another process has taken it."""
    global plan
    path = os.environ.get(VARIABLE)
    if not path or plan is not None:
        return
    taken = f"{path}.{os.getpid()}"
    try:
        os.rename(path, taken)
    except OSError:  # a child of the process that took it
        return
    import json

    with open(taken, encoding="ascii") as file:
        plan = Replay(json.load(file))
    os.unlink(taken)


def note_of(run_id: str, turn: int | None) -> str:
    """What a session that repeats a run says of itself, in `captures`."""
    return f"repeats run {run_id}" + (f", turn {turn}" if turn is not None else "")


def repeated_in(note: str) -> str:
    """The run that such a note names."""
    return note.removeprefix("repeats run ").partition(",")[0]


@guarded
def at_run_start(run: object) -> None:
    """Record what this session repeats, before its first run; a program without `autolog()` takes its plan here."""
    begin()
    if plan is not None and not plan.is_told:
        plan.is_told = True
        session = _engine.engine.session
        session.buffer.append(capture_entry(session.id, None, COLLECTOR, "ok", note_of(plan.run_id, plan.turn)))


@guarded
def at_session_end() -> None:
    """Record what was restored, and what was not needed."""
    if plan is None:
        return
    notes = [f"restored {', '.join(plan.restored) or 'no generator'}"]
    if plan.n_lacking:
        notes.append(f"{plan.n_lacking} generators were made that no number was kept for")
    if plan.n_left:
        notes.append(f"{plan.n_left} kept numbers were not asked for")
    session = _engine.engine.session
    status = "truncated" if plan.n_lacking or plan.n_left else "ok"
    session.buffer.append(capture_entry(session.id, None, COLLECTOR, status, "; ".join(notes)))


_engine.engine.at_run_start.append(at_run_start)
_engine.engine.at_session_end.append(at_session_end)
