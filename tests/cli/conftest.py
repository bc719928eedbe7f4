"""What reading verbs say, they say of a file and of a database; the verbs are asked in this process."""

from __future__ import annotations

import pytest

from helpers.engines import on_both

READING = frozenset({"check_verb", "compare", "data_verb", "diff", "lineage_verb", "metrics_verb", "plot", "runs",
                     "search", "show", "timeline", "whence"})  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of a reading verb on each engine."""
    if metafunc.module.__name__.rpartition(".")[2].removeprefix("test_") in READING:
        on_both(metafunc)


@pytest.fixture(autouse=True)
def _asked(engine: str) -> None:
    """Each test here has an engine."""
