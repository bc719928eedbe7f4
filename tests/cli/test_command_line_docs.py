"""docs/reference/command_line.md has every verb, with an example."""

import re
from pathlib import Path

from histhooks.cli import VERBS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "command_line.md"


def test_every_verb_is_on_the_page_with_a_paragraph_and_an_example() -> None:
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    sections.pop("Completion")
    assert sorted(sections) == sorted(VERBS)
    for verb, text in sections.items():
        assert re.match(r"\n\n?[A-Z`]", text), verb
        assert f"```console\nhisthooks {verb}" in text, verb
