"""What a session says to a person on stderr."""

import os
import re
import subprocess
import sys
from pathlib import Path

from histhooks._record import session_states


def closing_line(before: str, store: Path) -> str:
    environment = {**os.environ, "HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "0"}
    program = f"import histhooks\n{before}\nwith histhooks.start_run('a'): pass\n"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1]


def test_the_closing_line_says_in_seconds_what_recording_cost(store_path: Path) -> None:
    line = closing_line("", store_path)
    assert re.search(r"^histhooks: 1 run → .* · cost \d+\.\d\d s · ", line)
    assert "%" not in line


def test_after_minutes_it_says_the_share_too(store_path: Path) -> None:
    assert session_states._LONG_S == 300.0
    line = closing_line("from histhooks._record import session_states\nsession_states._LONG_S = 0.0", store_path)
    assert re.search(r" · cost \d+\.\d\d s \(\d+\.\d %\) · ", line)
