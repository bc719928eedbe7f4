"""What ``histhooks run`` puts on PYTHONPATH: each Python child begins to record before its first line.

Python imports a module of this name at start-up (https://docs.python.org/3/library/site.html). Of the standard library
only, for any Python from 3.6 on: where histhooks cannot be imported, it does nothing. The folder leaves ``sys.path``
again, so that the program sees the path that it would have without us, and a ``sitecustomize`` of the user's own, which
this one hides, is run as it would have been.
"""

import os
import sys


def _chain(here):
    """Run the sitecustomize that Python would have found without us."""
    import importlib.util
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if entry != here])
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _record():
    if not os.environ.get("HISTHOOKS_RUN") or sys.version_info < (3, 11):
        return
    import importlib.util

    if importlib.util.find_spec("histhooks") is None:
        return
    try:
        import histhooks

        histhooks.autolog()
    except Exception as error:  # the program must begin whatever is wrong with us
        sys.stderr.write("histhooks: not recording: %s: %s; see `histhooks doctor`\n" % (type(error).__name__, error))


_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [_entry for _entry in sys.path if os.path.abspath(_entry) != _here]
try:
    _chain(_here)
finally:
    _record()
