"""How data was split: the function or the splitter, its settings, and how many samples went where.

A row belongs to the run in which the split was made, else to the session. Settings are JSON of single values: an array
among them is its class and its length, a generator its class, and a setting that is whether something was given is true
or false. Of one run 50 are kept, and 200 of a process outside of runs; then a row of `captures` says so.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import now_us
from histhooks._base.exceptions import answer
from histhooks._base.values import dumps
from histhooks._host.store_location import is_off
from histhooks._record import engine as _engine
from histhooks._record.run import current
from histhooks._store.entries import capture_entry, row_entry

if TYPE_CHECKING:
    from histhooks._record.run import Run

_IN_RUN, _OUTSIDE = 50, 200
_PLAIN = (bool, int, float, str, type(None))
_LONGEST = 20  # values of a list that are kept
_known: weakref.WeakKeyDictionary[Run, set[tuple[str, str]]] = weakref.WeakKeyDictionary()
_outside: dict[str, int] = {}  # by session


def log_split(
    function: str,
    arguments: Mapping[str, Any],
    *,
    n_in: int | None = None,
    n_out: Sequence[int] | None = None,
    shuffled: bool | None = None,
    location: str | None = None,
    run: Run | None = None,
    once: bool = False,
) -> None:
    """For integrations: record that data was split.

    Parameters
    ----------
    function : str
        What split it, such as ``train_test_split`` or ``KFold``.
    arguments : mapping of str to object
        Its settings, the defaults included.
    n_in : int, optional
        How many samples were split.
    n_out : sequence of int, optional
        How many each part has.
    shuffled : bool, optional
        Whether the order of the samples was changed; None where that is not known.
    location : str, optional
        `file:line` of the call.
    run : Run, optional
        By default the current one.
    once : bool
        Whether a second one with the same settings in the same run is left out.
    """
    run = run or current.get()
    if run is not None and not (run.is_recorded and run.status == "running"):
        run = None
    if run is None and is_off():
        return
    session = _engine.engine.session
    settings = dumps({key: _setting(value) for key, value in arguments.items()}, "")
    if not _has_room(run, session, (function, settings) if once else None):
        return
    row: dict[str, Any] = {"session_id": session.id, "run_id": None if run is None else run.id, "function": function}
    row |= {"arguments": settings, "n_in": n_in, "n_out": None if n_out is None else dumps(list(n_out), "")}
    row |= {"shuffled": None if shuffled is None else int(shuffled), "location": location, "time": now_us()}
    put = session.buffer.append if run is None else run.put
    put(row_entry("splits", row["run_id"] or session.id, row))


def _has_room(run: Run | None, session: Any, key: tuple[str, str] | None) -> bool:
    if run is None:
        count = _outside[session.id] = _outside.get(session.id, 0) + 1
        most = _OUTSIDE
    else:
        known = _known.setdefault(run, set())
        if key in known:
            return False
        known.add(key or (str(len(known)), ""))
        count, most = len(known), _IN_RUN
    if count == most + 1:
        note = f"{most} were kept, and no more"
        if run is None:
            session.buffer.append(capture_entry(session.id, None, "splits", "truncated", note))
        else:
            run.capture("splits", "truncated", note)
    return count <= most


def _setting(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in (list, tuple) and len(value) <= _LONGEST and all(type(one) in _PLAIN for one in value):
        return list(value)
    item = getattr(kind, "item", None)
    if item is not None and answer(None, getattr, value, "ndim", None) == 0:
        plain = answer(None, item, value)  # a number of NumPy
        return plain if type(plain) in _PLAIN else kind.__qualname__
    length = answer(None, len, value) if hasattr(kind, "__len__") else None
    return kind.__qualname__ if length is None else f"{kind.__qualname__} of {length}"


def settings_of(splitter: Any) -> dict[str, Any]:
    """For integrations: the settings of a splitter, as far as it holds them under the names of its constructor.

    Parameters
    ----------
    splitter : object
        With a method ``split``, as scikit-learn's; or a list of pairs of indices.

    Returns
    -------
    dict
        `n_splits`, `shuffle`, `random_state` and what else it has.
    """
    from histhooks._hooks.signatures import parameters_of

    nothing: dict[str, Any] = {}
    held = answer(nothing, object.__getattribute__, splitter, "__dict__")
    if type(held) is not dict or not held:
        return {"n_splits": len(splitter)} if type(splitter) in (list, tuple) else {}
    if type(held.get("cv")) is list:  # scikit-learn's wrapper of pairs of indices
        return {"n_splits": len(held["cv"])}
    names = parameters_of(type(splitter)).by_keyword
    found = {name: value for name, value in held.items() if name in names}
    return found | (held["cvargs"] if type(held.get("cvargs")) is dict else {})  # of those that repeat


def is_shuffled(splitter: Any) -> bool | None:
    """For integrations: whether a splitter changes the order of the samples; None if it does not say."""
    settings = settings_of(splitter)
    if type(settings.get("shuffle")) is bool:
        return bool(settings["shuffle"])
    bases = {base.__qualname__ for base in type(splitter).__mro__}
    return True if bases & {"BaseShuffleSplit", "_RepeatedSplits"} else None
