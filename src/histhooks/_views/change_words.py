"""A difference in words, for the terminal and for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histhooks._base.text import number, plain, seconds, value_text

if TYPE_CHECKING:
    from histhooks.history.compare.change import Change, Part
    from histhooks.history.compare.differences import Differences

_FEW, _FEW_INSIDE = 24, 6
_CURVE = ("last", "best", "mean", "points", "not_finite", "first", "min", "max")
_HASHES = (32, 40, 64)


def few(part: Part) -> list[Change]:
    """The first changes; of those inside one result, such as the coefficients of a model, the first of these."""
    shown: list[Change] = []
    inside: dict[str, int] = {}
    for each in part.changes:
        whole = each.key.partition(".")[0]
        inside[whole] = inside.get(whole, 0) + 1
        if part.name != "results" or inside[whole] <= _FEW_INSIDE:
            shown.append(each)
    return shown[:_FEW]


def values(change: Change) -> tuple[str, str]:
    """The value in A and in B; empty for a run that has none."""
    texts = [value(one, change.key) for one in (change.a, change.b)]
    if texts[0] == texts[1] and change.kind == "changed":  # they differ further down
        texts = [plain(value_text(one, 10_000, is_exact=True)) for one in (change.a, change.b)]
    return (texts[0] if change.is_in_a else "", texts[1] if change.is_in_b else "")


def value(of: Any, key: str) -> str:
    """A value as people read it; of a hash the beginning."""
    if key.endswith("_s") and isinstance(of, float):
        return seconds(of)
    if isinstance(of, str) and len(of) in _HASHES and all(letter in "0123456789abcdef" for letter in of):
        return of[:12]
    if of is None or isinstance(of, float):
        return "none" if of is None else number(of)
    return plain(value_text(of, 80))


def curve(change: Change) -> list[tuple[str, str, str]]:
    """What differs between two curves (last, best, …), with the value in A and in B; empty for a run without."""
    a, b = change.a or {}, change.b or {}
    if change.kind != "changed":
        told = ["last", "best"]
    else:
        # A difference at the ends stands for the rest, too.
        differing = [key for key in _CURVE if a.get(key) != b.get(key)]
        told = [key for key in differing if key in _CURVE[:5]] or differing
    before, after = (
        [number(row.get(key)) if is_there else "" for key in told]
        for row, is_there in ((a, change.is_in_a), (b, change.is_in_b))
    )
    return list(zip([key.replace("_", " ") for key in told], before, after, strict=True))


def gain(change: Change) -> str:
    """Whether a metric is better or worse in B, and by how much: ``better by 12.5%, on other data``."""
    if not change.note or change.kind != "changed":
        return change.note or ""
    before, after = (each.get("mean") if each["best"] is None else each["best"] for each in (change.a, change.b))
    share = f" by {abs(after - before) / abs(before):.1%}" if before else ""
    return f"{change.note}{share}{', on other data' if change.a.get('data') != change.b.get('data') else ''}"


def verdict(found: Differences) -> str:
    """The closing sentence."""
    counted = [part.name for part in found.parts if any(change.counts for change in part.changes)]
    return {
        True: f"They differ in {', '.join(counted)}.",
        False: "Nothing that counts differs.",
        None: "Nothing that is recorded differs, but not all that counts is recorded.",
    }[found.differs]
