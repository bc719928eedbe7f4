"""``lineage``: what led to a run, a file, data or a version of a model, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from histhooks._views import lineage_words as words_of
from histhooks._views.table import cells, cut, is_endless, plain_line, styled, width
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks._views.lineage_words import Line
    from histhooks.history import Lineage, LineageNode

# What stands in a tree before an item, before the last one, and below them.
_SIGNS = ("├─ ", "└─ ", "│  ", "   ")
_LEAST = 6  # of a name
_ASCII = ("|- ", "`- ", "|  ", "   ")


@click.command(epilog="Example: histhooks lineage model.pt; histhooks lineage churn@production; histhooks lineage last")
@click.argument("words", nargs=-1, metavar="[STORE] [RUN|FILE|HASH|NAME@V]")
@common.store_option
@click.option("--depth", metavar="N", type=click.IntRange(0), default=6, show_default=True,
              help="How many links to follow each way.")  # fmt: skip
@common.json_option
def lineage(words: tuple[str, ...], store: str | None, depth: int, as_json: bool) -> None:
    """Show what led to a run, a file, data or a version of a model, and what came of it.

    HASH is that of a file or of data, or 6 digits or more of its beginning. A file is its content: a copy is the same
    file. Without a word it is the latest run. Large groups are counted, and the newest of each are shown.
    """
    words, store = common.split_store(words, store)
    if len(words) > 1:
        raise click.UsageError(f"lineage takes one run, file, hash or version, not {len(words)}")
    with common.open_history(store) as history:
        found = history.lineage(words[0] if words else "last", depth=depth)
    if as_json:
        common.print_json(found.as_json())
    else:
        _print(found)


def _print(found: Lineage) -> None:
    room = width()
    title = "" if found.root.kind == "run" else f"{found.root.kind} "
    click.echo(_node(title, found.root, "", room, is_root=True), color=True)
    for is_up, title in ((True, "led to it"), (False, "came of it")):
        lines = words_of.tree(found, is_up=is_up)
        click.echo()
        click.echo(styled(title if lines else f"nothing {title}", "bold" if lines else "dim"), color=True)
        for line in lines:
            click.echo(_line(line, room), color=True)


def _line(line: Line, room: int) -> str:
    item, last, through, blank = _SIGNS if common.can_show("└") else _ASCII
    signs = "".join(blank if is_last else through for is_last in line.ends[:-1]) + (last if line.ends[-1] else item)
    if not is_endless() and len(signs) > room // 2:  # of a long chain, the end says where one is
        signs = "… " + signs[-(room // 2 - 2) :]
    if line.node is None:
        return styled(f"{signs}{cut(line.text, room - len(signs))}", "dim")
    role = f"as {line.text}" if line.text else ""
    rest = [role, *(["above"] if line.is_repeated else [])]
    return _node(f"{signs}{line.verb} ", line.node, "  ".join(filter(None, rest)), room)


def _node(before: str, node: LineageNode, after: str, room: int, *, is_root: bool = False) -> str:
    """A line that fits: the facts give way first, the name last."""
    told = words_of.facts(node)
    status = told.pop(0) if node.kind == "run" else ""
    rest = [text for text in (status, after, *told) if text]
    before = cut(before, room - _LEAST)
    left = room - cells(before)
    has_id = left >= _LEAST + len(node.short) + 2
    name = cut(plain_line(node.name), left - (len(node.short) + 2 if has_id else 0))
    left -= cells(name) + (len(node.short) + 2 if has_id else 0)
    shown: list[str] = []
    for text in map(plain_line, rest):
        if cells(text) + 2 > left:
            break
        left -= cells(text) + 2
        shown.append(styled(text, node.status or "" if text == status else "dim"))
    title = styled(name, "bold") if is_root or node.kind == "run" else name
    return "  ".join(
        [(styled(before, "dim") if before else "") + title, *([styled(node.short, "dim")] if has_id else []), *shown]
    )
