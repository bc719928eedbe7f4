"""The site has every page, loads nothing from other hosts, and its page of messages quotes what the code says."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# Pages that the site takes from elsewhere in the repository.
ADDED = {"develop/changes.md", "develop/benchmarks.md"}
CONFIG = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation_once() -> None:
    named = re.findall(r"^ +- [^:]+: (\S+\.md)$", CONFIG.partition("\nnav:")[2], re.MULTILINE)
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} | ADDED
    assert sorted(named) == sorted(pages)


def test_the_site_loads_nothing_from_other_hosts() -> None:
    assert "\n  font: false\n" in CONFIG
    for path in (ROOT / "mkdocs.yml", *(DOCS / "assets").iterdir()):
        addresses = set(re.findall(r"https?://[\w./-]+", path.read_text(encoding="utf-8")))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path.name


def test_pages_show_no_picture_from_another_host() -> None:
    for page in (ROOT / "README.md", *DOCS.rglob("*.md")):
        assert re.findall(r"!\[[^\]]*\]\(https?:", page.read_text(encoding="utf-8")) == [], page.name


def test_the_messages_on_their_page_are_those_of_the_code() -> None:
    """What stands between `…`, names and numbers of a message is somewhere in the source."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    text = re.sub(r"\{[^{}]*\}|\"\s*\n\s*f?\"", "", sources)
    page = (DOCS / "reference" / "messages.md").read_text(encoding="utf-8")
    quoted = [line.split("|")[1].strip().strip("`") for line in page.splitlines() if line.startswith("| `")]
    parts = [part.strip(" ;·") for message in quoted for part in re.split(r"…|PATH|\d[\w. ]*|\(.*?\)|→|·", message)]
    parts = [part for part in parts if len(part) > 4]
    assert len(parts) >= 20
    assert [part for part in parts if part not in text] == []
