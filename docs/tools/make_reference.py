"""Write ``docs/reference/python.md`` from docstrings: ``python docs/tools/make_reference.py``.

The page has every public name, with types and an example. tests/docs/test_reference_page.py holds it to the code, and
runs every example on it. No framework needs to be installed.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import typing
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from histhooks._base import other_names

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "python.md"
INTEGRATIONS = ROOT / "src" / "histhooks" / "integrations"

INTRO = """\
# Python reference

Every public name, with its types and an example. Generated from the docstrings by
`python docs/tools/make_reference.py`.

`histhooks` has what records. What reads is loaded when it is first used: `histhooks.History`, and the modules
`history`, `plot`, `report`, `export`, `verify`, `curate`, `models`, `monitor`, `checks`, `reproduce`, `evidence`,
`team`, `ui`, `integrations` and `testing`. Each verb of the [command line](command_line.md) has its call here.

CONTENTS

The examples run in a folder with this small history:

```python
import numpy

import histhooks
from histhooks import curate, models

open("model.pt", "wb").write(b"weights")
train = numpy.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
test = numpy.array([[1.0, 0.0], [3.0, 1.0]])
for lr, losses in ((0.1, [1.0, 0.5, 0.75]), (0.01, [1.0, 0.5, 0.25])):
    with histhooks.start_run("train", params={"lr": lr}, tags={"team": "red"}) as run:
        run.log_dataset("train", train, [0, 1, 1])
        run.log_dataset("test", test, [1, 0])
        for epoch, loss in enumerate(losses):
            run.log({"loss": loss / 2, "val_loss": loss}, epoch=epoch)
        run.log_artifact("model.pt", role="model")
        run.note("a first try")
histhooks.flush()
models.promote("model.pt", model="churn", reason="first")

history = histhooks.History("histhooks.db")
run = history.run("last")
```
"""


@dataclasses.dataclass(frozen=True)
class Chapter:
    """A part of the page: names of one module, and what comes before them."""

    title: str
    intro: str
    module: str
    names: tuple[str, ...]


CHAPTERS = (
    Chapter(
        "Recording",
        "These calls are for the current run, or for a whole program. None raises into a program: what cannot be "
        "recorded is refused with one warning and an event, unless `HISTHOOKS_STRICT=1` is set.",
        "histhooks",
        (
            "autolog", "disable", "paused", "start_run", "current_run", "log", "log_metric", "log_metrics", "log_param",
            "log_params", "log_artifact", "set_tag", "set_tags", "flush",
        ),
    ),
    Chapter(
        "Serving",
        "A program that serves a version of a model under `histhooks run --watch` needs neither.",
        "histhooks",
        ("watch", "observe"),
    ),
    Chapter("A run that records", "", "histhooks", ("Run",)),
    Chapter("Reading", "", "histhooks", ("History",)),
    Chapter(
        "A run that is read",
        "",
        "histhooks.history",
        ("RunRecord", "Runs", "Summaries", "Summary", "Series", "Curve", "Artifacts", "Artifact", "Changes"),
    ),
    Chapter(
        "Comparing",
        "`history.diff()`, `history.compare()`, `history.compare_data()`, `history.agreement()` and "
        "`history.timeline()` give these.",
        "histhooks.history",
        ("Differences", "Comparison", "DataComparison", "Agreement", "Timeline", "TimelineRow"),
    ),
    Chapter(
        "Where things come from",
        "`history.lineage()` and `history.content()` give these.",
        "histhooks.history",
        ("Lineage", "LineageNode", "LineageLink", "LineageFold", "Content", "ContentUse"),
    ),
    Chapter("Checks", "", "histhooks.checks", ()),
    Chapter("Models in production", "", "histhooks.models", ()),
    Chapter(
        "A model that is read",
        "`history.models()`, `history.model()` and `history.version()` give these.",
        "histhooks.history",
        ("Model", "ModelVersion", "ModelEvent", "Live"),
    ),
    Chapter("Charts", "", "histhooks.plot", ("plot", "Chart", "spark_svg", "svg_curves")),
    Chapter("In a browser", "", "histhooks.ui", ("serve", "app")),
    Chapter("Reports", "", "histhooks.report", ("report", "page_of")),
    Chapter("Export", "", "histhooks.export", ("export", "Exported")),
    Chapter("Verification", "", "histhooks.verify", ("verify", "Report", "CANNOT_PROVE")),
    Chapter("Changing a history on purpose", "", "histhooks.curate", ()),
    Chapter("One history of several stores", "", "histhooks.team", ()),
    Chapter("Repeating a run", "", "histhooks.reproduce", ()),
    Chapter("A model in production", "", "histhooks.monitor", ()),
    Chapter("Evidence", "", "histhooks.evidence", ()),
    Chapter("Testing an integration", "", "histhooks.testing", ("Case", "check_all", "CHECKS", "run_program", "query")),
    Chapter("Errors", "", "histhooks.errors", ()),
)  # fmt: skip
FRAMEWORKS = (
    ("keras", "HistoryCallback"), ("lightning", "HistoryCallback"), ("sklearn", "recorded"), ("torch", "record"),
    ("xgboost", "HistoryCallback"),
)  # fmt: skip
# Types of rows, in the chapter "A run that is read".
ROW_TYPES = (
    ("histhooks.history.data.dataset", ("Dataset",)),
    (
        "histhooks.history.data.rows",
        ("Digest", "ColumnFacts", "Sketch", "Overlap", "Split", "Transform", "Weights"),
    ),
    (
        "histhooks.history._row_types",
        ("FileRead", "Optimizer", "Group", "Architecture", "Note", "Event", "Link"),
    ),
    ("histhooks.history.query.search", ("Found", "Hit")),
    ("histhooks.history.curves.following", ("Update",)),
    ("histhooks.history._progress", ("Progress",)),
    ("histhooks.history._table", ("RunTable", "TableColumn", "TableRow")),
    ("histhooks.history._groups", ("RunGroup",)),
    ("histhooks.history.compare.change", ("Part", "Change")),
    ("histhooks.history.compare.comparison", ("Column",)),
)  # fmt: skip
INTERNAL = {"histhooks._record.session", "histhooks._record.outlet"}  # where entries of a run go
HOOKS = ("For integrations", "In a forked child")
# What one module of histhooks says to another, and no program calls, and what integrations say to a run.
KIT = {
    "settled", "problem", "file_problem", "signature_problem", "take_in", "reaches", "x_text", "rank",
    "capture", "inherit", "know", "log_architecture", "log_held", "log_line", "log_mean", "log_optimizer",
    "log_optimizer_group", "log_passing", "log_weights", "let_go_of_data", "update", "uses_only", "what_is", "describe",
    "before_end", "last_step", "relay", "lead", "cursor",
}  # fmt: skip


# --- docstrings ------------------------------------------------------------------------------------------------------

SECTIONS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Examples")


@dataclasses.dataclass(frozen=True)
class Item:
    """A parameter, an attribute, what is returned or what is raised."""

    name: str
    kind: str
    text: str


@dataclasses.dataclass(frozen=True)
class Doc:
    """A docstring in its parts."""

    text: str
    sections: dict[str, list[Item]]
    example: str


def parse(docstring: str | None) -> Doc:
    """Cut a docstring of numpydoc into its parts.

    Parameters
    ----------
    docstring : str or None

    Returns
    -------
    Doc
    """
    lines = inspect.cleandoc(docstring or "").splitlines()
    starts = [n for n in range(len(lines) - 1) if lines[n] in SECTIONS and set(lines[n + 1]) == {"-"}]
    bounds = [*starts, len(lines)]
    sections = {lines[a]: lines[a + 2 : b] for a, b in pairwise(bounds)}
    example = "\n".join(sections.pop("Examples", [])).strip()
    items = {
        name: list(_items(part, is_returned=name in ("Returns", "Yields", "Raises"))) for name, part in sections.items()
    }
    return Doc("\n".join(lines[: bounds[0]]).strip(), items, example)


def _items(lines: list[str], *, is_returned: bool) -> Iterator[Item]:
    heads = [n for n, line in enumerate(lines) if line and not line.startswith(" ")]
    for start, end in zip(heads, [*heads[1:], len(lines)]):
        name, found, kind = lines[start].partition(" : ")
        text = " ".join(line.strip() for line in lines[start + 1 : end] if line.strip())
        if is_returned and not found:
            name, kind = "", name
        yield Item(name, kind, text)


def inline(text: str) -> str:
    """Words of reStructuredText in Markdown."""
    text = re.sub(r":\w+:`~?(?:histhooks\.)?([^`]+)`", r"`\1`", text)
    text = text.replace("``", "`").replace("docs/guide/", "../guide/").replace("docs/reference/", "")
    return re.sub(r"(?<![(\w/`])((?:\.\./guide/)?(\w+)\.md)\b", r"[\2](\1)", text)


def cell(text: str) -> str:
    """A text as a cell of a table."""
    return inline(text).replace("|", "\\|")


# --- what is public --------------------------------------------------------------------------------------------------


def signature(function: Any, name: str, *, is_method: bool = False) -> str:
    """The call of a function, without types: those are in its table."""
    parts, is_named = [], False
    parameters = list(inspect.signature(function).parameters.values())[1 if is_method else 0 :]
    for parameter in parameters:
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        if parameter.kind is parameter.KEYWORD_ONLY and not is_named:
            parts.append("*")
        is_named = is_named or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        parts.append(f"{star}{parameter.name}{default}")
    return f"{name}({', '.join(part for part in parts if part != '/')})"


def is_public(name: str, thing: Any) -> bool:
    """Whether a member of a class is for programs."""
    doc = inspect.getdoc(thing.fget if isinstance(thing, property) else getattr(thing, "func", thing))
    return not name.startswith("_") and name not in KIT and not (doc or "").startswith(HOOKS)


def members(cls: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """The methods and the properties of a class that programs use, its own before those of its bases."""
    methods, properties = {}, {}
    for base in cls.__mro__:
        if not base.__module__.startswith("histhooks") or base.__module__ in INTERNAL:
            continue
        for name, thing in vars(base).items():
            if not is_public(name, thing) or name in methods or name in properties:
                continue
            if isinstance(thing, property) or type(thing).__name__ == "cached_property":
                properties[name] = thing
            elif inspect.isfunction(thing) or isinstance(thing, (classmethod, staticmethod)):
                methods[name] = getattr(cls, name)
    return methods, properties


def type_of(thing: Any) -> str:
    """The type of a property."""
    function = thing.fget if isinstance(thing, property) else thing.func
    return str(function.__annotations__.get("return", ""))


# --- Markdown --------------------------------------------------------------------------------------------------------


def table(heads: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> list[str]:
    """A table of names, types and meanings."""
    out = [f"| {' | '.join(heads)} |", "|---|---|---|"]
    out += [f"| `{name}` | {cell(kind)} | {cell(text)} |" for name, kind, text in rows]
    return [*out, ""]


def _example(text: str) -> list[str]:
    return ["```pycon", text, "```", ""] if text else []


def described(doc: Doc, function: Any = None) -> list[str]:
    """What a docstring says, in Markdown.

    Parameters
    ----------
    doc : Doc
    function : callable, optional
        Gives types of parameters that the docstring has none for.
    """
    out = [*_prose(doc.text), ""]
    given = {} if function is None else getattr(inspect.unwrap(function), "__annotations__", {})
    rows = []
    for item in doc.sections.get("Parameters", []):
        for name in item.name.split(", "):
            kind = item.kind or str(given.get(name.lstrip("*"), ""))
            rows.append((name, kind, item.text))
    if any(text for _, _, text in rows):
        out += table(("parameter", "type", "meaning"), rows)
    elif rows:
        out += [f"Takes {', '.join(f'`{name}` ({inline(kind)})' for name, kind, _ in rows)}.", ""]
    if doc.sections.get("Attributes"):
        rows = [(name, i.kind, i.text) for i in doc.sections["Attributes"] for name in i.name.split(", ")]
        out += table(("attribute", "type", "meaning"), rows)
    for title, word in (("Returns", "Gives"), ("Yields", "Gives"), ("Raises", "Raises")):
        for item in doc.sections.get(title, []):
            text = f": {inline(item.text[:1].lower() + item.text[1:])}" if item.text else "."
            out.append(f"- **{word}** `{item.kind}`{text}")
    out.append("")
    return [*out, *_example(doc.example)]


def _prose(text: str) -> list[str]:
    """Paragraphs; a block that is indented, or an example, is code."""
    out = []
    for part in text.split("\n\n"):
        if part.startswith(">>> "):
            out += _example(part)
        elif part.startswith("    "):
            out += ["```python", inspect.cleandoc(part), "```", ""]
        else:
            out += [inline(part), ""]
    return out[:-1]


def of_function(function: Any, name: str, level: str = "###") -> list[str]:
    """A function as a section."""
    call = signature(function, name.rpartition(".")[2])
    return [f"{level} `{name}()`", "", f"`{call}`", "", *described(parse(inspect.getdoc(function)), function)]


def of_class(cls: type, shown: str) -> list[str]:
    """A class as a section, with its attributes, properties and methods."""
    methods, properties = members(cls)
    doc = parse(cls.__doc__)
    out = [f"### `{shown}`", "", *described(doc)]
    if properties:
        rows = [(name, type_of(p), " ".join(_summary(p).split())) for name, p in sorted(properties.items())]
        out += table(("property", "type", "what it is"), rows)
    for name, method in methods.items():
        is_method = not inspect.ismethod(method)
        call = signature(method, name, is_method=is_method)
        out += [f"#### `.{name}()`", "", f"`{call}`", "", *described(parse(inspect.getdoc(method)), method)]
    return out


def _summary(thing: Any) -> str:
    function = thing.fget if isinstance(thing, property) else thing.func
    return parse(inspect.getdoc(function)).text


def of_constant(value: Any, name: str) -> list[str]:
    """A constant as a section."""
    kind = f"`{type(value).__name__}` of {len(value)}"
    return [f"### `{name}`", "", f"A {kind}.", "", *_example(f">>> len({name})\n{len(value)}")]


def of_row_types() -> list[str]:
    """Types of rows: each a table of its keys or attributes."""
    out = ["### Types of rows", "", 'What lists hold; a type of which `d["key"]` is written is a dict.', ""]
    for module, names in ROW_TYPES:
        for name in names:
            cls = getattr(importlib.import_module(module), name)
            doc = parse(cls.__doc__)
            rows = [(key, i.kind, i.text) for i in doc.sections.get("Attributes", []) for key in i.name.split(", ")]
            if not rows:
                rows = [(key, str(kind), "") for key, kind in _fields(cls)]
            rows += [(key, type_of(p), " ".join(_summary(p).split())) for key, p in sorted(members(cls)[1].items())]
            how = "a dict" if issubclass(cls, dict) or typing.is_typeddict(cls) else "an object"
            out += [f"#### `{name}`", "", f"{inline(doc.text)} ({how})", ""]
            out += table(("name", "type", "meaning"), rows)
    return out


def _fields(cls: type) -> list[tuple[str, Any]]:
    return [(name, kind) for name, kind in inspect.get_annotations(cls).items() if not name.startswith("_")]


def of_integrations() -> list[str]:
    """The callbacks, and their like, from the source: no framework is imported."""
    out = [
        "## Integrations",
        "",
        "`histhooks.autolog()` needs none of these. Each records one training without it.",
        "",
    ]
    for framework, name in FRAMEWORKS:
        node = _definition(INTEGRATIONS / framework, name)
        arguments = node if isinstance(node, ast.FunctionDef) else _constructor(node)
        call = ast.unparse(_plain(arguments.args)) if arguments is not None else ""
        call = call.removeprefix("self, ").removeprefix("self")
        page = f"[{framework}](../integrations/{framework}.md)"
        out += [f"### `histhooks.integrations.{framework}.{name}()`", "", f"`{name}({call})`; more about {page}.", ""]
        out += described(parse(ast.get_docstring(node)))
    return out


def _definition(folder: Path, name: str) -> ast.ClassDef | ast.FunctionDef:
    for path in sorted(folder.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name and ast.get_docstring(node):
                return node
    raise LookupError(f"no {name} in {folder}")


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    found = (n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    return next(found, None)


def _plain(arguments: ast.arguments) -> ast.arguments:
    for argument in [*arguments.args, *arguments.kwonlyargs]:
        argument.annotation = None
    return arguments


def of_other_names() -> list[str]:
    """What people type who come from elsewhere."""
    message = other_names.unknown("module 'histhooks'", "init", other_names.MODULE)
    out = [
        "## Names of MLflow, W&B and TensorBoard",
        "",
        "`log_param`, `log_params`, `log_metric`, `log_metrics`, `log_artifact`, `set_tag` and `set_tags` mean what "
        "they mean in MLflow. Other names are not here, and the error says what to write:",
        "",
        "```pycon",
        ">>> histhooks.init()",
        "Traceback (most recent call last):",
        "    ...",
        f"AttributeError: {message}",
        "```",
        "",
        "| elsewhere | here |",
        "|---|---|",
    ]
    rows = {**other_names.RUN, **other_names.MODULE}
    out += [f"| `{name}` | {cell(rows[name])} |" for name in sorted(rows, key=str.lower)]
    out += [f"| `start_run({name}=...)` | {cell(text)} |" for name, text in other_names.ARGUMENTS["start_run"].items()]
    return [*out, ""]


def anchor(title: str) -> str:
    """The anchor of a heading, as GitHub and MkDocs make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def names_of(chapter: Chapter) -> tuple[str, ...]:
    """The names of a chapter; by default all public ones of its module."""
    module = importlib.import_module(chapter.module)
    own = [name for name, thing in vars(module).items() if inspect.isclass(thing)]
    return chapter.names or tuple(getattr(module, "__all__", own))


