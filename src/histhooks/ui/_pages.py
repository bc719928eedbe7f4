"""How answers are made: templates in which nothing is unescaped, links that hold under any prefix, strong ETags."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

from histhooks._base.ids import short_id
from histhooks._base.text import finite, number, seconds, size, value_text, when
from histhooks._base.version import __version__
from histhooks._base.vocabulary import GRADES
from histhooks.history import History
from histhooks.ui._patches import patch_lines
from histhooks.ui._places import Place
from histhooks.ui._state import in_list
from histhooks.ui._stores import Seen

STATIC = {
    "histhooks.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "chart.js": "text/javascript; charset=utf-8",
    "table.js": "text/javascript; charset=utf-8",
    "uPlot.iife.min.js": "text/javascript; charset=utf-8",
    "uPlot.min.css": "text/css; charset=utf-8",
    "uPlot.LICENSE.txt": "text/plain; charset=utf-8",
    "graph.css": "text/css; charset=utf-8",
    "graph.js": "text/javascript; charset=utf-8",
    "explore.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
# Controls, and what turns the order of letters around (https://trojansource.codes): shown, not obeyed.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_BESIDE = re.compile(rb"^[ \t]*//.*\n|^[ \t]+", re.MULTILINE)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, as the pages see it.

    Attributes
    ----------
    path : str
        From the root of the server, with a slash in front.
    query : str
        Without the question mark.
    words : dict
        Parts of the path by name.
    store : str
        Name of the store; empty on pages of all of them.
    stores : Seen
        The stores by their names, as who asks sees them.
    etag : str
        What the browser has already.
    is_framed : bool
        Whether a notebook shows the page.
    form : str
        What forms must carry; empty if nothing may be written.
    may_take : bool
        Whether files that were kept are given.
    """

    path: str
    query: str
    words: dict[str, str]
    store: str
    stores: Seen
    etag: str = ""
    is_framed: bool = False
    theme: str = field(default="")
    form: str = field(default="", repr=False)
    may_take: bool = False

    @property
    def history(self) -> History:
        """The store that is asked."""
        return self.stores[self.store]

    @property
    def place(self) -> Place:
        """How the store that is asked is called."""
        return self.stores.places[self.store]

    def rel(self, target: str) -> str:
        """A link from this page to a path from the root, relative, so that it holds behind a proxy."""
        up = "../" * (self.path.count("/") - 1)
        return f"{up}{target}" or "./"

    def link(self, target: str, query: str = "") -> str:
        """A link to a page of this store; a theme that was chosen is kept."""
        theme = f"theme={self.theme}" if self.theme and "theme=" not in query else ""
        words = "&".join(filter(None, [query, theme]))
        return self.rel(f"s/{self.store}/{target}") + (f"?{words}" if words else "")

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page of HTML."""
        text = _environment().get_template(template).render(ask=self, version=__version__, **values)
        return self.answer(text, "text/html; charset=utf-8", status)

    def answer(self, text: str | bytes, kind: str, status: int = 200, name: str | None = None) -> Response:
        """Some content; 304 if the browser has it already. With a name, it is saved as a file."""
        body = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
        headers = {"etag": tag}
        if name is not None:
            headers["content-disposition"] = f'attachment; filename="{re.sub(r"[^A-Za-z0-9_.-]+", "-", name)}"'
        if status == 200 and self.etag and tag in self.etag:
            return Response(None, 304, headers)
        return Response(body, status, {**headers, "content-type": kind})

    def json(self, value: Any, status: int = 200, *, is_dense: bool = False) -> Response:
        """Plain values, as the command line prints them; or without what makes them easy to read."""
        text = (
            json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
            if is_dense
            else json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False, default=str)
        )
        return self.answer(f"{text}\n", "application/json", status)


def guarded(cell: Any) -> Any:
    """A cell of CSV that no table program takes for a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def shown(value: Any) -> Any:
    """A text as a page shows it: hidden signs become visible."""
    if value is None:
        return ""
    if type(value) is not str:
        return value
    text = value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")  # not of surrogates
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def cut(text: Any, most: int = 300) -> str:
    """A long text with how much of it is not shown."""
    whole = str(text)
    return whole if len(whole) <= most else f"{whole[:most]}… ({len(whole):,} characters)"


def many(count: int, one: str, more: str = "") -> str:
    """A count with its word: 1 row, 2 rows."""
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"


def grade(status: str) -> str:
    """The class of a status for its colour: good, going, bad, ..."""
    return GRADES.get(status, "doubtful")


def drawn(svg: str) -> Markup:
    """An SVG that histhooks drew, without the attributes that the content policy forbids."""
    return Markup(shown(re.sub(r'(<svg[^>]*) style="[^"]*"', r"\1", svg)))


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("histhooks.ui"), autoescape=True, undefined=StrictUndefined, finalize=shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters.update(
        number=number, seconds=seconds, size=size, when=when, short=short_id, cut=cut, grade=grade, value=value_text
    )
    made.filters["tojson_attr"] = _lines_json
    made.filters["json_attr"] = lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    made.filters["tuple_of"] = tuple
    made.filters["cell_class"] = _cell_class
    made.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    made.filters["breakable"] = _breakable
    made.filters["in_list"] = in_list
    made.filters["many"] = many
    made.filters["linked"] = _linked
    made.tests["startswith_of"] = str.startswith
    made.globals["static"] = _versioned
    made.globals["lines_of"] = patch_lines
    return made


@cache
def static_file(name: str) -> bytes | None:
    """The bytes of a file that pages load."""
    if name not in STATIC:
        return None
    content = resources.files("histhooks.ui").joinpath("static", name).read_bytes()
    # Comments and indents of our own scripts stay here; no text of theirs goes over several lines.
    return _BESIDE.sub(b"", content) if name.endswith(".js") and ".min." not in name else content


@cache
def _versioned(name: str) -> str:
    """The path of such a file, with its content in the name, so that browsers may keep it for ever."""
    return f"static/{name}?v={hashlib.sha256(static_file(name) or b'').hexdigest()[:12]}"


def _cell_class(style: str) -> str:
    """The CSS class for a style of a terminal."""
    return f"style-{style}" if style.isidentifier() else ""


_LONG_WORD = 16
_SEAM = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[._/])(?=[^._/])")


def _breakable(name: str) -> Markup:
    """A name that may be broken behind its dots, and where a word in it ends if they are long."""
    parts = shown(name).split("·")
    may_break = Markup("<wbr>")
    return Markup("·<wbr>").join(may_break.join(_SEAM.split(one)) if len(one) > _LONG_WORD else one for one in parts)


SHORT_ID = re.compile(r"\b[0-9a-f]{8}\b")


def _linked(text: str, links: Mapping[str, str]) -> Markup:
    """A text in which the short ids that are known lead to their pages."""
    parts, end = list[str | Markup](), 0
    for found in SHORT_ID.finditer(text):
        if found[0] in links:
            link = Markup('<a href="{}">{}</a>').format(links[found[0]], found[0])
            parts += [shown(text[end : found.start()]), link]
            end = found.end()
    return Markup().join([*parts, shown(text[end:])])


def _lines_json(lines: Iterable[Any]) -> str:
    """The lines of a card for its canvas, as JSON in an attribute."""
    return json.dumps([asdict(line) for line in lines], separators=(",", ":"))


Handler = Callable[[Ask], Response]
