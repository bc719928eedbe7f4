"""Write docs/integrations/ from docstrings and examples: ``python docs/tools/make_integrations.py``.

An integration's docstring is its user page; this only changes the form, so that it reads well where Markdown is shown.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from histhooks._base.frameworks import FRAMEWORKS

ROOT = Path(__file__).resolve().parents[2]
CODE = ROOT / "src" / "histhooks" / "integrations"
PAGES = ROOT / "docs" / "integrations"

# A line of a docstring that is a heading on its page.
_HEADING = "How it hooks in."


def docstring(name: str) -> str:
    """The docstring of an integration, which is a file or a folder."""
    file = CODE / f"{name}.py"
    text = (file if file.exists() else CODE / name / "__init__.py").read_text(encoding="utf-8")
    found = ast.get_docstring(ast.parse(text))
    assert found, name
    return found


def page(name: str) -> str:
    """The page of an integration.

    Parameters
    ----------
    name : str
        A framework, as ``autolog()`` takes it.

    Returns
    -------
    str
        Markdown.
    """
    lines = docstring(name).splitlines()
    parts = [f"# {FRAMEWORKS[name].title}", ""]
    place = 0
    while place < len(lines):
        line = lines[place]
        if line.startswith("    "):
            end = next(
                (i for i in range(place, len(lines)) if lines[i] and not lines[i].startswith("    ")), len(lines)
            )
            block = "\n".join(text[4:] for text in lines[place:end]).rstrip()
            parts += ["```python", block, "```", ""]
            place = end
        elif re.fullmatch(r"=+ +=+", line):
            end = place + 3 + next(i for i, text in enumerate(lines[place + 3 :]) if re.fullmatch(r"=+ +=+", text))
            parts += [*_table(lines[place : end + 1]), ""]
            place = end + 1
        else:
            parts.append(f"## {line.rstrip('.')}" if line == _HEADING else _inline(line))
            place += 1
    example = (ROOT / "examples" / f"{name}_quickstart.py").read_text(encoding="utf-8").rstrip()
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(parts))
    return f"{text}\n\n## A program\n\n`python examples/{name}_quickstart.py`\n\n```python\n{example}\n```\n"


def _inline(text: str) -> str:
    return text.replace("``", "`")


def _table(lines: list[str]) -> list[str]:
    """A simple table of reStructuredText in Markdown; a row without its first cell goes on from the one above."""
    width = lines[0].index(" ")
    rows: list[list[str]] = []
    for line in (text for text in lines if not text.startswith("=")):
        first, rest = line[:width].rstrip(), line[width:].strip()
        if rows and (not first or not rest):
            rows[-1] = [" ".join(filter(None, pair)) for pair in zip(rows[-1], (first, rest), strict=True)]
        else:
            rows.append([first, rest])
    cells = [[_inline(cell).replace("|", "\\|").strip() for cell in row] for row in rows]
    return [f"| {cells[0][0]} | {cells[0][1]} |", "|---|---|", *(f"| {a} | {b} |" for a, b in cells[1:])]


def main() -> None:
    """Write every page."""
    PAGES.mkdir(exist_ok=True)
    for name in FRAMEWORKS:
        (PAGES / f"{name}.md").write_text(page(name), encoding="utf-8")


if __name__ == "__main__":
    main()
