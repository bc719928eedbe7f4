"""The tests themselves: where they stand, and what they take from each other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_no_test_imports_another_test() -> None:
    tests = {path.stem: path for path in TESTS.rglob("test_*.py")}
    helpers = [*(TESTS / "helpers").glob("*.py"), TESTS / "conftest.py"]
    found = {path.name: imported(path) & set(tests) for path in (*tests.values(), *helpers)}
    assert {name: sorted(names) for name, names in found.items() if names} == {}


def test_names_of_test_files_are_unique() -> None:
    """Pytest imports them by name alone."""
    names = [path.name for path in TESTS.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_a_test_sees_no_setting_of_the_shell_that_starts_it() -> None:
    conftest = (TESTS / "conftest.py").read_text(encoding="utf-8")
    source = "".join(path.read_text(encoding="utf-8") for path in (TESTS.parent / "src").rglob("*.py"))
    names = {str(name) for name in re.findall(r"\bHISTHOOKS_[A-Z]+(?:_[A-Z]+)*", source)}
    assert len(names) > 8
    assert sorted(name for name in names if f'"{name}"' not in conftest) == []
