"""The data that a run used, and the split of other data for the model that was trained on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from histhooks._collect.same_data import Print, is_same

if TYPE_CHECKING:
    from histhooks._collect.row_hashes import Rows

_MOST_PRINTS = 4096  # of one run


@dataclass(slots=True, weakref_slot=True, eq=False)
class KnownData:
    """The data that a run saw, by role.

    Attributes
    ----------
    prints : dict of str to list of Print
        Of roles `train` and `valid`, and `whole`: what a host was given to hold a part of it back for validation.
    is_whole : bool
        Whether all of its training data is here.
    earlier : KnownData or None
        That of the run from which this one goes on.
    rows : Rows or None
        Those of its training data.
    looks : object or None
        Its data by content.
    """

    prints: dict[str, list[Print]] = field(default_factory=dict)
    is_whole: bool = True
    earlier: KnownData | None = None
    rows: Rows | None = None
    looks: Any = None

    def add(self, role: str, seen: Print) -> None:
        """Keep a print; the first some thousand only."""
        kept = self.prints.setdefault(role, [])
        if len(kept) < _MOST_PRINTS:
            kept.append(seen)
        else:
            self.is_whole = False

    def looks_before(self) -> list[Any]:
        """The data by content of the runs from which this one goes on."""
        found: list[Any] = []
        here = self.earlier
        while here is not None and len(found) < 100:
            found.append(here.looks)
            here = here.earlier
        return found

    def has_target(self, seen: Print) -> bool:
        """Whether the targets are those of training data, although its features may be others."""
        return seen.target is not None and any(kept.target == seen.target for kept in self.prints.get("train", ()))

    def split_of(self, seen: Print) -> tuple[str | None, str]:
        """The split that data has for the model that was trained on this; None if that cannot be known, and why.

        Returns
        -------
        tuple of str or None, and str
            `train`, `valid` or `test`, and why there is none.
        """
        unknown = ""
        if any(is_same(kept, seen) is not False for kept in self.prints.get("whole", ())):
            unknown = "a part of it was trained on, and another was held back for validation"
        for role in ("train", "valid"):
            known, here = False, self
            for _ in range(100):
                known = known or bool(here.prints.get(role))
                for kept in here.prints.get(role, ()):
                    same = is_same(kept, seen)
                    if same:
                        return role, ""
                    if same is None and not unknown:
                        unknown = _why(role, kept, seen)
                if role == "train" and not here.is_whole:
                    unknown = unknown or "not all of the training data is known"
                if here.earlier is None:
                    break
                here = here.earlier
            if role == "train" and not known:
                unknown = unknown or "the training data is not known"
        return (None, unknown) if unknown else ("test", "")


def _why(role: str, kept: Print, seen: Print) -> str:
    whose = "training" if role == "train" else "validation"
    if "none" in (kept.coverage, seen.coverage):
        return f"content that was not hashed cannot be compared with the {whose} data"
    if "sample" in (kept.coverage, seen.coverage):
        return f"its content and that of the {whose} data were hashed by samples, which are alike"
    return f"a {seen.kind} cannot be compared with the {whose} data, a {kept.kind}"
