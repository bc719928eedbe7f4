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


def _tell(folder, why):
    """Leave a word for the supervisor: why this Python records nothing, or nothing where it may record."""
    try:
        with open(os.path.join(folder, "begun-%d" % os.getpid()), "w") as file:
            file.write(why)
    except (OSError, ValueError):  # no such folder any more, or a path that this locale cannot write
        pass


def _record():
    folder = os.environ.get("HISTHOOKS_RUN")
    if not folder:
        return
    this = "%s is Python %d.%d" % (sys.executable or "this Python", sys.version_info[0], sys.version_info[1])
    if sys.version_info < (3, 11):
        return _tell(folder, this + ", and histhooks needs 3.11 or newer")
    import importlib.util

    if importlib.util.find_spec("histhooks") is None:
        return _tell(folder, this + " without histhooks: install it there too")
    _tell(folder, "")
    try:
        import histhooks

        if os.environ.get("HISTHOOKS_WATCH"):
            from histhooks._watch import watching

            if watching.from_environment():
                return  # a server that trains too calls autolog() itself
        histhooks.autolog()
    except Exception as error:  # the program must begin whatever is wrong with us
        try:
            sys.stderr.write(
                "histhooks: not recording: %s: %s; see `histhooks doctor`\n" % (type(error).__name__, error)
            )
        except Exception:  # no stderr, or one that is closed
            pass


_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [_entry for _entry in sys.path if os.path.abspath(_entry) != _here]
try:
    _chain(_here)
finally:
    _record()
