"""Which checks there are: those of histhooks, in the order in which they are listed, and those of other packages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from histhooks.checks._types import Check
from histhooks.errors import QueryError

GROUP = "histhooks.checks"
IDS = (
    "run.unfinished", "rec.dropped", "rec.capture",
    "leak.rows", "leak.index", "leak.target", "leak.feature", "leak.prep", "leak.groups", "leak.time", "leak.fold",
    "valid.none", "valid.is_train", "select.on_test", "test.reused", "test.small", "gain.noise", "score.perfect",
    "loss.nonfinite", "loss.diverged", "loss.flat", "loss.unstable", "lr.odd",
    "fit.past_best", "fit.gap", "fit.no_better", "fit.still_improving", "fit.frozen", "weights.nonfinite",
    "split.classes", "split.drift", "data.constant", "data.missing", "data.id", "data.twins", "data.changed",
    "seed.unset", "seed.reset", "code.dirty", "env.changed", "pkg.open", "model.unsafe", "model.gone", "res.idle",
)  # fmt: skip


@lru_cache(maxsize=1)
def checks() -> dict[str, Check]:
    """The checks of histhooks, by id.

    Examples
    --------
    >>> from histhooks.checks import all_checks
    >>> all_checks()["leak.rows"].id
    'leak.rows'
    """
    found = {}
    for name in IDS:
        check = import_module(f"histhooks.checks.rules.{name.replace('.', '_')}").CHECK
        assert isinstance(check, Check)
        assert check.id == name
        found[name] = check
    return found


def plug_ins() -> dict[str, EntryPoint]:
    """The checks of other packages, by the name of the entry of the group `histhooks.checks`; none is loaded yet.

    An entry loads a function that takes a RunRecord and gives findings.
    """
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def known(names: Iterable[str]) -> tuple[str, ...]:
    """Ids that exist; a family such as `leak` or `leak.*` means all of it.

    Raises
    ------
    QueryError
        If there is no such check, with those that are close.
    """
    names = list(names)
    if not names:
        return ()  # finding entry points reads every installed package
    every = (*IDS, *plug_ins())
    out: list[str] = []
    for name in names:
        family = name.removesuffix("*").removesuffix(".")
        found = [each for each in every if each == name or each.startswith(f"{family}.")]
        if not found:
            close = get_close_matches(name, every, n=3, cutoff=0.4)
            hint = f"did you mean {', '.join(close)}?" if close else "`histhooks check --list` shows all of them"
            raise QueryError(f"no check is called {name!r}; {hint}")
        out += found
    return tuple(dict.fromkeys(out))
