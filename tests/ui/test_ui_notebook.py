"""`history.show()` and `run.show()`: a frame in a notebook, served by a process that ends with the kernel."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from helpers.pages import make
from histhooks import History
from histhooks.errors import HisthooksError
from histhooks.testing import run_program

pytest.importorskip("starlette")


def test_a_history_and_a_run_are_shown_by_one_server(tmp_path: Path) -> None:
    with History(make(tmp_path / "h.db")) as history:
        whole, run = history.show(), history.run("broken").show(height=300)
        frame = run._repr_html_()
        source = re.search(r'<iframe src="([^"]+)" width="100%" height="300"', frame)
        assert source is not None
        assert whole.source.partition("/@")[0] == run.source.partition("/@")[0]
        with urlopen(source[1], timeout=60) as answer:
            page = answer.read().decode()
            assert "frame-ancestors *" in answer.headers["content-security-policy"]
        assert "no such thing as a free lunch" in page
        assert "broken" in frame.partition("as it was")[2]  # what a saved notebook keeps
        assert repr(whole) == whole.url


def test_the_server_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    store = make(tmp_path / "h.db")
    program = f"""
    import histhooks
    from urllib.request import urlopen
    frame = histhooks.History({str(store)!r}).show()
    with urlopen(frame.url.partition("s/")[0] + "healthz", timeout=60) as answer:
        assert answer.read() == b"ok\\n"
    print(frame.url)
    """
    code, out, error = run_program(program, store)
    assert code == 0, error
    address = out.strip().partition("s/")[0] + "healthz"
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with urlopen(address, timeout=60):
                time.sleep(0.1)
        except (URLError, ConnectionError, TimeoutError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ConnectionError):
                return
    raise AssertionError("it serves on")


def test_a_server_that_cannot_start_is_named_with_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from histhooks.ui import _showing

    # More than a pipe holds: a server whose errors nobody reads would wait for ever.
    fails = "import sys; sys.stderr.write('x' * 300_000 + '\\nno room for it\\n'); sys.exit(1)"
    monkeypatch.setattr(_showing.sys, "executable", program_as_python(tmp_path, fails))
    with pytest.raises(HisthooksError, match="no room for it"):
        _showing._started(tmp_path / "h.db")


def test_a_server_that_never_answers_is_ended_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from histhooks.ui import _showing

    monkeypatch.setattr(_showing, "_MOST_S", 0.2)
    monkeypatch.setattr(_showing.sys, "executable", program_as_python(tmp_path, "import time; time.sleep(3600)"))
    with pytest.raises(HisthooksError, match=r"took longer than 0\.2 s"):
        _showing._started(tmp_path / "h.db")


def program_as_python(folder: Path, code: str) -> str:
    """A file that ignores its arguments and runs a program."""
    file = folder / "python"
    file.write_text(f"#!{sys.executable}\n{code}\n")
    file.chmod(0o700)
    return str(file)
