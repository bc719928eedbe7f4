"""What tests of folders and buckets begin with."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from helpers.boxes import both
from helpers.team_stores import World


@pytest.fixture(params=["folder", "memory"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a folder, and of what is a bucket for fsspec."""
    if request.param == "memory":
        pytest.importorskip("fsspec")
        return f"memory://box-{uuid4().hex[:12]}/runs"
    return f"folder:{tmp_path / 'shared'}"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two people's stores with what both have, and what each has alone."""
    return both(tmp_path / "world")
