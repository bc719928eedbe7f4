"""docs/guide/checks.md has every check as its rule says it, and each says all that a person needs."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from histhooks.checks import all_checks
from histhooks.checks._types import LEVELS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def make_checks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_checks", ROOT / "docs" / "tools" / "make_checks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_writes(make_checks: ModuleType) -> None:
    written = (ROOT / "docs" / "guide" / "checks.md").read_text(encoding="utf-8")
    assert written == make_checks.page(written), "run `python docs/tools/make_checks.py`"


@pytest.mark.parametrize("name", all_checks())
def test_a_check_says_its_rule_its_source_and_its_limits(name: str) -> None:
    check = all_checks()[name]
    texts = (check.title, check.rule, check.source, check.needs, check.why, check.advice)
    assert all(texts)
    assert check.triggers
    assert check.is_silent
    assert check.limits
    assert set(check.levels) <= set(LEVELS)
    assert check.why.endswith(".")
    assert not check.advice.endswith(".")


def test_every_module_of_a_rule_is_registered() -> None:
    folder = ROOT / "src" / "histhooks" / "checks" / "rules"
    found = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert found == {name.replace(".", "_") for name in all_checks()}
