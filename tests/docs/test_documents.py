"""README.md and docs/ are true: every command parses, every Python block runs, every link leads somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from histhooks.cli import VERBS, cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Pages whose code another test runs, or that show code for its look.
RUN_ELSEWHERE = {
    "sql.md",
    "integrations.md",
    *(f"{name}.md" for name in ("sklearn", "xgboost", "keras", "lightning", "torch")),
}
RECORDED = """
import histhooks
for number in range(3):
    with histhooks.start_run("train", params={"lr": 10.0 ** -number, "C": number}, tags={"team": "red"}) as run:
        for step in range(5):
            scores = {"loss": 1.0 / (step + 1), "val_loss": 1.5 / (step + 1), "accuracy": step / 5}
            run.log(scores, step=step, epoch=step)
"""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands() -> Iterator[tuple[str, list[str]]]:
    for page in PAGES:
        for block in blocks(page, "console"):
            for line in block.replace("\\\n", " ").splitlines():
                text = line.removeprefix("$ ").partition("  #")[0].strip()
                if text.startswith("histhooks "):
                    words = shlex.split(text)[1:]
                    end = next((n for n, word in enumerate(words) if word in ("|", ">", "<")), len(words))
                    yield f"{page.name}: {text}", words[:end]


COMMANDS = dict(commands())


@pytest.mark.parametrize("title", COMMANDS)
def test_a_command_on_a_page_parses(title: str, tmp_path: Path) -> None:
    words = COMMANDS[title]
    if words[0].startswith("-"):
        cli.make_context("histhooks", words)
        return
    assert words[0] in VERBS, title
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    try:
        command.make_context(words[0], words[1:], parent=click.Context(cli))
    except click.exceptions.Exit:
        pass


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 10


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name not in RUN_ELSEWHERE and blocks(page, "python")],
    ids=lambda page: page.name,
)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """In their order, in one program, in a folder where a history lies."""
    environment = {**os.environ, "HISTHOOKS_STORE": "", "HISTHOOKS_STRICT": "0"}
    (tmp_path / "model.pt").write_bytes(b"weights")
    subprocess.run([sys.executable, "-c", RECORDED], cwd=tmp_path, env=environment, check=True, timeout=300)
    # A person takes longer from one block to the next than a record to the disk.
    program = "\nimport histhooks; histhooks.flush()\n".join(blocks(page, "python"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_page_of_the_installation_has_every_extra() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    rows = (ROOT / "docs" / "start" / "install.md").read_text(encoding="utf-8")
    table = "\n".join(line.partition("|")[2].partition("|")[0] for line in rows.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(\w+)`", table)) == set(extras)
