"""Runs of one session that have the same data, whose digests, columns and sketches the first of them holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from histhooks import History
from histhooks._store.tables import HELD
from histhooks.testing import query

PROGRAM = """
import histhooks
import pandas as pd
from histhooks._record import data_looks
from histhooks._record.data_looks import looks
data_looks._LEAST_S = 60.0  # of the processor, which may be a slow one
whole = np.random.default_rng(1).normal(size=(200, 3))
large = np.random.default_rng(3).normal(size=(20_000, 8))  # whose fingerprint covers a sample
for name in ("first", "second", "third"):
    with histhooks.start_run(name) as run:
        run.log_dataset("train", pd.DataFrame(whole, columns=["a", "b", "c"]) if name == "third" else whole)
        run.log_dataset("valid", large)
        assert looks.settle(60.0)
with histhooks.start_run("other") as run:
    run.log_dataset("train", whole + 1)
    assert looks.settle(60.0)
"""
TABLES = HELD


def known_of(store: Path, run: str) -> list[dict[str, Any]]:
    """What the record says of the data of a run by content, but not which run holds it."""
    with History(store) as history:
        found = []
        for data in history.run(run).datasets:
            rows = {"digests": data.digests, "columns": data.columns, "sketches": data.sketches}
            told = {key: [{**asdict(row), "run_id": None} for row in some] for key, some in rows.items()}
            found.append({"role": data["role"], "id": data["id"], **told})
        return found


def holders(store: Path, table: str) -> list[str]:
    """The runs that hold rows of a table."""
    sql = f"SELECT DISTINCT r.name FROM {table} AS t JOIN runs AS r ON r.id = t.run_id ORDER BY r.name"
    return [str(name) for (name,) in query(store, sql)]
