"""docs/integrations/ says what the integrations' own docstrings say."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from histhooks._base.frameworks import FRAMEWORKS
from histhooks.testing import query, run_program

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def make_integrations() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_integrations", ROOT / "docs" / "tools" / "make_integrations.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_integration_has_a_page() -> None:
    assert sorted(page.stem for page in (ROOT / "docs" / "integrations").glob("*.md")) == sorted(FRAMEWORKS)


@pytest.mark.parametrize("name", sorted(FRAMEWORKS))
def test_a_page_is_what_the_script_writes(make_integrations: ModuleType, name: str) -> None:
    written = (ROOT / "docs" / "integrations" / f"{name}.md").read_text(encoding="utf-8")
    assert written == make_integrations.page(name), "run `python docs/tools/make_integrations.py`"


@pytest.mark.parametrize("name", sorted(FRAMEWORKS))
def test_the_first_program_of_a_page_runs_as_it_stands(
    make_integrations: ModuleType, store_path: Path, name: str
) -> None:
    pytest.importorskip(name)
    program = make_integrations.page(name).partition("```python\n")[2].partition("```")[0]
    alone = program.partition("# without autolog()")[2]
    code, _, err = run_program(program, store_path, KERAS_BACKEND="torch")
    assert code == 0, err
    runs = query(store_path, "SELECT framework FROM runs")
    assert runs == [(name,)] * (2 if alone else 1)


def test_every_row_of_a_table_has_both_its_cells(make_integrations: ModuleType) -> None:
    for name in FRAMEWORKS:
        rows = [line for line in make_integrations.page(name).splitlines() if line.startswith("| ")]
        assert len(rows) > 5
        for row in rows:
            cells = row.replace("\\|", "").strip("|").split("|")
            assert len(cells) == 2, row
            assert all(cell.strip() for cell in cells), row