def of_chapter(chapter: Chapter) -> list[str]:
    """A chapter of the page."""
    module = importlib.import_module(chapter.module)
    intro = chapter.intro or ("" if chapter.module in ("histhooks", "histhooks.history") else _first_line(module))
    out = [f"## {chapter.title}", "", *([intro, ""] if intro else [])]
    for name in names_of(chapter):
        thing = getattr(module, name)
        shown = f"{chapter.module}.{name}"
        if inspect.isclass(thing):
            out += of_class(thing, shown)
        elif callable(thing):
            out += of_function(thing, shown)
        else:
            out += of_constant(thing, shown)
    if chapter.title == "A run that is read":
        out += of_row_types()
    return out


def _first_line(module: Any) -> str:
    return inline((module.__doc__ or "").partition("\n")[0])


def page() -> str:
    """The text of ``docs/reference/python.md``.

    Returns
    -------
    str
        Markdown.
    """
    titles = [*(chapter.title for chapter in CHAPTERS), "Names of MLflow, W&B and TensorBoard"]
    titles.insert(titles.index("Changing a history on purpose") + 1, "Integrations")
    contents = " · ".join(f"[{title}](#{anchor(title)})" for title in titles)
    parts = [INTRO.replace("CONTENTS", contents), ""]
    for chapter in CHAPTERS:
        parts += of_chapter(chapter)
        if chapter.title == "Changing a history on purpose":
            parts += of_integrations()
    parts += of_other_names()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
