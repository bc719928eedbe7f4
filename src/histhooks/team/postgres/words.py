"""The words of a statement, as a tree of brackets."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<dollar>\$(?:[A-Za-z_]\w*)?\$.*?\$(?:[A-Za-z_]\w*)?\$)
    |(?P<text>'(?:[^']|'')*')
    |(?P<name>"(?:[^"]|"")*"|[^\W\d]\w*)
    |(?P<value>\?\d*)
    |(?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)
    |(?P<sign>::|\|\||<=|>=|<>|!=|==|->>|->|<<|>>|.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word, a number, a text or a sign, and where it stands."""

    text: str
    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Group:
    """What stands between brackets."""

    nodes: list[Node]
    start: int
    end: int


Node = Word | Group


def parsed(sql: str) -> list[Node]:
    """A statement as a tree; brackets that do not fit are signs."""
    stack: list[tuple[int, list[Node]]] = [(0, [])]
    for found in _WORD.finditer(sql):
        kind, text = found.lastgroup or "", found[0]
        if kind == "space":
            continue
        if text == "(":
            stack.append((found.start(), []))
        elif text == ")" and len(stack) > 1:
            start, nodes = stack.pop()
            stack[-1][1].append(Group(nodes, start, found.end()))
        else:
            stack[-1][1].append(Word(text, kind, found.start(), found.end()))
    while len(stack) > 1:  # a bracket that nobody closed: the database says so
        start, nodes = stack.pop()
        stack[-1][1].extend([Word("(", "sign", start, start + 1), *nodes])
    return stack[0][1]


def upper(node: Node) -> str:
    """A word in capitals; nothing for what is quoted or between brackets."""
    if isinstance(node, Group) or node.kind == "text" or node.text.startswith('"'):
        return ""
    return node.text.upper()


def is_word(node: Node) -> bool:
    """Whether it is a name or a keyword."""
    return isinstance(node, Word) and node.kind == "name"
