"""Conditions of a query and how they are joined, as SQL with values.

SQL has three truth values, and `not` of NULL is NULL: a run without a value matches neither a comparison nor its
opposite. So each part says when it is true and when it is false, and ``not`` swaps the two. That lets a comparison
stand inside a semi-join (``r.id IN (SELECT ...)``), which is never NULL: SQLite may then begin with the few rows that
match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from histhooks._base.vocabulary import FINISHED
from histhooks.history.query.fields import SQL, Field

Test = Callable[[SQL], SQL]  # from a value to a condition on it, which is NULL if the value is
_WIDE = 50
_NOTHING: SQL = ("NULL", ())
_PART = re.compile(r"\{(\d)\}")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a question.

    Attributes
    ----------
    fits, fails : str and values
        Whether it is true, or false, of a run ``r``; each only ever joined by AND and OR.
    candidate, no_candidate : str and values, or None
        The same of a candidate ``j`` of a search ``r`` that has no run of its own; None if it can never be so.
    field, test : Field and callable, or None
        What one comparison compares, and how: comparisons of one field are one semi-join.
    """

    fits: SQL
    fails: SQL
    candidate: SQL | None
    no_candidate: SQL | None
    field: Field | None = None
    test: Test | None = None


def compared(field: Field, test: Test) -> Part:
    """A comparison of a field with a value."""
    opposite = partial(_opposite, test)
    if field.among is not None and field.among.is_several:
        # Comparisons of two of its values are no comparison of one, and none that fits is no value that does not.
        fits = _among(field, test)
        return Part(fits, form("({0} AND NOT {1})", _has(field), fits), None, None)
    value = of_candidate(field)
    candidate, no_candidate = (None, None) if value is None else (test(value), opposite(value))
    return Part(_among(field, test), _among(field, opposite), candidate, no_candidate, field, test)


def measured(field: Field, sql: SQL, sign: str, number: float) -> SQL:
    """A comparison of a number; by its bounds alone where these decide it."""
    exact = form(f"{{0}} {sign} {{1}}", sql, ("?", (number,)))
    among = field.among
    if among is None or among.bounds is None or sql != among.value:
        return exact
    low, high = among.bounds
    low_is, high_is = ((high, "TRUE", low, "FALSE"), (high, "FALSE", low, "TRUE"))
    certain = {"<": low_is, "<=": low_is, ">": high_is, ">=": high_is}
    same = str(sign == "!=").upper()
    below, if_below, above, if_above = certain.get(sign, (high, same, low, same))
    template = f"CASE WHEN {below} < {{1}} THEN {if_below} WHEN {above} > {{1}} THEN {if_above} ELSE {{0}} END"
    return form(template, exact, ("?", (number,)))


def both_compared(left: Field, right: Field, test: Callable[[Callable[[Field], SQL]], SQL]) -> Part:
    """A comparison of two fields; `test` is given how to write one."""
    run = test(of_run)
    opposite = form("NOT ({0})", run)
    guard = next((_has(each) for each in (left, right) if each.among is not None and each.among.is_of_run), None)
    if guard is not None:
        run, opposite = form("({0} AND {1})", guard, run), form("({0} AND {1})", guard, opposite)
    if of_candidate(left) is None or of_candidate(right) is None:
        return Part(run, opposite, None, None)
    candidate = test(lambda field: of_candidate(field) or _NOTHING)
    return Part(run, opposite, candidate, form("NOT ({0})", candidate))


def null(field: Field, template: str, *, is_null: bool) -> Part:
    """Whether there is no value; the template says what of a value counts as one."""
    there = _among(field, lambda sql: form(f"{template} IS NOT NULL", sql))
    missing = form("NOT {0}", there)
    value = of_candidate(field)
    candidate = None if value is None else form(f"{template} IS NOT NULL", value)
    found = Part(there, missing, candidate, ("TRUE", ()) if candidate is None else form("NOT {0}", candidate))
    return negated(found) if is_null else found


def joined(parts: Sequence[Part], sign: str) -> Part:
    """Parts joined by AND or OR."""
    if len(parts) == 1:
        return parts[0]
    field = parts[0].field
    tests = [part.test for part in parts if part.test is not None and part.field is field]
    if field is not None and len(tests) == len(parts):
        return compared(field, lambda sql: _joined([test(sql) for test in tests], sign))
    other = "OR" if sign == "AND" else "AND"
    return Part(
        _joined([part.fits for part in parts], sign), _joined([part.fails for part in parts], other),
        _possible([part.candidate for part in parts], sign), _possible([part.no_candidate for part in parts], other),
    )  # fmt: skip


def negated(part: Part) -> Part:
    """The opposite."""
    test = None if part.test is None else partial(_opposite, part.test)
    return Part(part.fails, part.fits, part.no_candidate, part.candidate, part.field, test)


def form(template: str, *parts: SQL) -> SQL:
    """Put pieces of SQL where a template says ``{0}``, ``{1}``, each with its values, as often as it stands there."""
    pieces = _PART.split(template)
    values = [value for number in pieces[1::2] for value in parts[int(number)][1]]
    pieces[1::2] = [parts[int(number)][0] for number in pieces[1::2]]
    return "".join(pieces), tuple(values)


def of_run(field: Field) -> SQL:
    """The value in a run."""
    return field.sql, field.values


def of_candidate(field: Field) -> SQL | None:
    """The same of a candidate that is a row in a table of its search: what it has itself, else what its search has."""
    if field.keys:
        return f"hh_at(j.value{', ?' * len(field.keys)})", field.keys
    own = {"column status": f"'{FINISHED}'", "column kind": "'candidate'"}.get(field.title)
    if own is not None:
        return own, ()
    return None if field.kind in ("number", "json") else (field.sql, field.values)


def _opposite(test: Test, sql: SQL) -> SQL:
    return form("NOT ({0})", test(sql))


def _joined(found: Sequence[SQL], sign: str) -> SQL:
    if len(found) > _WIDE:  # as a tree, since SQLite bounds how deep an expression is
        middle = len(found) // 2
        found = [_joined(found[:middle], sign), _joined(found[middle:], sign)]
    return f"({f' {sign} '.join(sql for sql, _ in found)})", tuple(value for _, values in found for value in values)


def _possible(found: Sequence[SQL | None], sign: str) -> SQL | None:
    possible = [each for each in found if each is not None]
    return _joined(possible, sign) if possible and (sign == "OR" or len(possible) == len(found)) else None


def _among(field: Field, test: Test) -> SQL:
    """Whether a run has a value that fits."""
    among = field.among
    if among is None:
        return form("({0})", test(of_run(field)))
    sql, values = form(among.sql, form("({0})", test(among.value)))
    return sql, (*among.values, *values)


def _has(field: Field) -> SQL:
    return _among(field, lambda _: ("TRUE", ()))
