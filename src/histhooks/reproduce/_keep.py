"""Keep what came of repeating a run: the link between the runs, and a row of `reproductions`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import now_us
from histhooks._base.values import dumps
from histhooks._store.entries import Entry, row_entry
from histhooks.curate._session import CommandSession

if TYPE_CHECKING:
    from histhooks.history.compare.agreement import Agreement
    from histhooks.reproduce._reproduction import Reproduction


_COMMAND = "histhooks reproduce --exec"


def keep(store: Path, found: Reproduction, pairs: Mapping[str, str]) -> None:
    """Write links between the new runs and those that they repeat, and the verdict on the one that was asked for."""
    if not pairs:
        return
    with CommandSession(store, _COMMAND) as session, session.deed() as entries:
        shared = {"session_id": session.id, "time": now_us()}
        entries += _links(pairs, shared)
        if found.new_run_id is not None and found.agreement is not None and found.level is not None:
            entries.append(row_entry("reproductions", found.new_run_id, {**_row(found, found.agreement), **shared}))


def link(store: Path, pairs: Mapping[str, str]) -> None:
    """Write links alone, for runs that there is no verdict on."""
    if not pairs:
        return
    with CommandSession(store, _COMMAND) as session, session.deed() as entries:
        entries += _links(pairs, {"session_id": session.id, "time": now_us()})


def _links(pairs: Mapping[str, str], shared: Mapping[str, Any]) -> Iterator[Entry]:
    for other, run_id in pairs.items():
        row = {"run_id": run_id, "kind": "reproduces", "other_run_id": other, "sha256": None}
        yield row_entry("run_links", run_id, {**row, **shared})


def _row(found: Reproduction, agreed: Agreement) -> dict[str, Any]:
    first = None
    if found.stage is not None:
        point = asdict(agreed.first) if agreed.first is not None else {}
        first = dumps({"stage": found.stage, **point})
    return {
        "run_id": found.new_run_id, "other_run_id": found.run_id, "level": found.level, "required": found.required,
        "n_series": len(agreed.series), "n_points": agreed.n_points, "n_equal": agreed.n_equal, "first": first,
        "max_abs": _finite(agreed.max_abs), "max_rel": _finite(agreed.max_rel),
        "weights_equal": None if agreed.weights_equal is None else int(agreed.weights_equal),
        "causes": dumps([each.as_json() for each in found.causes]),
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None
