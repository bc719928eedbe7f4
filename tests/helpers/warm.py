"""Programs whose frameworks are imported already: a process that has them forks one for each program.

To import a framework takes seconds, which most programs of tests are not about. A program here meets what one meets
that imports the framework before histhooks. Who asks about imports, threads or the process itself starts one of its
own, with :func:`histhooks.testing.run_program`; so does the first check of the contract, in both orders.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import IO

from histhooks.testing import run_program

# What is imported where a program names one of them.
_MODULES = {
    "sklearn": ("sklearn.datasets", "sklearn.ensemble", "sklearn.model_selection", "sklearn.pipeline"),
    "xgboost": ("xgboost",),
    "torch": ("torch",),
    "keras": ("keras",),
    "lightning": ("lightning.pytorch",),
    "pytorch_lightning": ("pytorch_lightning",),
}
_NAMED = re.compile(rf"^\s*(?:import|from) ({'|'.join(_MODULES)})\b", re.MULTILINE)
# What frameworks read when they are imported.
_READ_AT_IMPORT = ("KERAS_BACKEND", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTHONHASHSEED",
                   "PYTHONPATH", "PYTHONWARNINGS")  # fmt: skip
_PATIENCE_S = 300
_MOST_SERVERS = 2  # each takes up to a gigabyte
# What looks for the main module finds that of the program, where one of `python -c` is; this one stands there as a part
# of a package.
_SERVER = """
import builtins, gc, importlib, json, os, socket, sys, types
def serve(number, modules):
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    channel = socket.socket(fileno=number)
    asked = channel.makefile("r", encoding="utf-8")
    for line in asked:
        given = json.loads(line)
        child = os.fork()
        if child == 0:
            asked.close()
            channel.close()
            return begin(given)
        channel.sendall(b"%d\\n" % child)
        channel.sendall(b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os._exit(0)
def begin(given):
    for number, name in ((0, os.devnull), (1, given["out"]), (2, given["err"])):
        opened = os.open(name, os.O_RDWR)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(given["variables"])
    os.chdir(given["folder"])
    sys.argv, sys.orig_argv = ["-c"], [sys.executable, "-W", "ignore", "-c", given["program"]]
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # a process of its own has a state of its own
    return compile(given["program"], "<string>", "exec")
code = serve(int(sys.argv[1]), sys.argv[2:])
sys.modules["__main__"] = main = types.ModuleType("__main__")
vars(main).update(__annotations__={}, __builtins__=builtins, __loader__=__loader__)
__name__, __file__ = "warm", importlib.__file__
exec(code, vars(main))
"""


class _Server:
    def __init__(self, modules: tuple[str, ...], variables: dict[str, str]) -> None:
        own, other = socket.socketpair()
        with other:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", _SERVER, str(other.fileno()), *modules],
                pass_fds=(other.fileno(),), env=variables, stdin=subprocess.DEVNULL, cwd="/",
            )  # fmt: skip
        own.settimeout(_PATIENCE_S)
        self.channel, self.answers = own, own.makefile("r", encoding="utf-8")

    def run(self, program: str, folder: Path, variables: dict[str, str], out: IO[str], err: IO[str]) -> int:
        given = {"program": program, "folder": str(folder), "variables": variables, "out": out.name, "err": err.name}
        self.channel.sendall((json.dumps(given) + "\n").encode())
        child = int(self.answers.readline())
        try:
            return int(self.answers.readline())
        except TimeoutError:
            os.kill(child, signal.SIGKILL)
            raise

    def end(self) -> None:
        self.answers.close()
        self.channel.close()
        self.process.wait(_PATIENCE_S)


_servers: dict[tuple[object, ...], _Server] = {}


def _server(names: tuple[str, ...], environment: dict[str, str]) -> _Server:
    key = (names, *(environment.get(name) for name in _READ_AT_IMPORT))
    found = _servers.pop(key, None)
    if found is None:
        while len(_servers) >= _MOST_SERVERS:
            _servers.pop(next(iter(_servers))).end()
        variables = {**environment, "HISTHOOKS_STORE": os.devnull}
        found = _Server(tuple(module for name in names for module in _MODULES[name]), variables)
    _servers[key] = found  # the latest is the last to go
    return found


@atexit.register
def _end() -> None:
    while _servers:
        _servers.popitem()[1].end()


def run_warm(program: str, store: Path, **variables: str) -> tuple[int, str, str]:
    """Run a program as :func:`histhooks.testing.run_program` does, where the frameworks that it names are imported.

    Parameters
    ----------
    program : str
        Its text.
    store : Path
        Where it records; it runs in this folder.
    **variables : str
        Of its environment.

    Returns
    -------
    tuple of (int, str, str)
        Its exit code, and what it wrote to stdout and stderr.
    """
    names = tuple(sorted(set(_NAMED.findall(program))))
    # Since 3.12 Python warns of a fork beside threads, which some frameworks start.
    if not names or sys.version_info >= (3, 12):
        return run_program(program, store, **variables)
    ours = {"HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1", "HISTHOOKS_STRICT": "1", **variables}
    environment = {**os.environ, **ours}
    with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as err:
        server = _server(names, environment)
        code = server.run(textwrap.dedent(program), store.parent, environment, out, err)
        return code, out.read(), err.read()
