"""Programs with a hand-written PyTorch loop, and what they leave in the store."""

from __future__ import annotations

from pathlib import Path

from helpers import programs, stores
from helpers.networks import TORCH
from histhooks.testing import query

AUTOLOG = "import histhooks\nhisthooks.autolog('torch')\n"


def record(store: Path, body: str, *, is_automatic: bool = True) -> str:
    """Run a program that may use `Net`, `step`, `loader` and `valid`; this is what it printed."""
    return programs.record(store, body, (AUTOLOG if is_automatic else "") + TORCH)


def values(store: Path, name: str, run: str = "") -> list[float]:
    """Return the values of a metric, in the order in which they came."""
    return [float(str(value)) for _, _, value in stores.points(store, name, run)]


def names(store: Path) -> list[str]:
    sql = "SELECT DISTINCT name FROM metrics WHERE split != 'system' ORDER BY name"
    return [str(name) for (name,) in query(store, sql)]


def ids(store: Path) -> list[str]:
    return [str(name) for (name,) in query(store, "SELECT id FROM runs ORDER BY started_at, id")]
