"""Sessions of tests that record in their own process."""

from __future__ import annotations

import sys


def end_session() -> None:
    """End what the test recorded in this process, so that the next one begins a session and a store of its own."""
    if "histhooks._record.engine" not in sys.modules:
        return
    import histhooks
    from histhooks._host import messages
    from histhooks._host.named_columns import name_columns
    from histhooks._host.store_location import Settings
    from histhooks._record.engine import engine

    histhooks.disable()
    engine.finish("finished")
    engine.settings = Settings()
    name_columns((), ())
    engine.reset()
    messages.forget()
