"""Run a recorded program in a process of its own, recorded, with its generators restored."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from histhooks._base.secrets import MASK, mask_text
from histhooks._collect.environment import VARIABLES
from histhooks._record.replay import VARIABLE
from histhooks.errors import ReproduceError
from histhooks.reproduce._command import given_secret, secret_variable
from histhooks.reproduce._generators import replay_of
from histhooks.reproduce._restore import environment_of, import_paths, words_of

if TYPE_CHECKING:
    from histhooks.reproduce._plan import Plan

_TAIL = 4000  # characters of what the program printed that are kept
_GRACE_S = 5.0
_MASKED = 16 << 20  # bytes of output up to which the whole log is looked through for secrets of known shapes
# Those that decide whether and where the program records.
_OURS = ("HISTHOOKS", "HISTHOOKS_HASHSEED", "HISTHOOKS_PROJECT", "HISTHOOKS_GROUP", "HISTHOOKS_RUN", "HISTHOOKS_ROOT")


def scratch_beside(store: Path, prefix: str) -> Path:
    """A new folder in one beside the store that git does not look into; elsewhere if nothing can be written there."""
    beside = store.with_name(f"{store.name}.reproduce")
    try:
        beside.mkdir(exist_ok=True)
        (beside / ".gitignore").write_text("*\n", encoding="ascii")
        return Path(tempfile.mkdtemp(prefix=prefix, dir=beside))
    except OSError:
        return Path(tempfile.mkdtemp(prefix=f"histhooks-reproduce-{prefix}"))


def turn_of(scratch: Path) -> int:
    """A number for what runs from a folder, by which its session is found among others that repeat the same run."""
    return zlib.crc32(os.fsencode(scratch))


def remove(scratch: Path) -> None:
    """Remove such a folder, and the one that it lies in if that is empty then."""
    shutil.rmtree(scratch, ignore_errors=True)
    beside = scratch.parent
    if beside.name.endswith(".reproduce") and [path.name for path in beside.iterdir()] == [".gitignore"]:
        shutil.rmtree(beside, ignore_errors=True)


def run_program(
    plan: Plan,
    folder: Path,
    code: Path,
    scratch: Path,
    store: Path,
    python: str | None,
    timeout_s: float | None,
    ask: Callable[[str], str] | None,
) -> tuple[int | None, str]:
    """Run the program of a plan.

    Parameters
    ----------
    plan : Plan
    folder, code, scratch : Path
        Where it runs, where its code lies, and where its output and its plan are written.
    store : Path
        Where it records.
    python : str or None
        By default this interpreter.
    timeout_s : float or None
    ask : callable or None
        Gives secrets by name.

    Returns
    -------
    tuple of (int or None, str)
        How it ended, None if it ran out of time; the end of what it printed.
    """
    assert plan.command is not None
    secrets: list[str] = []
    filled = replace(plan, command=plan.command.filled(_noted(ask or _secret, secrets)))
    interpreter = interpreter_of(python)
    words = [interpreter, *words_of(filled, str(code))]
    if plan.is_supervised:
        words = [interpreter, "-m", "histhooks", "run", "--", *words]
    fd, replay = tempfile.mkstemp(prefix="replay-", suffix=".json", dir=scratch)
    with open(fd, "w", encoding="ascii") as file:
        json.dump({**replay_of(plan.run, plan.code.root, str(code), str(folder)), "turn": turn_of(scratch)}, file)
    environment = _environment(plan, store, replay, str(code))
    output = scratch / "output.log"
    with output.open("wb") as log:
        try:
            process = subprocess.Popen(
                words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ReproduceError(
                f"{interpreter} cannot be started ({error.strerror}); name another with --python"
            ) from error
        ended = _wait(process, timeout_s)
    return ended, _output(output, secrets)


def interpreter_of(python: str | None) -> str:
    """The interpreter to run, by a path that holds in any folder; by default this one."""
    if python is None:
        return sys.executable
    return os.path.abspath(python) if os.path.dirname(python) else shutil.which(python) or python


def _noted(ask: Callable[[str], str], secrets: list[str]) -> Callable[[str], str]:
    """`ask`, which also notes what it was given."""

    def asked(name: str) -> str:
        secrets.append(ask(name))
        return secrets[-1]

    return asked


def _output(path: Path, secrets: list[str]) -> str:
    """The end of what the program printed; no secret stays in it, nor in the file."""
    data = before = path.read_bytes()
    for secret in filter(None, secrets):
        data = data.replace(secret.encode(), MASK.encode())
    if len(data) <= _MASKED:
        text = data.decode("utf-8", "surrogateescape")
        data = mask_text(text).encode("utf-8", "surrogateescape")
    if data != before:
        path.write_bytes(data)
    return mask_text(data[-_TAIL * 4 :].decode("utf-8", "replace"))[-_TAIL:]


def _environment(plan: Plan, store: Path, replay: str, code: str) -> dict[str, str]:
    """Those of this process, without what decides the numbers unless the program had it."""
    left = {*VARIABLES, *_OURS}
    out = {name: value for name, value in os.environ.items() if name not in left}
    out |= environment_of(plan)
    paths = import_paths(plan, code, os.environ.get("PYTHONPATH", ""))
    if paths:
        out["PYTHONPATH"] = os.pathsep.join(paths)
    out |= {VARIABLE: replay, "HISTHOOKS_REPLAY_STORE": str(store), "HISTHOOKS_STORE": str(store)}
    if plan.run.project:
        out["HISTHOOKS_PROJECT"] = plan.run.project
    if plan.run.group_name:
        out["HISTHOOKS_GROUP"] = plan.run.group_name
    return out


def _secret(name: str) -> str:
    value = given_secret(name)
    if value is None:
        raise ReproduceError(f"the value of {name} was a secret and was not kept; set {secret_variable(name)} to it")
    return value


def _wait(process: subprocess.Popen[bytes], timeout_s: float | None) -> int | None:
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        _end(process, signal.SIGTERM)
        return None
    except BaseException:
        _end(process, signal.SIGINT)
        raise


def _end(process: subprocess.Popen[bytes], number: int) -> None:
    """End the program and what it started; by force where it does not go."""
    for each in (number, getattr(signal, "SIGKILL", signal.SIGTERM)):
        try:
            os.killpg(process.pid, each)
        except (ProcessLookupError, AttributeError):
            process.send_signal(each)
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            continue
        return
