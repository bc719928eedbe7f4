"""The IPython shell, if it runs this program, and the notebook that it serves."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

_SUFFIX = ".ipynb"
_RUNNERS = ("nbconvert", "jupyter-nbconvert", "execute", "jupyter-execute", "papermill", "ploomber")


def shell() -> Any:
    """IPython's shell that runs this program; None if there is none, or while IPython is being imported."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get is None else get()


def is_notebook() -> bool:
    """Whether this process serves a notebook; its shell may be of a class of its own, as in Colab."""
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell()).__mro__)


def show(text: str, html: str) -> bool:
    """Display something below the cell that runs; False where there is no place for it."""
    publish = getattr(getattr(shell(), "display_pub", None), "publish", None)
    if publish is None or not is_notebook():
        return False
    publish(data={"text/plain": text, "text/html": html}, metadata={})
    return True


def notebook_name() -> str | None:
    """The name of the notebook that this process serves, without its suffix; None if nothing says it.

    A kernel is not told which notebook it serves. VS Code sets a variable of the program, a Jupyter server
    JPY_SESSION_NAME (jupyter_server, since 2.0), and programs that run a notebook to its end have it in their command.
    No server is asked.
    """
    namespace = getattr(shell(), "user_ns", None) or {}
    in_editor, of_session = namespace.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME")
    found = [word for word in (in_editor, _of_runner(os.getppid()), of_session) if isinstance(word, str)]
    return next((stem for stem in map(_stem_of, found) if stem), None)


def _stem_of(path: str) -> str | None:
    name = path.replace("\\", "/").rpartition("/")[2]
    return name.removesuffix(_SUFFIX) if name.endswith(_SUFFIX) else None


@lru_cache(maxsize=1)
def _of_runner(pid: int) -> str | None:
    """The notebook that a process which runs notebooks was started with."""
    import psutil

    try:
        return named_in(psutil.Process(pid).cmdline())
    except (psutil.Error, OSError):
        return None


def named_in(command: Sequence[str]) -> str | None:
    """The notebook that a command runs, such as ``jupyter nbconvert --execute train.ipynb``; None if it is not clear.

    Examples
    --------
    >>> named_in(["/usr/bin/python", "/usr/bin/papermill", "train.ipynb", "out/today.ipynb"])
    'train.ipynb'
    >>> named_in(["jupyter", "lab", "train.ipynb"])  # serves others too
    """
    words = [os.path.basename(word) for word in command[:4]]
    runner = next((word for word in _RUNNERS if word in words), None)
    if runner is None:
        return None
    notebooks = [word for word in command if word.endswith(_SUFFIX)]
    is_one = len(set(notebooks)) == 1 or (bool(notebooks) and (runner == "papermill" or "--output" in command))
    return notebooks[0] if is_one else None
