"""Data on its way to the thread that looks at it (:mod:`histhooks._record.data_looks`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histhooks._collect.content import Held, Look, RowHashes
    from histhooks._host.row_key import RowKey


class Piece:
    """Data that waits to be looked at, and what was seen of it.

    Attributes
    ----------
    held : Held or None
        None once it was looked at, or let go.
    project : str
        Whose key its rows are hashed with.
    begun_s : float, seconds
        When its fit began, of ``time.perf_counter``.
    waits_s : float, seconds
        How long after that a look may wait for more time.
    look : Look or None
        What was seen; None while it waits.
    rows : RowHashes or None
        Kept as long as there is room.
    part : Held or None
        Which rows of a Dataset it has, without their values.
    is_readable, is_whole : bool
        Whether its values, or names of its rows, can be read; and whether all of its values can.
    train : Piece or None
        The training data, at whose edges its values are counted.
    key : RowKey or None
    is_late, is_spoilt, is_unmarked : bool
        Whether it was still being read when its fit had ended; and whether its digests, and what its named columns say,
        were not there yet.
    is_forgotten : bool
        Whether its rows were kept, and had to give way.
    why : str
        Why not all was seen.
    cost_s : float, seconds
        Processor time.
    """

    __slots__ = (
        "__weakref__",
        "begun_s",
        "cost_s",
        "held",
        "is_done",
        "is_forgotten",
        "is_late",
        "is_let_go",
        "is_readable",
        "is_spoilt",
        "is_unmarked",
        "is_whole",
        "key",
        "look",
        "part",
        "project",
        "rows",
        "size",
        "train",
        "uses",
        "waits_s",
        "why",
    )  # fmt: skip

    def __init__(self, held: Held | None, project: str, size: int, begun_s: float, *, waits_s: float) -> None:
        self.held, self.project, self.size, self.begun_s = held, project, size, begun_s
        self.waits_s = waits_s
        self.is_readable = held is not None and held.coverage != "none"
        self.is_whole = held is not None and held.coverage == "all"
        self.part: Held | None = None
        self.train: Piece | None = None
        self.look: Look | None = None
        self.rows: RowHashes | None = None
        self.key: RowKey | None = None
        self.why = ""
        self.cost_s = 0.0
        self.is_late = self.is_spoilt = self.is_unmarked = False
        self.is_done = self.is_let_go = self.is_forgotten = False
        self.uses: list[Use] = []

    @property
    def is_hashed(self) -> bool:
        """Whether its digests are there, or it is done."""
        return self.is_done or (self.look is not None and bool(self.look.digests))

    @property
    def is_copy(self) -> bool:
        """Whether nothing of the program's data is kept alive."""
        return self.held is None or self.held.is_copy


class Use:
    """What is done with a piece once it was looked at.

    Parameters
    ----------
    function : callable
        Takes the piece, on the thread that looked.
    owner : object
        The session that it is done for.
    """

    __slots__ = ("function", "owner")

    def __init__(self, function: Callable[[Piece], None], owner: object) -> None:
        self.function, self.owner = function, owner
