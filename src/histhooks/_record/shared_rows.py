"""What two pieces of data can be compared by, once both were looked at: columns of `dataset_overlaps`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from histhooks._collect.content import index_overlap, overlap
from histhooks._collect.content_named import shared

if TYPE_CHECKING:
    from histhooks._record.data_pieces import Piece

_FEATURES = ("n_rows", "n_equal", "n_twins", "is_identifying", "method")


def comparable(one: Piece, other: Piece) -> Iterator[tuple[str, Callable[[], dict[str, Any] | None]]]:
    """Each part that two pieces have in common, and what counts the rows of the first that are in the other.

    Parts are `index` (numbers of samples), those of the columns that the program named, and `features`.
    """
    a, b = one.part, other.part
    if a is not None and b is not None:
        yield "index", lambda: _with_key(index_overlap(a, b), None)
    if one.key is None or other.key is None or one.key.secret != other.key.secret:
        return
    key_id = other.key.id
    ours = one.look.named if one.look is not None else []
    theirs = {marks.part: marks for marks in (other.look.named if other.look is not None else [])}
    for marks in ours:
        its = theirs.get(marks.part)
        if its is not None:
            yield marks.part, _counter(marks, its, key_id)
    rows, its_rows = one.rows, other.rows
    if rows is not None and its_rows is not None:
        found, its_found = rows, its_rows
        yield "features", lambda: _with_key(_of_features(overlap(found, its_found)), key_id)


def _counter(marks: Any, its: Any, key_id: str | None) -> Callable[[], dict[str, Any] | None]:
    return lambda: _with_key(shared(marks, its), key_id if marks.rows is not None else None)


def _of_features(counts: dict[str, Any]) -> dict[str, Any]:
    return {name: counts[name] for name in _FEATURES}


def _with_key(counts: dict[str, Any] | None, key_id: str | None) -> dict[str, Any] | None:
    return None if counts is None else {**counts, "key_id": key_id}
