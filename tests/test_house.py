"""The house: how large modules and functions are, that imports close no circle, what tests take from each other."""

from __future__ import annotations

import ast
import hashlib
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from histhooks._base.vocabulary import GRADES, STATUSES, WORST_FIRST, in_sql
from histhooks._store.tables import TABLES

TESTS = Path(__file__).resolve().parent
SOURCES = sorted((TESTS.parent / "src").rglob("*.py"))
MOST_LINES = 400  # of a module
SCREEN = 50  # lines of a function, without its docstring
# The imports that point back up, and why.
NAMED = {
    "histhooks.history._shown": "histhooks._views.notebook",  # a notebook asks a record for its picture
    "histhooks.history._showing": "histhooks.ui._showing",  # what a person looks at is served by the pages above it
    "histhooks.history._checked": "histhooks.checks",  # a record hands itself to the checks
    "histhooks.history._models": "histhooks.monitor",  # a model hands itself to what judges its windows
}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_no_test_imports_another_test() -> None:
    tests = {path.stem: path for path in TESTS.rglob("test_*.py")}
    helpers = [*(TESTS / "helpers").glob("*.py"), TESTS / "conftest.py"]
    found = {path.name: imported(path) & set(tests) for path in (*tests.values(), *helpers)}
    assert {name: sorted(names) for name, names in found.items() if names} == {}


SHARED = {
    f"histhooks.integrations.{name}" for name in ("kit", "_estimators", "_predictions", "_pytorch", "_transformers")
}
INTEGRATIONS = ("keras", "lightning", "sklearn", "torch", "xgboost")


def of_histhooks(node: ast.AST) -> list[str]:
    """Modules of histhooks that a statement imports, or takes names from."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module in ("histhooks", "histhooks.integrations"):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = ["." * node.level + (node.module or "")]
    else:
        names = []
    return [name for name in names if name.partition(".")[0] in ("", "histhooks")]


@pytest.mark.parametrize("framework", INTEGRATIONS)
def test_an_integration_imports_only_the_kit_and_what_integrations_share(framework: str) -> None:
    folder = TESTS.parent / "src" / "histhooks" / "integrations" / framework
    own = f"histhooks.integrations.{framework}"
    found = {
        f"{path.name}:{node.lineno}: {name}"
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in of_histhooks(node)
        if name not in SHARED and name != own and not name.startswith(f"{own}.")
    }
    assert found == set()


def test_names_of_test_files_are_unique() -> None:
    """Pytest imports them by name alone."""
    names = [path.name for path in TESTS.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    lines = {str(path): path.read_text(encoding="utf-8").count("\n") for path in SOURCES}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function but for its docstring."""
    first = function.body[0]
    is_docstring = ast.get_docstring(function) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if is_docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def test_every_function_fits_on_a_screen() -> None:
    found = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found[f"{path.name}:{node.lineno} {node.name}"] = length(node)
    assert len(found) > 1000
    assert {place: count for place, count in found.items() if count > SCREEN} == {}


# What the first item of an entry says that it is; `params` is a word of many tuples.
KINDS = {"row", "state", "content", "part", "forget", "later", "after"}


def test_entries_are_made_in_one_module() -> None:
    """Points excepted, which the hot path makes itself, and which begin with no word."""
    places = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            first = node.elts[0] if isinstance(node, ast.Tuple) and node.elts else None
            if isinstance(first, ast.Constant) and first.value in KINDS:
                places.add(path.name)
    assert places == {"entries.py"}


def tables_in(node: ast.AST) -> set[str]:
    """The tables of the schema that a list, a set, a mapping or a text of words names."""
    found: list[object] = []
    if isinstance(node, (ast.Tuple, ast.List, ast.Set, ast.Dict)):
        items = node.keys if isinstance(node, ast.Dict) else node.elts
        inner = [each for item in items for each in (item.elts if isinstance(item, ast.Tuple) else [item])]
        found = [each.value for each in inner if isinstance(each, ast.Constant)]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
        found = [*node.value.split()]
    return {str(name) for name in found} & set(TABLES)


def test_which_tables_there_are_is_listed_once() -> None:
    """Reading rooms name the tables whose rows a record has; whatever writes, merges or checks takes the list."""
    rooms = ("_collect", "_record", "_store", "curate", "export", "team", "migrations", "verify")
    places = set()
    for path in SOURCES:
        if path.parent.name in rooms:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            places |= {path.name for node in ast.walk(tree) if len(tables_in(node)) > 2}
    assert places == {"tables.py"}


def together(node: ast.AST) -> set[str]:
    """The status words that one literal of Python holds together."""
    parts: list[ast.expr] = []
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        parts = node.elts
    elif isinstance(node, ast.Dict):
        parts = [part for part in node.keys if part is not None]
    return {part.value for part in parts if isinstance(part, ast.Constant) and part.value in STATUSES}


def test_which_status_words_belong_together_stands_in_the_vocabulary_alone() -> None:
    """One word is what a run's status is compared with; two of them are a rule, and so is any word in SQL.

    What became of gathering a thing (table `captures`) has words of its own, one of which is the same.
    """
    word_in_sql = re.compile(rf"""status\s*(=|<>|IN)\s*\(?'({"|".join(STATUSES)})'""")
    found = []
    for path in SOURCES:
        if path.name == "vocabulary.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            is_sql = word_in_sql.search(text) is not None and "captures" not in text
            if is_sql or len(together(node)) > 1:
                found.append(f"{path.name}:{getattr(node, 'lineno', 0)}")
    assert found == []


