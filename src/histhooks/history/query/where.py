"""Compile expressions such as ``val_loss < 0.3 and params.lr > 1e-4`` to SQL; docs/reference/where.md is for users.

No text of an expression ever becomes SQL: names are looked up in the store, and values are bound as parameters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from histhooks._base.vocabulary import STATUSES
from histhooks.errors import QueryError
from histhooks.history.query.fields import SQL, Field
from histhooks.history.query.names import Names, framework_of, has_prefix, prefix_of, split, written
from histhooks.history.query.parts import Part, both_compared, compared, form, joined, measured, negated, null
from histhooks.history.query.times import EXAMPLES, moment, span_s
from histhooks.history.query.tokens import Word, fail, words_of

_DEEPEST = 40
_SHORT_HASH = {
    "column commit_hash": re.compile(r"[0-9a-fA-F]{4,39}"), "column sha256": re.compile(r"[0-9a-fA-F]{4,64}"),
    "column data": re.compile(r"[0-9a-fA-F]{4,64}"),
}  # fmt: skip
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
KINDS = ("fit", "search", "candidate", "validate", "evaluate", "preprocess", "loop", "block")


@dataclass(frozen=True, slots=True)
class Condition:
    """What a question asks of a run ``r``.

    Attributes
    ----------
    sql : str
        Whether ``runs AS r`` fits; false or NULL if not.
    values : tuple
        For the question marks in it.
    candidate : tuple of str and values, or None
        The same of a candidate ``j`` of a search ``r`` that has no run of its own; None if none can fit.
    """

    sql: str
    values: tuple[Any, ...]
    candidate: SQL | None


def compile_where(expression: str, names: Names) -> Condition:
    """Understand a question.

    Parameters
    ----------
    expression : str
    names : Names
        What the store knows.

    Returns
    -------
    Condition

    Raises
    ------
    QueryError
        If it cannot be understood; a caret shows the place.
    """
    parser = _Parser(expression, names)
    part = parser.whole()
    return Condition(*part.fits, part.candidate if parser.asks_candidates else None)


class _Parser:
    """Recursive descent; each rule gives a part of the question."""

    def __init__(self, expression: str, names: Names) -> None:
        self._expression = expression
        self._names = names
        self._words = words_of(expression)
        self._place = 0
        self._depth = 0
        self._fields: dict[tuple[str, str, str], Field] = {}
        self.asks_candidates = False

    # --- words ------------------------------------------------------------------------------------------------------

    @property
    def _next(self) -> Word:
        return self._words[self._place]

    def _take(self) -> Word:
        word = self._words[self._place]
        self._place = min(self._place + 1, len(self._words) - 1)
        return word

    def _accept(self, *texts: str) -> Word | None:
        word = self._next
        return self._take() if word.kind in ("sign", "keyword") and word.text in texts else None

    def _fail(self, word: Word, message: str) -> QueryError:
        return fail(self._expression, word.start, word.end, message)

    # --- rules ------------------------------------------------------------------------------------------------------

    def whole(self) -> Part:
        """Everything."""
        if self._next.kind == "end":
            raise self._fail(self._next, "the expression is empty; ask for instance val_loss < 0.3")
        found = self._or()
        if self._next.kind != "end":
            raise self._fail(self._next, f"{self._next.text!r} is not expected here; join conditions by and, or")
        return found

    def _or(self) -> Part:
        found = [self._and()]
        while self._accept("or"):
            found.append(self._and())
        return joined(found, "OR")

    def _and(self) -> Part:
        found = [self._not()]
        while self._accept("and"):
            found.append(self._not())
        return joined(found, "AND")

    def _not(self) -> Part:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._fail(self._next, "this lies too deep in brackets")
        if self._accept("not"):
            found = negated(self._not())
        elif self._accept("("):
            found = self._or()
            if not self._accept(")"):
                raise self._fail(self._next, "a closing bracket is missing here")
        elif self._accept("has"):
            found = _null(self._field(self._name()), is_null=False, is_value=False)
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> Part:
        left = self._operand()
        is_not = self._accept("not")
        if self._accept("in"):
            found = joined([self._compare(left, "=", value) for value in self._list()], "OR")
            return negated(found) if is_not else found
        if is_not:
            raise self._fail(self._next, "after not comes in, as in: framework not in (keras, torch)")
        if self._accept("is"):
            wanted = not self._accept("not")
            if not self._accept("null", "none"):
                raise self._fail(self._next, "after is comes null or not null")
            return _null(self._field(left), is_null=wanted, is_value=True)
        chain: list[Part] = []
        right = left
        while sign := self._accept(*_FLIPPED, "~", "!~"):
            left, right = right, self._operand()
            chain.append(self._compare(left, sign.text, right))
        if not chain:
            self._missing_sign(left)
        return joined(chain, "AND")

    def _missing_sign(self, left: Word) -> None:
        if left.kind != "quoted":
            self._field(left)
        text = self._expression[left.start : left.end]
        raise self._fail(self._next, f"a comparison is missing here, such as {text} > 0, {text} = word or has {text}")

    def _list(self) -> list[Word]:
        if not self._accept("("):
            raise self._fail(self._next, "after in comes a list, as in: framework in (keras, torch)")
        found = [self._operand()]
        while self._accept(","):
            found.append(self._operand())
        if not self._accept(")"):
            raise self._fail(self._next, "the list is not closed; a ) is missing here")
        return found

    def _name(self) -> Word:
        word = self._take()
        if word.kind not in ("word", "name", "quoted"):
            raise self._fail(word, f"a name is expected here, not {word.text!r}")
        return Word("name", f'metrics."{word.text}"', word.start, word.end) if word.kind == "quoted" else word

    def _operand(self) -> Word:
        word = self._take()
        if word.kind == "keyword" and word.text in ("null", "none"):
            return word
        if word.kind not in ("word", "name", "quoted"):
            shown = "the end" if word.kind == "end" else repr(word.text)
            raise self._fail(word, f"a name or a value is expected here, not {shown}")
        # Ages may be several words: `2d ago`, `2 days ago`.
        while word.kind == "word" and self._next.kind == "word":
            longer = f"{word.text} {self._next.text}"
            if span_s(longer.lower().removesuffix(" ago")) is None:
                break
            word = Word("word", longer, word.start, self._take().end)
        return word

    # --- conditions -------------------------------------------------------------------------------------------------

    def _field(self, word: Word) -> Field:
        key = self._parts(word)
        if key not in self._fields:
            try:
                self._fields[key] = self._names.resolve(*key)
            except QueryError as error:
                raise self._fail(word, str(error)) from None
        field = self._fields[key]
        self.asks_candidates = self.asks_candidates or bool(field.keys)
        return field

    def _parts(self, word: Word) -> tuple[str, str, str]:
        if word.kind == "word":
            return split(word.text)
        if word.kind != "name":
            raise self._fail(word, "a name is expected here")
        head, quote, rest = re.split("([\"'])", word.text, maxsplit=1)
        name, _, stat = rest.rpartition(quote)
        prefix = prefix_of(head[:-1])
        if prefix is None:
            raise self._fail(word, "before a quoted name comes metrics, params, results or tags")
        return prefix, name, stat[1:]

    def _compare(self, left: Word, sign: str, right: Word) -> Part:
        if _is_value(left):
            left, sign, right = self._turned(left, sign, right)
        field = self._field(left)
        if right.kind == "keyword":
            if sign not in ("=", "!="):
                raise self._fail(right, "null is neither more nor less than anything; ask is null")
            return _null(field, is_null=sign == "=", is_value=True)
        if self._is_name(field, right):
            return self._compare_fields(field, sign, self._field(right), right)
        if sign in ("!=", "!~") and field.among is not None and field.among.is_several:
            equal = sign.replace("!=", "=").replace("!~", "~")
            return negated(compared(field, lambda sql: self._condition(field, sql, equal, right)))
        return compared(field, lambda sql: self._condition(field, sql, sign, right))

    def _turned(self, left: Word, sign: str, right: Word) -> tuple[Word, str, Word]:
        """The name first."""
        if _is_value(right):
            hint = f"; a metric of that name is written {written('metrics', left.text)}" if left.text else ""
            raise self._fail(left, f"two values are compared here{hint if left.kind == 'quoted' else ''}")
        if sign not in _FLIPPED:
            raise self._fail(left, "the name comes first, as in: name ~ resnet")
        return right, _FLIPPED[sign], left

    def _is_name(self, field: Field, right: Word) -> bool:
        """Whether what follows an operator is a name: where it says so, and where a number is needed and it is none."""
        if right.kind == "name" or (right.kind == "word" and has_prefix(right.text)):
            return True
        return field.kind == "number" and right.kind == "word" and _number(field, right.text) is None

    def _compare_fields(self, left: Field, sign: str, right: Field, word: Word) -> Part:
        if sign not in _FLIPPED:
            raise self._fail(word, "after ~ comes a text, as in: name ~ resnet")
        kinds = {left.kind, right.kind}
        is_number = "number" in kinds or (kinds == {"json"} and sign not in ("=", "!="))
        if (is_number and not kinds <= {"number", "json", "tag"}) or ("time" in kinds and kinds != {"time"}):
            raise self._fail(word, f"{left.title} and {right.title} cannot be compared")
        as_value = _as_number if is_number else _as_text

        def condition(of: Callable[[Field], SQL]) -> SQL:
            return form(f"{{0}} {sign} {{1}}", as_value(left, of(left)), as_value(right, of(right)))

        return both_compared(left, right, condition)

    def _condition(self, field: Field, sql: SQL, sign: str, right: Word) -> SQL:
        text = ("?", (right.text,))
        if sign in ("~", "!~"):
            if field.kind in ("number", "time"):
                raise self._fail(right, f"{field.title} is no text; compare it with =, < or >")
            return form(f"{'NOT ' if sign == '!~' else ''}hh_like({{0}}, {{1}})", _as_text(field, sql), text)
        if field.kind == "time":
            return self._time(field, sql, sign, right)
        value = _number(field, right.text) if right.kind == "word" or field.kind == "number" else None
        if field.kind == "number" and value is None:
            raise self._fail(right, f"{field.title} is a number, and {right.text!r} is none")
        if value is not None and field.kind in ("number", "json", "tag"):
            if math.isnan(value):
                raise self._fail(right, "nan equals nothing; ask for instance val_loss.nonfinite > 0")
            return measured(field, _as_number(field, sql), sign, value)
        if field.kind == "json" and sign in ("=", "!="):
            return _json_equals(sql, sign, right)
        self._check_choice(field, right)
        short = _SHORT_HASH.get(field.title)
        if sign in ("=", "!=") and short is not None and short.fullmatch(right.text):
            # As git and our screens write it.
            return form(f"substr({{0}}, 1, {len(right.text)}) {sign} {{1}}", sql, ("?", (right.text.lower(),)))
        if sign in ("=", "!=") and field.title == "column framework":
            text = ("?", (framework_of(right.text),))
        return form(f"{{0}} {sign} {{1}}", _as_text(field, sql), text)

    def _time(self, field: Field, sql: SQL, sign: str, right: Word) -> SQL:
        found = moment(right.text)
        if found is None:
            raise self._fail(right, f"{field.title} is a time, and {right.text!r} is none; write {EXAMPLES}")
        begin, end = ("?", (found[0],)), ("?", (found[1],))
        if sign in ("=", "!="):
            return form(f"{'NOT ' if sign == '!=' else ''}({{0}} >= {{1}} AND {{0}} < {{2}})", sql, begin, end)
        return form(f"{{0}} {sign} {{1}}", sql, begin)

    def _check_choice(self, field: Field, right: Word) -> None:
        choices = {"column status": STATUSES, "column kind": KINDS}.get(field.title)
        if choices and right.text not in choices:
            raise self._fail(right, unknown_choice(field.title.removeprefix("column "), right.text, choices))


def unknown_choice(what: str, word: str, choices: Sequence[str]) -> str:
    """Say that a word is none of those there are."""
    from difflib import get_close_matches

    close = get_close_matches(word, choices, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(choices)}"
    return f"no {what} is called {word!r}; {hint}"


def _is_value(word: Word) -> bool:
    return word.kind in ("quoted", "keyword") or (word.kind == "word" and _float(word.text) is not None)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _number(field: Field, text: str) -> float | None:
    value = _float(text)
    return span_s(text) if value is None and field.title == "column duration_s" else value


# --- SQL ------------------------------------------------------------------------------------------------------------


def _as_number(field: Field, sql: SQL) -> SQL:
    return form("hh_number({0})", sql) if field.kind in ("json", "tag") else sql


def _as_text(field: Field, sql: SQL) -> SQL:
    return form("hh_text({0})", sql) if field.kind == "json" else sql


def _null(field: Field, *, is_null: bool, is_value: bool) -> Part:
    """Whether there is none; of a param, JSON's null counts as none where its value is asked for."""
    return null(field, "nullif({0}, 'null')" if field.kind == "json" and is_value else "{0}", is_null=is_null)


def _json_equals(sql: SQL, sign: str, right: Word) -> SQL:
    truth = {"true": 1, "false": 0}.get(right.text.lower()) if right.kind == "word" else None
    if truth is not None:
        return form(f"hh_truth({{0}}) {sign} {{1}}", sql, ("?", (truth,)))
    # A class by its whole name or by its last part.
    either = "(hh_text({0}) = {1} OR hh_short({0}) = {1})"
    return form(either if sign == "=" else f"NOT {either}", sql, ("?", (right.text,)))
