"""A notebook is repeated as a script of its cells, in the order in which they ran."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ipykernel")

DRIVER = """
import sys
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="here")
for cell in {cells!r}:
    reply = client.execute_interactive(cell, output_hook=lambda message: None)
    assert reply["content"]["status"] == "ok", reply
client.stop_channels()
manager.shutdown_kernel()
"""
CELLS = [
    "import random, histhooks\nhisthooks.autolog()",
    "def loss():\n    return random.Random().random() + random.random()",
    "with histhooks.start_run('a') as run:\n    for step in range(5):\n        run.log({'loss': loss()}, step=step)",
]


@pytest.mark.parametrize("has_magic", [False, True])
def test_the_cells_of_a_notebook_give_the_same_bits_again(tmp_path: Path, has_magic: bool) -> None:
    kernel = tmp_path / "jupyter/kernels/here/kernel.json"
    kernel.parent.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": command, "display_name": "here", "language": "python"}))
    cells = [*CELLS[:2], "%time values = [1]", CELLS[2]] if has_magic else CELLS
    environment = {**os.environ, "JUPYTER_PATH": str(tmp_path / "jupyter")}
    environment |= {"HISTHOOKS_STORE": str(tmp_path / "histhooks.db"), "IPYTHONDIR": str(tmp_path / "ipython")}
    words = [sys.executable, "-c", DRIVER.format(cells=cells)]
    subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True)
    words = [sys.executable, "-m", "histhooks", "reproduce", "histhooks.db", "last", "--exec", "--yes", "--json"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert (found["level"], found["agreement"]["n_equal"]) == ("bits", 5), found
    assert found["plan"]["command"].endswith("cells.ipy" if has_magic else "cells.py")
    assert [each for each in found["causes"] if each["stage"] == "program text"] == []
