"""The first batches of data that cannot be read whole, as a row of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histhooks._base.clock import now_us
from histhooks._base.secrets import mask_text

if TYPE_CHECKING:
    from histhooks._collect.passing import Passing


def record(run: Any, role: str, dataset: dict[str, Any], passing: Passing) -> None:
    """Record the digest of the first batches when they have passed, unless the data is read whole."""
    of_run = [] if run.looks is None else run.looks.items
    is_read = any((one.role, one.dataset_id) == (role, dataset["id"]) and one.piece.is_whole for one in of_run)
    if dataset["coverage"] != "all" and not is_read:
        passing.then(lambda over: run._try("log_dataset", _passed, run, role, dataset["id"], over))


def _passed(run: Any, role: str, dataset_id: str, passing: Passing) -> None:
    if passing.size_bytes:
        row = {"run_id": run.id, "dataset_id": dataset_id, **passing.row(), "time": now_us()}
        run._row("dataset_digests", row)
    if passing.left_out:
        what = "hashed without" if passing.size_bytes else "not hashed:"
        note = f"{role}: its first batches were {what} {', '.join(passing.left_out)}"
        run._capture("data_content", "truncated" if passing.size_bytes else "skipped", mask_text(note))
