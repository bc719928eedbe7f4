"""The words by which a record says how something ended, and who decides them."""

from __future__ import annotations

import sys

from histhooks._base.exceptions import code_of


def status_of(error: BaseException | None) -> str:
    """The status that an exception gives a run (Ctrl-C and a clean exit interrupt, all else fails)."""
    if error is None:
        return "finished"
    asyncio = sys.modules.get("asyncio.exceptions")  # which tells a task of Ctrl-C by cancelling it
    kind = type(error)  # `isinstance` also asks the object, and any code of an exit may compare in its own way
    if issubclass(kind, (KeyboardInterrupt, GeneratorExit)) or (
        asyncio is not None and issubclass(kind, asyncio.CancelledError)
    ):
        return "interrupted"
    if issubclass(kind, SystemExit):
        code = code_of(error)
        return "interrupted" if code is None or (isinstance(code, int) and code == 0) else "failed"
    return "failed"
