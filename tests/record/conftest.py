"""The store that programs of these tests record to."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def store(store_path: Path) -> Path:
    return store_path
