"""Split an expression into tokens with positions, for errors that point at one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from histhooks.errors import QueryError

# A quoted name with what stands before and behind it, a quoted text, an operator, a bracket, any other word.
_WORD = r"[^\s()<>=!~,\"'&|]+"
_TOKEN = re.compile(
    rf"""
    (?P<space>\s+)
  | (?P<name>\w+\.(?:"[^"]*"|'[^']*')(?:\.\w+)?)
  | (?P<quoted>"[^"]*"|'[^']*')
  | (?P<sign>==|!=|<>|<=|>=|!~|&&|\|\||[<>=~(),!&|])
  | (?P<word>{_WORD})
    """,
    re.VERBOSE,
)
_SAME = {"==": "=", "<>": "!=", "&&": "and", "&": "and", "||": "or", "|": "or", "!": "not"}
KEYWORDS = frozenset({"and", "or", "not", "in", "is", "has", "null", "none"})


@dataclass(frozen=True, slots=True)
class Word:
    """One word of an expression.

    Attributes
    ----------
    kind : str
        `name` (with a quoted part), `quoted`, `sign`, `keyword`, `word` or `end`.
    text : str
        As it counts: without quotes, operators under one name, keywords in lower case.
    start, end : int
        Where it stands.
    """

    kind: str
    text: str
    start: int
    end: int


def fail(expression: str, start: int, end: int, message: str) -> QueryError:
    """An error that shows the expression, with a caret under the place."""
    shown = "".join(" " if sign.isspace() else sign if sign.isprintable() else "?" for sign in expression)
    begin = max(0, start - 60)
    part = ("…" if begin else "") + shown[begin : end + 40]
    place = start - begin + bool(begin)
    return QueryError(f"{message}\n  {part}\n  {' ' * place}{'^' * max(1, min(end, len(expression)) - start)}")


def words_of(expression: str) -> list[Word]:
    """Cut an expression into words.

    Raises
    ------
    QueryError
        If a quote is open, or a text cannot be looked for in a database.
    """
    try:
        expression.encode()
    except UnicodeEncodeError as error:
        raise fail(expression, error.start, error.start + 1, "this is no text that a store can hold") from error
    out: list[Word] = []
    place = 0
    while place < len(expression):
        found = _TOKEN.match(expression, place)
        if found is None:
            raise fail(expression, place, place + 1, "this quote is never closed")
        kind, text = str(found.lastgroup), found[0]
        if kind == "quoted":
            out.append(Word(kind, text[1:-1], place, found.end()))
        elif kind == "sign":
            same = _SAME.get(text, text)
            out.append(Word("keyword" if same in KEYWORDS else kind, same, place, found.end()))
        elif kind == "word" and text.lower() in KEYWORDS:
            out.append(Word("keyword", text.lower(), place, found.end()))
        elif kind != "space":
            out.append(Word(kind, text, place, found.end()))
        place = found.end()
    out.append(Word("end", "the end", len(expression), len(expression) + 1))
    return out
