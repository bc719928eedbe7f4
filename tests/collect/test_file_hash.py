"""Files by their content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import histhooks
from histhooks._collect.file_hash import AT_ONCE, unchanged_hash
from histhooks.testing import query


def test_small_and_large_files_are_told_by_what_is_in_them(store_path: Path) -> None:
    histhooks.autolog(store=store_path)
    expected = {}
    with histhooks.start_run("files") as run:
        for name, size in (("small.bin", 10), ("large.bin", AT_ONCE + 1)):
            data = os.urandom(size)
            Path(name).write_bytes(data)
            expected[name] = hashlib.sha256(data).hexdigest()
            run.log_artifact(name, role="model", step=3)
    import threading

    for thread in threading.enumerate():
        if thread.name == "histhooks-hash":
            thread.join(30)
    assert histhooks.recorder.flush()
    rows = query(store_path, "SELECT path, run_artifacts.sha256, role, direction, step FROM run_artifacts")
    assert {Path(str(path)).name: digest for path, digest, *_ in rows} == expected
    assert {row[2:] for row in rows} == {("model", "out", 3)}
    assert query(store_path, "SELECT count(*) FROM artifacts") == [(2,)]


def test_a_file_that_is_written_again_is_not_claimed() -> None:
    path = Path("weights.pt")
    path.write_bytes(b"first")
    before = os.stat(path)
    assert unchanged_hash(path, before) == (hashlib.sha256(b"first").hexdigest(), 5)
    path.write_bytes(b"second time")
    assert unchanged_hash(path, before) is None
    path.unlink()
    assert unchanged_hash(path, before) is None
