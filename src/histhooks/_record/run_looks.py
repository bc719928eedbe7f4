"""What a run knows of its data by content: digests, columns, sketches of rows, and rows that data sets share.

The training thread hands data over (:meth:`RunLooks.add`); the rest happens on the thread of
:mod:`histhooks._record.data_looks`. What follows from the content of a data set is recorded once in a session, in the
first run that has it: the id of the data set leads there if its hash covers all of it, else a digest that is the same.
"""

from __future__ import annotations

import hashlib
import sys
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import now_us
from histhooks._base.exceptions import in_words
from histhooks._base.values import dumps
from histhooks._collect.content import hold, sketch
from histhooks._collect.survey import content_row
from histhooks._host.failures import failures
from histhooks._host.store_location import is_strict
from histhooks._record import data_looks
from histhooks._record.data_pieces import Piece, Use
from histhooks._record.shared_rows import comparable
from histhooks._store.entries import capture_entry, content_entry, row_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from histhooks._collect.content import Look, RowHashes
    from histhooks._collect.flows import Transformer
    from histhooks._record.followed_rows import FollowedRows
    from histhooks._record.session import Session
    from histhooks._store.entries import Entry

_MOST = 64  # data sets of one run
_MOST_PIECES = 512  # of one session, by the id of their data set
_MOST_COLUMNS = 100
_MOST_SKETCHED = 4 << 20  # bytes of one session
COLLECTOR = "data_content"


class OfSession:
    """What a session has recorded of data by content.

    Attributes
    ----------
    pieces : dict
        The data that was handed over, by the id of its data set, where that says all of its content.
    contents : set of str
        Digests of data whose columns and sketch are recorded.
    datasets : set of str
        Data sets whose digests are recorded, by their ids.
    sketched : int
        Bytes of all sketches.
    followed : FollowedRows or None
        The rows that went through transformers.
    """

    __slots__ = ("contents", "datasets", "followed", "pieces", "sketched")

    def __init__(self) -> None:
        self.pieces: OrderedDict[str, Piece] = OrderedDict()
        self.contents: set[str] = set()
        self.datasets: set[str] = set()
        self.sketched = 0
        self.followed: FollowedRows | None = None


_of_sessions: weakref.WeakKeyDictionary[Session, OfSession] = weakref.WeakKeyDictionary()


class Item:
    """One data set of a run."""

    __slots__ = ("dataset_id", "is_whole", "piece", "role", "run_id")

    def __init__(self, run_id: str, role: str, dataset_id: str, piece: Piece, *, is_whole: bool) -> None:
        self.run_id, self.role, self.dataset_id, self.piece, self.is_whole = run_id, role, dataset_id, piece, is_whole


