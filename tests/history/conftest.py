"""What is asked here is asked of a file and of a database."""

from __future__ import annotations

import pytest

from helpers.engines import on_both


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on each engine."""
    on_both(metafunc)


@pytest.fixture(autouse=True)
def _asked(engine: str) -> None:
    """Each test here has an engine."""
