"""Patches as pages show them: line by line, or both sides beside each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TITLES = ("diff ", "index ", "--- ", "+++ ")
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True, slots=True)
class PatchLine:
    """A line of a patch: what it does, and its text."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Side:
    """A line of one of two files: its number, what becomes of it, and its text without the sign."""

    number: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A line of A beside one of B, either of which may be missing; or a line of the patch itself, in `said`."""

    a: Side | None = None
    b: Side | None = None
    said: PatchLine | None = None


def patch_lines(text: str) -> list[PatchLine]:
    """The lines of a patch."""
    lines = []
    for line in text.splitlines():
        is_head = line.startswith(("diff ", "index ", "--- ", "+++ ", "new file", "deleted file"))
        kind = "file" if is_head else {"+": "add", "-": "del", "@": "at"}.get(line[:1], "")
        lines.append(PatchLine(kind, line))
    return lines


def by_file(lines: Sequence[PatchLine]) -> list[tuple[str, list[PatchLine]]]:
    """The lines of a patch by the file that they change."""
    files: list[tuple[str, list[PatchLine]]] = []
    for line in lines:
        if line.text.startswith("diff ") or not files:
            files.append((line.text.rpartition(" b/")[2] if line.text.startswith("diff ") else "", []))
        files[-1][1].append(line)
    return files


def side_by_side(lines: Sequence[PatchLine]) -> Iterator[Pair]:
    """The lines of a patch in pairs: what was taken away beside what came in its place."""
    n_a = n_b = 0
    gone: list[Side] = []
    come: list[Side] = []
    for line in lines:
        if line.kind == "del":
            if come:
                yield from _together(gone, come)
            gone.append(Side(n_a, "del", line.text[1:]))
            n_a += 1
            continue
        if line.kind == "add":
            come.append(Side(n_b, "add", line.text[1:]))
            n_b += 1
            continue
        yield from _together(gone, come)
        if line.kind or not line.text.startswith(" "):
            if found := _HUNK.match(line.text):
                n_a, n_b = int(found[1]), int(found[2])
            if not line.text.startswith(_TITLES):  # the file is named above
                yield Pair(said=line)
        else:
            yield Pair(Side(n_a, "", line.text[1:]), Side(n_b, "", line.text[1:]))
            n_a, n_b = n_a + 1, n_b + 1
    yield from _together(gone, come)


def _together(gone: list[Side], come: list[Side]) -> Iterator[Pair]:
    for place in range(max(len(gone), len(come))):
        yield Pair(gone[place] if place < len(gone) else None, come[place] if place < len(come) else None)
    gone.clear()
    come.clear()
