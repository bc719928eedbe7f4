"""Numbers that lie on a device: copied there when they are recorded, read by the writer once they are computed.

Reading a CUDA tensor waits for everything that the device still has to do. So the number is cloned on the current
stream (a bare reference would follow what the program does to it in place), an event is recorded behind the clone, and
the writer asks now and then whether the event has passed; what is ready is read in one copy for each device, on a
stream of our own. While a graph is captured, nothing is cloned and nothing is asked: either would end the capture.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from histhooks._store.entries import Source

# Held while a graph is captured, and while the writer talks to a device.
capturing = threading.Lock()
_streams: dict[str, Any] = {}


class OnDevice:
    """A number on its way.

    Parameters
    ----------
    tensor : torch.Tensor with one element, on a CUDA device
        Cloned here; what the program does to it later changes nothing.

    Raises
    ------
    TypeError
        Where the device is of another kind, or records a graph.
    """

    __slots__ = ("copy", "event")

    def __init__(self, tensor: Any) -> None:
        torch = sys.modules["torch"]
        if tensor.device.type != "cuda":
            raise TypeError(f"a number on a device of type {tensor.device.type} cannot be read without waiting for it")
        if torch.cuda.is_current_stream_capturing():
            raise TypeError("a number cannot be read while a graph is captured")
        with torch.cuda.device(tensor.device):
            self.copy = tensor.detach().reshape(()).clone()
            self.event = torch.cuda.Event()
            self.event.record()

    def is_ready(self) -> bool:
        """Whether the device has computed it."""
        return bool(self.event.query())


def read(values: Iterable[OnDevice]) -> dict[int, float]:
    """Numbers that are ready, by the identity of what held them; one copy for each device and type."""
    torch = sys.modules["torch"]
    groups: dict[tuple[Any, Any], list[OnDevice]] = {}
    for value in values:
        groups.setdefault((value.copy.device, value.copy.dtype), []).append(value)
    found: dict[int, float] = {}
    for (device, _), group in groups.items():
        with torch.no_grad(), torch.cuda.stream(_stream_of(device)):
            numbers = torch.stack([value.copy for value in group]).cpu().tolist()
        found |= {id(value): float(number) for value, number in zip(group, numbers, strict=True)}
    return found


def _stream_of(device: Any) -> Any:
    """A stream of our own on a CUDA device, so that a copy waits for nothing that the program does."""
    if device.type == "cuda" and str(device) not in _streams:
        _streams[str(device)] = sys.modules["torch"].cuda.Stream(device)
    return _streams.get(str(device))


class Reading:
    """One point whose value is the mean of numbers of which some lie on a device; an entry ``("later", Reading)``."""

    __slots__ = ("epoch", "name", "run", "step", "time_ns", "values")

    def __init__(
        self, run: Source, name: str, values: list[float | OnDevice], step: int | None, epoch: int | None, time_ns: int
    ) -> None:
        self.run, self.name, self.values = run, name, values
        self.step, self.epoch, self.time_ns = step, epoch, time_ns


class Waiting:
    """Points that wait for a device, in the order of their recording."""

    def __init__(self) -> None:
        self._readings: list[Reading] = []

    def __len__(self) -> int:
        return len(self._readings)

    def sift(self, entries: list[tuple[Any, ...]], put_back: Callable[[Any], None]) -> list[tuple[Any, ...]]:
        """Take out what has to wait, and what must not overtake it.

        Parameters
        ----------
        entries : list of tuple
            Entries of the buffer.
        put_back : callable
            Takes each entry that has to come again later.

        Returns
        -------
        list of tuple
            Those that can be written now.
        """
        if not self._readings and not any(entry[0] == "later" for entry in entries):
            return entries
        now = []
        for entry in entries:
            if entry[0] == "later":
                self._readings.append(entry[1])
            elif entry[0] == "after" or (entry[0] == "forget" and self._holds(entry[1])):
                put_back(entry)
            else:
                now.append(entry)
        return now

    def _holds(self, run_id: str) -> bool:
        return any(reading.run.id == run_id for reading in self._readings)

    def ready(self) -> list[tuple[Any, ...]]:
        """Entries of the points that have become known; never waits for a device."""
        if not self._readings or not capturing.acquire(blocking=False):
            return []
        try:
            count = 0
            for reading in self._readings:
                if not all(isinstance(value, float) or value.is_ready() for value in reading.values):
                    break
                count += 1
            known, self._readings = self._readings[:count], self._readings[count:]
            numbers = read([value for reading in known for value in reading.values if isinstance(value, OnDevice)])
        finally:
            capturing.release()
        return [_entry(reading, numbers) for reading in known]

    def give_up(self) -> int:
        """Drop what never came; give how many points that were."""
        count = len(self._readings)
        self._readings = []
        return count


def _entry(reading: Reading, numbers: dict[int, float]) -> tuple[Any, ...]:
    found = [numbers[id(value)] if isinstance(value, OnDevice) else value for value in reading.values]
    mean = sum(found) / len(found)
    return (reading.run, {reading.name: mean}, reading.step, reading.epoch, reading.time_ns)
