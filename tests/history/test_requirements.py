"""The packages of a run as a file that pip can install, and comments where it cannot."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

import histhooks
from histhooks.history._requirements import requirements


def test_each_package_has_a_line_that_pip_takes_or_a_comment_that_says_why() -> None:
    commit = "0123456789" * 4
    versions = {
        "plain": "1.0", "cuda": "2.4+cu121", "unknown": None, "fromgit": "1.0", "private": "1.0", "editable": "1.0",
        "wheel": "1.0", "local": "1.0", "beside": "1.0", "odd": "1.0",
    }  # fmt: skip
    origins = {
        "fromgit": {"url": "https://host/x.git", "vcs": "git", "commit": commit, "subdirectory": "lib"},
        "private": {"url": "https://[masked]@host/x.git", "vcs": "git", "commit": commit},
        "editable": {"url": "file:///home/x", "is_editable": True},
        "wheel": {"url": "https://host/w.whl", "sha256": "ab"},
        "local": {"url": "file:///w.whl", "sha256": "cd"},
        "beside": {"folder": "/home/src"},
        "odd": {"url": None},
    }
    environment = {"python": "CPython 3.11", "os": "Linux", "details": {"package_origins": origins, "is_conda": True}}
    assert requirements(versions, environment, "r1").splitlines() == [
        "# Packages of run r1",
        "# CPython 3.11 on Linux",
        "# The environment was one of conda, whose packages pip may not find under these versions.",
        "plain==1.0",
        "# cuda: a local version (cu121), from an index that was not recorded",
        "cuda==2.4+cu121",
        "# unknown: its version was not recorded",
        f"fromgit @ git+https://host/x.git@{commit}#subdirectory=lib",
        "# private==1.0: from https://[masked]@host/x.git, whose credentials were not kept",
        "# editable==1.0: installed from file:///home/x (editable, its content was not recorded)",
        "wheel @ https://host/w.whl#sha256=ab",
        "# local==1.0: installed from file:///w.whl (sha256=cd)",
        "# beside==1.0: imported from /home/src, and not installed",
        "# odd==1.0: where it came from cannot be read",
    ]
    assert requirements({}, environment, "r1") == ""


def test_a_recorded_run_gives_its_packages_as_requirements(tmp_path: Path) -> None:
    packaging = pytest.importorskip("packaging.requirements")
    histhooks.autolog(store=tmp_path / "a.db")
    with histhooks.start_run("a"):
        pass
    import histhooks._record.engine as engine

    engine.engine.finish("finished")
    with histhooks.History(tmp_path / "a.db") as history:
        text = history.run("last").requirements()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = {each.name: str(each.specifier) for each in map(packaging.Requirement, lines)}
    assert found["numpy"] == f"=={metadata.version('numpy')}"
    assert re.match(r"# Packages of run [0-9a-f-]{36}\n# CPython", text)