class RunLooks:
    """The data of one run.

    Parameters
    ----------
    session : Session
    run_id : str
    project : str
    begun_s : float, seconds
        When the run began, of ``time.perf_counter``.
    waits_s : float, seconds
        How long after that a look at large data may wait for more time; a fit keeps its data alive to its end.
    """

    def __init__(self, session: Session, run_id: str, project: str, begun_s: float, *, waits_s: float) -> None:
        self._session, self._run_id, self._project, self._begun_s = session, run_id, project, begun_s
        self._waits_s = waits_s
        self._of_session = _of_sessions.setdefault(session, OfSession())
        self.items: list[Item] = []
        self._open: list[Piece] = []
        self._told: set[str] = set()
        self._paired: set[tuple[str, int, str, int, str]] = set()
        self._traced: set[tuple[str, str]] = set()

    def add(
        self,
        put: Callable[[Any], None],
        role: str,
        dataset: dict[str, Any],
        X: Any,
        y: Any,
        against: Iterable[RunLooks] = (),
        piece: Piece | None = None,
        is_going_on: bool = True,
        groups: Any = None,
    ) -> bool:
        """Have data of the run looked at, by the thread that does so.

        Parameters
        ----------
        put : callable
            Takes entries of the run, also after its end.
        role : str
        dataset : dict
            The row of `datasets`.
        X, y : object
            The data, as far as it is at hand.
        against : iterable of RunLooks
            Of other runs, with whose training data it is compared.
        piece : Piece, optional
            The data, if it was handed over before.
        is_going_on : bool
            Whether the run is, so that large data may be referred to until its end.
        groups : object
            Which rows belong together, given beside the data.

        Returns
        -------
        bool
            Whether its values are read.
        """
        if len(self.items) >= _MOST or sys.modules.get("numpy") is None:
            return False
        is_whole = dataset["coverage"] == "all"
        piece = self._piece_of(dataset, X, y, piece, groups, is_whole=is_whole, is_going_on=is_going_on)
        if piece is None:
            return False
        item = Item(self._run_id, role, dataset["id"], piece, is_whole=is_whole)
        others = [self, *(looks for looks in against if looks is not self)]
        if role != "train" and piece.look is None:
            piece.train = next((one.piece for looks in others for one in looks.items if one.role == "train"), None)
        self.items.append(item)
        data_looks.looks.take(piece, Use(lambda _: self._try(put, item, others), self._session))
        if not piece.is_copy and is_going_on:
            self._open.append(piece)
        return piece.is_readable

    def _piece_of(
        self,
        dataset: dict[str, Any],
        X: Any,
        y: Any,
        held: Piece | None,
        groups: Any,
        *,
        is_whole: bool,
        is_going_on: bool,
    ) -> Piece | None:
        """The piece for a data set: one that is known already if it has the same content."""
        pieces = self._of_session.pieces
        known = pieces.get(dataset["id"]) if is_whole and groups is None else None
        if known is not None and not known.is_forgotten:
            return known
        size, waits_s = dataset["size_bytes"], self._waits_s
        piece = held or held_piece(X, y, self._project, self._begun_s, size, waits_s=waits_s, groups=groups)
        if piece is None:
            return None
        if held is None and not piece.is_copy and not is_going_on:
            piece.held, piece.why = None, "the call that it was given to had ended"
        elif is_whole and piece.is_copy and groups is None:
            pieces[dataset["id"]] = piece
            if len(pieces) > _MOST_PIECES:
                pieces.popitem(last=False)
        return piece

    def transformer(self, class_name: str, requires_fit: bool, uses_target: bool) -> Transformer | None:
        """A transformer that was fitted on the training data of this run; None if that is not looked at."""
        item = next((item for item in self.items if item.role == "train"), None)
        if item is None:
            return None
        from histhooks._collect.flows import Transformer

        def fitted() -> Any:
            data_looks.looks.ensure(item.piece)
            return item.piece.rows

        return Transformer(class_name, self._run_id, requires_fit, uses_target, item.dataset_id, fitted)

    def came_out(self, transformer: Transformer, X: Any, out: Any) -> None:
        """Follow the rows that a transformer of this run has transformed."""
        of_session = self._of_session
        if of_session.followed is None:
            from histhooks._record.followed_rows import FollowedRows

            of_session.followed = FollowedRows()
        of_session.followed.came_out(self._session, self._project, transformer, X, out)

    def let_go(self) -> None:
        """Forget data that is no copy; the call that it was given to ends."""
        if self._open:
            pieces, self._open = self._open, []
            data_looks.looks.let_go(pieces)

    # --- on the thread that looks -----------------------------------------------------------------------------------

    def _try(self, put: Callable[[Any], None], item: Item, others: list[RunLooks]) -> None:
        try:
            entries = self._entries(item, others)
        except Exception as error:
            entries = [self._capture(item.role, "failed", in_words(error))]
            failures.report("data", error)
            if is_strict():
                data_looks.looks.hand_over(self._session, put, entries)
                raise
        data_looks.looks.hand_over(self._session, put, entries)

    def _entries(self, item: Item, others: list[RunLooks]) -> list[Entry]:
        piece, of_session = item.piece, self._of_session
        entries: list[Entry] = []
        look = piece.look
        if look is not None and look.digests:
            whole = _whole(look)
            is_new = whole not in of_session.contents
            if not item.is_whole or item.dataset_id not in of_session.datasets:
                of_session.datasets.add(item.dataset_id)
                entries += self._digests(item, look)
            if is_new:
                entries += self._columns(item, look)
                if item.piece.rows is not None:
                    entries += self._sketch(item, of_session, "features", item.piece.rows)
                of_session.contents.update([whole] if whole else [])
            for marks in look.named if item.role == "train" else ():
                if marks.rows is not None:
                    entries += self._sketch(item, of_session, marks.part, marks.rows)
        entries += self._overlaps(item, others)
        entries += self._transforms(item)
        if note := self._outcome(item):
            entries.append(self._capture(item.role, *note))
        return entries

    def _row(self, table: str, row: dict[str, Any]) -> Entry:
        return row_entry(table, self._run_id, {"run_id": self._run_id, **row, "time": now_us()})

    def _capture(self, role: str, status: str, note: str) -> Entry:
        return capture_entry(self._session.id, self._run_id, COLLECTOR, status, f"{role}: {note}")

    def _digests(self, item: Item, look: Look) -> list[Entry]:
        key = item.piece.key
        key_id = None if key is None else key.id
        rows = []
        for one in look.digests:
            is_keyed = one["part"] in _KEYED
            if is_keyed and key_id is None:
                continue  # nobody could compare it
            columns = {name: one[name] for name in _DIGEST} | {"key_id": key_id if is_keyed else None}
            rows.append(self._row("dataset_digests", {"dataset_id": item.dataset_id, **columns}))
        return rows

    def _columns(self, item: Item, look: Look) -> list[Entry]:
        return [
            self._row(
                "dataset_columns",
                {
                    "dataset_id": item.dataset_id,
                    "position": one["position"],
                    "name": one["name"],
                    "facts": dumps(one["facts"], ""),
                },
            )
            for one in look.columns[:_MOST_COLUMNS]
        ]

    def _sketch(self, item: Item, of_session: OfSession, part: str, rows: RowHashes) -> list[Entry]:
        """The sketch of rows, or of the groups that they are of, which are recorded once for each data set."""
        key = item.piece.key
        if key is None or key.id is None:
            return []
        told, data = sketch(rows)
        of_session.sketched += len(data)
        if not data or of_session.sketched > _MOST_SKETCHED:
            return []
        digest = hashlib.sha256(data).hexdigest()
        if part != "features":
            if (known := f"{item.dataset_id} {part} {digest}") in of_session.contents:
                return []
            of_session.contents.add(known)
        row = {"dataset_id": item.dataset_id, "part": part, "key_id": key.id}
        row |= {name: told[name] for name in ("n_rows", "n_distinct", "theta")}
        return [
            content_entry("contents", content_row(digest, "row_sketch", data)),
            self._row("dataset_sketches", {**row, "content_sha256": digest}),
        ]

    # --- overlaps -----------------------------------------------------------------------------------------------------

    def _overlaps(self, item: Item, others: list[RunLooks]) -> list[Entry]:
        """The rows that it shares with training data; each pair once, by the one of the two that comes last."""
        found: list[Entry] = []
        for looks in others:
            for other in list(looks.items):
                if other is item:
                    continue
                if looks is not self and other.role == "train":
                    data_looks.looks.ensure(other.piece)
                if item.role != "train" and other.role == "train":
                    found += self._overlap(item, other)
                elif looks is self and item.role == "train" and other.role != "train":
                    found += self._overlap(other, item)
        return found

    def _overlap(self, item: Item, train: Item) -> list[Entry]:
        out = []
        row: dict[str, Any] = {"dataset_id": item.dataset_id, "other_dataset_id": train.dataset_id}
        row["other_run_id"] = None if train.run_id == self._run_id else train.run_id
        for part, count in comparable(item.piece, train.piece):
            counts = count() if self._is_new(item, train, part) else None
            if counts is not None:
                out.append(self._row("dataset_overlaps", {**row, "part": part, **counts}))
            if part == "features":
                data_looks.looks.used(train.piece)
        return out

    # --- transformers -------------------------------------------------------------------------------------------------

    def _transforms(self, item: Item) -> list[Entry]:
        """The transformers that the data came out of; once for each role and data."""
        followed = self._of_session.followed
        if followed is None or (item.role, item.dataset_id) in self._traced:
            return []
        self._traced.add((item.role, item.dataset_id))
        found = []
        for position, step in enumerate(followed.steps(item.piece)):
            one = step.transformer
            row = {"position": position, "class_name": one.class_name, "transform_run_id": one.run_id}
            row |= {"fitted_dataset_id": one.dataset_id, "role": item.role}
            row |= {"n_rows": step.n_rows, "n_fitted": step.n_fitted, "by": step.by}
            row |= {"uses_target": one.uses_target, "requires_fit": one.requires_fit, "state_sha256": None}
            found.append(self._row("transforms", row))
        for note in followed.notes if found else ():
            found.append(capture_entry(self._session.id, self._run_id, "transforms", "truncated", note))
        return found

    def _is_new(self, item: Item, train: Item, part: str) -> bool:
        pair = (item.dataset_id, id(item.piece), train.dataset_id, id(train.piece), part)
        if pair in self._paired:
            return False
        self._paired.add(pair)
        return True

    def _outcome(self, item: Item) -> tuple[str, str] | None:
        """What came of it, where a reader of the run must know; each role once."""
        piece, look = item.piece, item.piece.look
        if item.role in self._told or look is None or not piece.is_readable:
            return None
        why = piece.why or look.why or look.named_why or look.columns_why
        if not look.digests:
            status, note = "skipped", f"it was not looked at: {why}"
        elif any(one["coverage"] != "all" for one in look.digests) or why:
            share = f"digests cover {look.share:.0%} of the rows" if look.share < 1 else "not all of it was looked at"
            status, note = "truncated", share + (f": {why}" if why else "")
        elif piece.key is not None and piece.key.id is None:
            status, note = "ok", f"hashes of rows are of this process only: {piece.key.why}"
        else:
            return None
        self._told.add(item.role)
        return status, note


def _whole(look: Look) -> str:
    """The digest by which data is known again; empty if not all of it was hashed."""
    return next((one["digest"] for one in look.digests if (one["part"], one["coverage"]) == ("all", "all")), "")


_KEYED = ("rows", "order")
_DIGEST = ("algorithm", "part", "digest", "coverage", "n_rows", "size_bytes", "duration_s")


def held_piece(
    X: Any, y: Any, project: str, begun_s: float, size: int | None, *, waits_s: float, groups: Any = None
) -> Piece | None:
    """Data that is handed over; None if its values cannot be read."""
    stands_for = vars(type(X)).get("stands_for")
    held = hold(X if stands_for is None else stands_for(), y, groups=groups)
    if held.coverage == "none" and not held.is_part:
        return None
    return Piece(held, project, size or 1 << 20, begun_s, waits_s=waits_s)
