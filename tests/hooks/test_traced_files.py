"""What a debugger, `coverage` or `trace` sees: no file that is not there, with recording as without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, os, sys, threading
found = set()
def look(frame, event, argument):
    found.add(frame.f_code.co_filename)
if RECORDED:
    import histhooks
    histhooks.autolog(store="traced.db")
import numpy, random
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
threading.settrace(look); sys.settrace(look)
numpy.random.seed(0); random.seed(0)
X = numpy.random.default_rng(3).normal(size=(60, 3))
numpy.random.RandomState(1).permutation(5); numpy.random.default_rng().normal(); random.Random(2).random()
X, _, y, _ = train_test_split(X, X[:, 0] > 0, random_state=0)
RandomForestClassifier(3, random_state=0).fit(X, y).predict(X)
try:
    numpy.random.default_rng("a word")
except TypeError:
    pass
sys.settrace(None); threading.settrace(None)
missing = sorted(name for name in list(found) if name[:1] != "<" and not os.path.exists(name))
open("found.json", "w").write(json.dumps([len(found), missing]))
"""


@pytest.mark.parametrize("is_recorded", [False, True])
def test_every_file_that_a_tracer_sees_is_there(tmp_path: Path, is_recorded: bool) -> None:
    (tmp_path / "train.py").write_text(PROGRAM.replace("RECORDED", str(is_recorded)))
    subprocess.run([sys.executable, "train.py"], cwd=tmp_path, env={**os.environ, "HISTHOOKS_QUIET": "1"}, check=True)
    n_files, missing = json.loads((tmp_path / "found.json").read_text())
    assert n_files > 5
    assert missing == []
