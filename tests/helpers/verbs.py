"""Verbs in this process: what `python -m histhooks` does, without its start, and so also on each engine.

Tests of what the process itself is (its streams, signals, imports, its session) start one: :mod:`helpers.terminals`.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from histhooks._base import text
from histhooks._host import store_location
from histhooks.cli import main

_UNSEEN = ("HISTHOOKS_STORE", "NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR")


def ask(*words: str | Path, folder: Path | None = None, **variables: str) -> tuple[int, str, str]:
    """Run a verb with pipes, and nothing to read.

    Parameters
    ----------
    *words : str or Path
        After `histhooks`.
    folder : Path, optional
        Where it runs; by default here.
    **variables : str
        Of its environment, which has this one's but for what says which store, colours or size to use.

    Returns
    -------
    tuple of (int, str, str)
        Its exit code, and what it wrote to both streams.
    """
    code, out, err = ask_bytes(*words, folder=folder, **variables)
    return code, out.decode(), err


def ask_bytes(*words: str | Path, folder: Path | None = None, **variables: str) -> tuple[int, bytes, str]:
    """Run a verb as :func:`ask` does; what it wrote to stdout comes as it is."""
    assert threading.current_thread() is threading.main_thread()  # what is replaced is replaced for all threads
    left = {key: value for key, value in os.environ.items() if key not in _UNSEEN}
    code = 0
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        mock.patch.dict(os.environ, {**left, **variables}, clear=True),
        mock.patch.object(sys, "argv", ["histhooks", *map(str, words)]),
        contextlib.chdir(folder or os.getcwd()),
        _streams(out, err, variables.get("PYTHONIOENCODING", "utf-8")),
        _as_if_fresh(),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
        return code, _all_of(out), _all_of(err).decode()


@contextlib.contextmanager
def _streams(out: io.BufferedIOBase, err: io.BufferedIOBase, encoding: str) -> Iterator[None]:
    """Streams as a process with pipes has them."""
    stdin = io.TextIOWrapper(io.BytesIO(), encoding)
    stdout, stderr = io.TextIOWrapper(out, encoding), io.TextIOWrapper(err, encoding, "backslashreplace")
    with mock.patch.multiple(sys, stdin=stdin, stdout=stdout, stderr=stderr):
        try:
            yield
        finally:
            stdout.detach()
            stderr.detach()


@contextlib.contextmanager
def _as_if_fresh() -> Iterator[None]:
    """What a process knows at its start, and what it sets for itself."""
    for known in (store_location._configured_flag, store_location._content, store_location._folder_name):
        known.cache_clear()
    with mock.patch.object(text, "_is_whole", False):
        yield


def _all_of(file: io.BufferedIOBase) -> bytes:
    file.seek(0)
    return file.read()
