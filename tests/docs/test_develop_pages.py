"""Pages for developers name files that exist, and the repository cites no page that it does not have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "develop").glob("*.md"))
PATH = re.compile(r"`([\w./-]+(?:/|\.(?:py|sql|md|toml|ini)))`")
# Design papers that this repository never had, and what cited them.
PAPERS = re.compile(r"\b(?:DESIGN|STYLE)(?:\.md|\b(?= part| has)|`)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = PATH.findall(page.read_text(encoding="utf-8"))
    assert len(named) > 3
    lost = [name for name in named if not ((ROOT / name).exists() or (ROOT / "src" / "histhooks" / name).exists())]
    assert lost == []


def test_the_page_of_rooms_names_all_that_stands_in_the_package() -> None:
    text = (ROOT / "docs" / "develop" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "histhooks"
    entries = {f"{path.name}/" for path in package.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    entries |= {path.name for path in package.glob("*.py") if path.name != "__init__.py"}
    assert sorted(name for name in entries if f"`{name}`" not in text) == []


def test_nothing_cites_a_paper_that_is_not_here() -> None:
    files = [path for folder in ("src", "tests", "docs") for path in (ROOT / folder).rglob("*.*")]
    texts = [path for path in files if path.suffix in (".py", ".md", ".sql") and path != Path(__file__).resolve()]
    assert [str(path) for path in texts if PAPERS.search(path.read_text(encoding="utf-8"))] == []
