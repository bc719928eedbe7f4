"""Programs that fit by Lightning, under both of its names, and what they leave."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from helpers import programs
from helpers.networks import LIGHTNING as DATA
from histhooks.testing import query

BOTH = ("lightning.pytorch", "pytorch_lightning")


def setup(root: str = "lightning.pytorch", *, is_recorded: bool = True) -> str:
    return ("import histhooks\nhisthooks.autolog()\n" if is_recorded else "") + DATA.format(root=root)


def record(store: Path, body: str, program: str | None = None) -> str:
    return programs.record(store, body, program or setup(), is_warm=True)


def params(store: Path) -> dict[str, tuple[object, object]]:
    found = query(store, "SELECT key, value, source FROM params")
    return {str(key): (json.loads(str(value)), source) for key, value, source in found}


def points(store: Path, name: str) -> list[tuple[object, ...]]:
    return query(store, f"SELECT step, epoch, value FROM metrics WHERE name = '{name}' ORDER BY n")


def logged(folder: Path) -> list[dict[str, str]]:
    """What Lightning's own logger got, row by row."""
    with open(folder / "lightning_logs" / "version_0" / "metrics.csv") as file:
        return list(csv.DictReader(file))
