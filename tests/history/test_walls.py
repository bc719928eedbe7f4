"""Walls of the reading rooms: SQL stands in history alone."""

from __future__ import annotations

import ast
from pathlib import Path

import histhooks

ROOT = Path(histhooks.__file__).parent
ROOMS = ("history", "_views", "plot", "report", "cli")


def name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


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
