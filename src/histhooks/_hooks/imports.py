"""Wait for an import, never cause it.

wrapt's post-import hooks call back once the program has imported a module, or at once if it already has
(https://wrapt.readthedocs.io). wrapt itself costs about 10 ms to import, so it is not loaded if all requested
frameworks are imported already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

from histhooks._host.guard import guarded

# By module, and then by who waits.
_waiting: dict[str, dict[str, Callable[[ModuleType], None]]] = {}
_hooked: set[str] = set()
_arrived: set[str] = set()


def when_imported(name: str, function: Callable[[ModuleType], None], who: str = "") -> None:
    """Call a function once the program has imported a module.

    Parameters
    ----------
    name : str
        Import name.
    function : callable
        Takes the module. A later call for the same name and `who` replaces it, as long as it still waits.
    who : str
        For whom it waits, so that several can wait for one module.
    """
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if module is not None and (name in _arrived or not getattr(spec, "_initializing", False)):
        function(module)
        return
    _waiting.setdefault(name, {})[who] = function
    if name in _hooked:
        return
    _hooked.add(name)
    import wrapt

    wrapt.register_post_import_hook(_imported, name)


def no_longer(name: str, who: str = "") -> None:
    """Stop waiting for a module."""
    _waiting.get(name, {}).pop(who, None)


def _imported(module: ModuleType) -> None:
    _arrived.add(module.__name__)  # Python still calls it initializing while this runs
    for function in _waiting.pop(module.__name__, {}).values():
        _call(function, module)  # each by itself


@guarded
def _call(function: Callable[[ModuleType], None], module: ModuleType) -> None:
    function(module)
