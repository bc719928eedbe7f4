"""Walls of the reading rooms: no circle of imports, those for types included, and SQL in history alone."""

from __future__ import annotations

import ast
from pathlib import Path

import histhooks

ROOT = Path(histhooks.__file__).parent
ROOMS = ("history", "_views", "plot", "report", "cli")
# The one arrow that points back.
NAMED = {("history._shown", "_views.notebook")}  # a notebook asks a record for its picture


def arrows() -> dict[str, set[str]]:
    """Each module with those that it imports anywhere."""
    files = {name(path): path for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        found[module] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("histhooks."):
                base = str(node.module).removeprefix("histhooks.")
                wanted = {f"{base}.{alias.name}" if f"{base}.{alias.name}" in files else base for alias in node.names}
                found[module] |= {each for each in wanted if each in files and each != module}
    return found


def name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_only_the_named_arrow_closes_a_circle() -> None:
    left = arrows()
    assert all(to in left[module] for module, to in NAMED)
    for module, to in NAMED:
        left[module].discard(to)
    while free := [module for module, imports in left.items() if not imports & left.keys()]:
        for module in free:
            del left[module]
    assert not left


def test_rooms_above_history_hold_no_sql() -> None:
    verbs = ("SELECT ", "INSERT ", "UPDATE ", "DELETE FROM ", "PRAGMA ", "WITH RECURSIVE")
    held = {
        name(path)
        for room in ROOMS[1:]
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(verbs)
    }
    assert held == set()
