"""docs/reference/python.md says what the docstrings say, has every public name, and every example on it runs."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import histhooks
from histhooks.history import RunRecord

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
ROOMS = (
    "",
    ".history",
    ".models",
    ".monitor",
    ".plot",
    ".report",
    ".export",
    ".verify",
    ".curate",
    ".checks",
    ".reproduce",
    ".evidence",
    ".team",
    ".errors",
)
CHAPTERS = re.findall(r"^## (.+)\n", PAGE, re.MULTILINE)
# Runs the examples of a chapter in their order, in a folder where the history of the page lies.
RUNNER = """
import doctest, sys
import histhooks
history = histhooks.History("histhooks.db")
names = {"histhooks": histhooks, "history": history, "run": history.run("last"), "curate": histhooks.curate}
names["models"] = histhooks.models
flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
for number, block in enumerate(sys.stdin.read().split("\\0")):
    test = doctest.DocTestParser().get_doctest(block, dict(names), f"example {number}", None, 0)
    runner.run(test)
found = runner.summarize(verbose=False)
print(found.attempted, "examples")
sys.exit(1 if found.failed else 0)
"""


@pytest.fixture(scope="module")
def make_reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "tools" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_reference"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def chapter(title: str) -> str:
    return re.split(r"^## ", PAGE.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def examples(text: str) -> list[str]:
    return re.findall(r"^```pycon\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_page_is_what_the_script_writes(make_reference: ModuleType) -> None:
    assert make_reference.page() == PAGE, "run `python docs/tools/make_reference.py`"


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_on_the_page(room: str) -> None:
    module = importlib.import_module(f"histhooks{room}")
    names = getattr(module, "__all__", [name for name, thing in vars(module).items() if inspect.isclass(thing)])
    headings = {re.split(r"[(`]", line)[0] for line in re.findall(r"^###+ `(.+)$", PAGE, re.MULTILINE)}
    places = {name: (f"histhooks{room}.{name}", f"histhooks.errors.{name}", f"histhooks.{name}") for name in names}
    missing = [name for name, known in places.items() if not {*known} & headings]
    assert [name for name in missing if name != "__version__"] == []


def test_every_parameter_on_the_page_has_a_type() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) > 300
    assert [row for row in rows if not row[1].strip()] == []
    assert " ()" not in "".join(re.findall(r"^Takes .*$", PAGE, re.MULTILINE))


def test_every_call_and_every_property_of_a_run_is_in_an_example(make_reference: ModuleType) -> None:
    shown = "\n".join(examples(PAGE))
    calls = re.findall(r"^###+ `(?:[\w.]*\.)?(\w+)\(", PAGE, re.MULTILINE)
    names = {*calls, *make_reference.members(RunRecord)[1]}
    assert len(names) > 100
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", shown)) == []


@pytest.mark.parametrize("title", [title for title in CHAPTERS if examples(chapter(title))])
def test_every_example_of_a_chapter_runs(title: str, make_reference: ModuleType, tmp_path: Path) -> None:
    if title == "Integrations":
        for framework, _ in make_reference.FRAMEWORKS:
            pytest.importorskip(framework)
    if "to_pandas" in chapter(title):
        pytest.importorskip("pandas")
    environment = {**os.environ, "HISTHOOKS_STRICT": "1", "KERAS_BACKEND": "torch"}
    environment.pop("HISTHOOKS_STORE", None)
    first = re.search(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert first is not None
    for program, given in ((first[1], None), (RUNNER, "\0".join(examples(chapter(title))))):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            cwd=tmp_path, env=environment, input=given, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(" examples\n")


def test_the_names_of_the_package_are_those_of_the_page() -> None:
    found = {name for name in histhooks.__all__ if not name[0].isupper() and not name.startswith("_")}
    assert found == {name for name in found if f"### `histhooks.{name}(" in PAGE}
