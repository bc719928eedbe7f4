"""The queue of files to hash ends in time, whatever its thread does."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest

from histhooks._collect.hash_queue import HashQueue, Job, stamp_of


def job_of(path: Path, came: list[Any]) -> Job:
    return Job(str(path), stamp_of(path.stat()), lambda sha256, why: came.append((sha256, why)))


def test_an_end_that_comes_before_the_thread_is_started_hashes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n1,2\n")
    came: list[Any] = []
    queue = HashQueue()
    queue.add(job_of(path, came))
    starts = threading.Thread.start

    def ended_first(thread: threading.Thread) -> None:
        queue.end(1.0)  # what another thread may do between the making of a thread and its start
        starts(thread)

    monkeypatch.setattr(threading.Thread, "start", ended_first)
    queue.start()
    assert came == [(hashlib.sha256(b"a,b\n1,2\n").hexdigest(), None)]


def test_what_is_not_hashed_in_time_has_no_hash_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n1,2\n")
    came: list[Any] = []
    queue = HashQueue()
    queue.add(job_of(path, came))
    queue.end(-1.0)
    assert came == [(None, "the session ended first")]