def test_the_schema_has_the_status_words_of_the_vocabulary() -> None:
    schema = (TESTS.parent / "src" / "histhooks" / "_store" / "schema.sql").read_text(encoding="utf-8")
    assert schema.count(f"status TEXT NOT NULL CHECK (status IN {in_sql(STATUSES)})") == 2
    assert set(GRADES) == set(WORST_FIRST) == set(STATUSES)


SQL = re.compile(r"\b(SELECT .+ FROM|INSERT (OR \w+ )?INTO|UPDATE \w+ SET|DELETE FROM|PRAGMA) ")
# What asks a store; `testing` does it for tests, and the demo prints a query for a person to try.
ASKING = {
    "_store", "history", "verify", "curate", "export", "migrations", "models", "monitor", "reproduce", "evidence",
    "team", "testing.py",
}  # fmt: skip


def test_sql_stands_in_the_rooms_that_ask_a_store() -> None:
    root = TESTS.parent / "src" / "histhooks"
    found = [path.relative_to(root) for path in SOURCES if SQL.search(path.read_text(encoding="utf-8"))]
    elsewhere = {path.as_posix() for path in found if path.parts[0] not in ASKING}
    assert elsewhere == {"cli/_demo.py"}


def test_the_package_shows_its_rooms() -> None:
    """Modules at the top are public, and each private room says what it is for and what it imports."""
    package = TESTS.parent / "src" / "histhooks"
    found = sorted(path.name for path in package.iterdir() if path.name != "__pycache__")
    assert len(found) <= 32  # what does not fit on a screen is no list any more
    assert [name for name in found if re.fullmatch(r"_[a-z]\w*\.py", name)] == []
    programs = {"_bootstrap", "_demo"}
    for room in (name for name in found if re.fullmatch(r"_[a-z]\w*", name) and name not in programs):
        text = ast.get_docstring(ast.parse((package / room / "__init__.py").read_text(encoding="utf-8")))
        assert "Imports" in (text or ""), room


def arrows(source: Path) -> dict[str, set[str]]:
    """Each module with those that it imports anywhere: at the top, inside a function, or for types alone."""
    names = {".".join(path.relative_to(source).with_suffix("").parts): path for path in source.rglob("*.py")}
    modules = {name.removesuffix(".__init__"): path for name, path in names.items()}
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        wanted: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}: imports here are absolute"
                given = {f"{node.module}.{alias.name}" for alias in node.names}
                wanted |= {name if name in modules else str(node.module) for name in given}
        found[module] = wanted & modules.keys() - {module}
    return found


def circle_in(imports: dict[str, set[str]]) -> str:
    """A circle as one line, each module with the next that it imports; nothing if there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return " -> ".join(reversed(error.args[1]))
    return ""


def test_imports_of_the_source_close_no_circle_but_the_named_ones() -> None:
    imports = arrows(TESTS.parent / "src")
    assert len(imports) > 200
    for module, target in NAMED.items():
        imports[module].remove(target)
    assert circle_in(imports) == ""
    for module, target in NAMED.items():
        imports[module].add(target)
        assert f"{module} -> {target}" in circle_in(imports), "the exception is not needed"
        imports[module].remove(target)


@pytest.mark.parametrize(
    "back",
    [
        "from house.roof import tiles",
        "import house.roof",
        "def build():\n    from house import roof",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.roof import Tile",
    ],
    ids=["top", "plain", "late", "type"],
)
def test_a_circle_of_imports_is_seen_and_shown(tmp_path: Path, back: str) -> None:
    house, around = tmp_path / "house", ["house.ground", "house.roof", "house.wall"]
    house.mkdir()
    texts = {"__init__": "", "ground": back, "wall": "import house.ground", "roof": "from house import wall"}
    for name, text in texts.items():
        (house / f"{name}.py").write_text(text + "\n", encoding="utf-8")
    shown = circle_in(arrows(tmp_path))
    assert shown in [" -> ".join(around[n:] + around[: n + 1]) for n in range(3)]
    (house / "ground.py").write_text("import os\n", encoding="utf-8")
    assert circle_in(arrows(tmp_path)) == ""


def test_the_programs_in_a_pack_are_those_of_the_pages() -> None:
    """A wheel has no pages, so that they stand twice."""
    for name in ("verify_pack.py", "verify_ledger.py"):
        inside = TESTS.parent / "src" / "histhooks" / "evidence" / "_alone" / f"{name}.txt"
        page = TESTS.parent / "docs" / "reference" / name
        assert inside.read_bytes() == page.read_bytes(), f"cp docs/reference/{name} {inside}"
    digest = hashlib.sha256((TESTS.parent / "docs" / "reference" / "verify_ledger.py").read_bytes()).hexdigest()
    program = TESTS.parent / "docs" / "reference" / "verify_pack.py"
    assert f'LEDGER_SHA256 = "{digest}"' in program.read_text(encoding="utf-8"), "verify_ledger.py has changed"
