"""docs/reference/settings.md has every variable of the environment that the source reads."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from helpers.postgresql import ANOTHER
from histhooks._host.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "histhooks"
VARIABLE = re.compile(r"\bHISTHOOKS(?:_[A-Z]+)*\b(?!_)")


@pytest.fixture(scope="module")
def make_settings() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_settings", ROOT / "docs" / "tools" / "make_settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_writes(make_settings: ModuleType) -> None:
    written = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert written == make_settings.page(), "run `python docs/tools/make_settings.py`"


def test_every_variable_in_the_source_is_in_the_table_and_on_the_page() -> None:
    sources = [path for path in SOURCE.rglob("*.py") if path != SOURCE / "_host" / "settings.py"]
    found = {name for path in sources for name in VARIABLE.findall(path.read_text(encoding="utf-8"))}
    assert found == {setting.name for setting in SETTINGS}
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert [name for name in sorted(found) if f"| `{name}` |" not in page] == []


def test_every_variable_is_read_where_the_table_says() -> None:
    for setting in SETTINGS:
        text = (SOURCE / f"{setting.reader.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert f'"{setting.name}"' in text, setting.name
        assert "environ" in text or "VARIABLE" in text


def test_pages_name_no_variable_that_is_not_read() -> None:
    names = {*(setting.name for setting in SETTINGS), ANOTHER}  # which tests read
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        assert set(VARIABLE.findall(path.read_text(encoding="utf-8"))) <= names, path.name
