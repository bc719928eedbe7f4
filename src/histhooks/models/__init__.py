"""Models in production: which version is live, promote another one, go back, and get its verified bytes.

A version is a file by its content, with the run that made it. An alias such as `production` points to one version of a
model at a time, and moves by events that are never changed; docs/guide/models.md describes them.

>>> from histhooks import models
>>> models.promote("model.pt", model="fraud", reason="the first").version.name
'fraud@1'
>>> models.restore("fraud@production", "served.pt").name
'served.pt'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from histhooks.models._serving import path, restore

if TYPE_CHECKING:
    from histhooks.models._promoting import Promotion, promote, register
    from histhooks.models._rolling_back import Rollback, rollback
    from histhooks.models._standing import approve, demote, reject, retire

__all__ = [
    "Promotion",
    "Rollback",
    "approve",
    "demote",
    "path",
    "promote",
    "register",
    "reject",
    "restore",
    "retire",
    "rollback",
]

# What writes is loaded when it is called: a program that serves a model asks for its file only.
_LATE = {
    **dict.fromkeys(("Promotion", "promote", "register"), "histhooks.models._promoting"),
    **dict.fromkeys(("Rollback", "rollback"), "histhooks.models._rolling_back"),
    **dict.fromkeys(("approve", "demote", "reject", "retire"), "histhooks.models._standing"),
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module 'histhooks.models' has no attribute {name!r}")
