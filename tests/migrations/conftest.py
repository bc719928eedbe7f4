"""What tests of migrations begin with: a store that an earlier version wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.old_stores import lay_old_store


@pytest.fixture(params=["1.0", "1.1", "1.2"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def old_store(store_path: Path, version: str) -> Path:
    return lay_old_store(store_path, version)
