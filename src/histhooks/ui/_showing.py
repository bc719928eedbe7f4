"""Show a history or a run in a notebook: a frame with its page, served by a process that ends with this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from histhooks.errors import HisthooksError
from histhooks.history._records import RunRecord

_LEAST_HEIGHT = 200
_MOST_S = 60.0  # that a server may take to start


@dataclass(slots=True)
class _Process:
    """The server of a store, for this process."""

    process: subprocess.Popen[str]
    port: int
    token: str


_running: dict[tuple[int, Path], _Process] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Frame:
    """A page of the UI.

    Attributes
    ----------
    url : str
        Its address, with the token.
    source : str
        Its address for a frame in a notebook.
    height : int
    still : str
        HTML that stays where the page cannot be shown.
    """

    url: str
    source: str
    height: int
    still: str

    def __repr__(self) -> str:
        return self.url

    def _repr_html_(self) -> str:
        frame = f'<iframe src="{escape(self.source)}" width="100%" height="{self.height}" frameborder="0"></iframe>'
        return f"{frame}<details><summary>as it was</summary>{self.still}</details>"


def show(shown: Any, height: int) -> Frame:
    """The page of a history or of a run; see :meth:`History.show`."""
    from histhooks.ui import need

    need()
    history = shown.history if isinstance(shown, RunRecord) else shown
    page = f"runs/{shown.id}" if isinstance(shown, RunRecord) else "runs"
    server = _server(history.path)
    name = _named(history.path)
    root = f"http://127.0.0.1:{server.port}/"
    source = f"{root}@{server.token}/s/{name}/{page}"
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if prefix:  # through jupyter-server-proxy, which the browser can reach
        source = f"{prefix}proxy/{server.port}/@{server.token}/s/{name}/{page}"
    url = f"{root}s/{name}/{page}?token={server.token}"
    return Frame(url, source, max(_LEAST_HEIGHT, height), shown._repr_html_())


def _named(path: Path) -> str:
    from histhooks.ui._places import name_of

    return name_of(path.stem)


def _server(path: Path) -> _Process:
    """The server of a store that runs already, or a new one."""
    key = os.getpid(), path.absolute()
    with _lock:
        known = _running.get(key)
        if known is not None and known.process.poll() is None:
            return known
        found = _running[key] = _started(path)
        return found


def _started(path: Path) -> _Process:
    command = [
        sys.executable, "-P", "-m", "histhooks", "ui", "--store", str(path.absolute()), "--json", "--port", "0",
        "--embed", "*", "--while-stdin",
    ]  # fmt: skip
    # A file, since nobody reads a pipe of errors, and a full one would stop the server.
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        text = _first_answer(process)
        try:
            told = json.loads(text)
            return _Process(process, told["port"], told["url"].rpartition("token=")[2])
        except ValueError:
            process.kill()
            process.communicate()
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").strip()
            reason = said or f"the server ended at once, or took longer than {_MOST_S:g} s to start"
            raise HisthooksError(f"the pages of {path} cannot be served: {reason}") from None


def _first_answer(process: subprocess.Popen[str]) -> str:
    """The JSON that a server begins with; less if it ends before, or is ended at the limit."""
    assert process.stdout is not None
    limit = threading.Timer(_MOST_S, process.kill)
    limit.daemon = True
    limit.start()
    try:
        return process.stdout.readline()
    finally:
        limit.cancel()
