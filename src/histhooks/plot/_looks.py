"""The colours and dashes of curves: those of a run come from its id, so that they are the same in every picture and on
every page, today and tomorrow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histhooks.plot._curves import Curve

# For people with any colour vision: on grounds of any theme, and on white. Pages have those on white, and a shade of
# each for their dark theme, in static/histhooks.css.
COLOURS = ("#0072b2", "#f5480c", "#867686", "#169d43", "#7a45f1", "#d68485", "#3b9df7", "#a63c4c")
ON_WHITE = ("#0072b2", "#b95a04", "#272f57", "#0a906b", "#4428e6", "#f92c70", "#588eff", "#6a3f00")
DASHES = ("", "7 4", "2 3", "9 3 2 3")  # those of the canvas too, in static/chart.js
Look = tuple[int, int]  # the place of a colour, and of a pattern of dashes


def colour_of(run_id: str) -> int:
    """Which colour a run has by its id alone."""
    return int(hashlib.sha256(run_id.encode()).hexdigest()[:8], 16) % len(COLOURS)


def dash_of(run_id: str) -> int:
    """Which dash a run has beside its colour."""
    return int(hashlib.sha256(run_id.encode()).hexdigest()[8:16], 16) % len(DASHES)


def looks_of(ids: Iterable[str]) -> dict[str, Look]:
    """The colour and the dash of some runs that are compared.

    Eight runs have eight colours, and no two of thirty-two look alike. A run has those of its id, unless an older one
    of them has its colour, or later its look; a run that is newer than all changes no other.
    """
    found: dict[str, Look] = {}
    for run_id in sorted({*ids}):  # ids follow the time
        colour, dash = colour_of(run_id), dash_of(run_id)
        colours = [(colour + more) % len(COLOURS) for more in range(len(COLOURS))]
        used, taken = {own for own, _ in found.values()}, {*found.values()}
        free = [(one, dash) for one in colours if one not in used]
        free += [(one, (dash + turn) % len(DASHES)) for turn in range(len(DASHES)) for one in colours]
        found[run_id] = next((look for look in free if look not in taken), (colour, dash))
    return found


def at(place: int, first: int = 0) -> Look:
    """The look of a curve by its place among others."""
    return (first + place) % len(COLOURS), place // len(COLOURS) % len(DASHES)


def looks_for(curves: Sequence[Curve]) -> list[Look]:
    """The looks of the curves of a chart.

    Of several runs the colour tells the run, and where there are several metrics the dash tells the metric; of one run
    the colour tells the metric.
    """
    runs, names = list(dict.fromkeys(c.run_id for c in curves)), list(dict.fromkeys(c.name for c in curves))
    if len(runs) == 1:
        return [at(place, colour_of(runs[0])) for place in range(len(curves))]
    looks = looks_of(runs)
    if len(names) == 1:
        return [looks[curve.run_id] for curve in curves]
    if len(runs) <= len(COLOURS) and len(names) <= len(DASHES):
        return [(looks[curve.run_id][0], names.index(curve.name)) for curve in curves]
    return [at(place) for place in range(len(curves))]
