"""The origin of a session: kind of process, command line, actor, and its place in a job."""

from __future__ import annotations

import getpass
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from histhooks._base.acting import acted_for
from histhooks._base.captures import Capture
from histhooks._base.exceptions import answer
from histhooks._base.secrets import mask_argv, mask_text
from histhooks._host.ipython import is_notebook
from histhooks._host.subprocesses import Inquiry

# Variable with the job's id, and with the array's index, of each batch system.
_JOBS = (
    ("SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID"),
    ("PBS_JOBID", "PBS_ARRAY_INDEX"),
    ("LSB_JOBID", "LSB_JOBINDEX"),
    ("AWS_BATCH_JOB_ID", "AWS_BATCH_JOB_ARRAY_INDEX"),
)
_PATIENCE_S = 2.0  # for git, where all that is recorded waits for the name
# Variables in which continuous integration names the person who triggered it.
_CI_ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID", "CIRCLE_USERNAME", "BUILDKITE_BUILD_CREATOR")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a session says of itself first.

    Attributes
    ----------
    row : dict
        Columns of `sessions`.
    details : dict
        Facts that have no column.
    """

    row: dict[str, Any]
    details: dict[str, Any] = field(default_factory=dict)


def gather(rank: int = 0, world_size: int = 1, *, is_test: bool = False) -> Origin:
    """Gather all of it: reads the environment, and asks git for an e-mail address.

    Parameters
    ----------
    rank, world_size : int
        Which of how many processes of a distributed job this is.
    is_test : bool
        Whether pytest runs the program.
    """
    nobody: tuple[str | None, str | None] = (None, None)
    name, source = answer(nobody, actor)
    job_id = _job_id()
    row = {
        "kind": _kind(job_id, is_test),
        "command": _command(),
        "cwd": _cwd(),
        "username": _username(),
        "actor": name,
        "actor_source": source,
        "job_id": job_id,
        "rank": rank if world_size > 1 else None,
        "world_size": world_size if world_size > 1 else None,
    }
    return Origin(row, dict(_parents()))


def _parents() -> dict[str, int]:
    """The processes that may wait for this one: its parent, and the process that asked a fork server to start it."""
    process = sys.modules.get("multiprocessing.process")
    started_by = process.parent_process() if process is not None else None
    found = {"parent_pid": os.getppid()} if hasattr(os, "fork") else {}
    return found if started_by is None else {"started_by_pid": int(started_by.pid), **found}


def untold(personal: Mapping[str, str | None]) -> list[Capture]:
    """The facts that the system did not provide."""
    return [
        Capture(what, "failed", "the system does not tell")
        for what in ("cwd", "username", "actor")
        if not personal[what]
    ]


def actor() -> tuple[str | None, str | None]:
    """The actor, and the source of the name: HISTHOOKS_ACTOR, CI, git's author, or the account.

    Git's author is GIT_AUTHOR_EMAIL, else `author.email`, else `user.email`, as `git var GIT_AUTHOR_IDENT` has it
    (git-var(1)), but never an address that git makes up from the account and the machine.
    """
    named = acted_for()
    if named is not None:
        return mask_text(named[0]), named[1]
    for variable in ("HISTHOOKS_ACTOR", *_CI_ACTORS):
        if os.environ.get(variable):
            return mask_text(os.environ[variable]), variable
    author = os.environ.get("GIT_AUTHOR_EMAIL", "").strip()
    if author:
        return mask_text(author), "git"
    inquiry = Inquiry(patience_s=_PATIENCE_S)
    asked = inquiry.ask("git", "config", "--get-regexp", r"^(author|user)\.email$")
    inquiry.read(asked)
    emails = dict(line.split(" ", 1) for line in (asked.answer or "").splitlines() if " " in line)
    email = (emails.get("author.email") or emails.get("user.email") or "").strip()
    if email:
        return email, "git"
    name = _username()
    return name, None if name is None else "username"


def _kind(job_id: str | None, is_test: bool) -> str:
    if is_test:
        return "pytest"
    if is_notebook():
        return "notebook"
    if job_id is not None:
        return "job"
    return "repl" if hasattr(sys, "ps1") or sys.flags.interactive else "script"


def _job_id() -> str | None:
    for variable, index in _JOBS:
        if os.environ.get(variable):
            position = os.environ.get(index)
            return os.environ[variable] + (f"_{position}" if position else "")
    return None


def _command() -> str:
    return shlex.join(mask_argv(list(sys.orig_argv)))


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _username() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # the last on Windows, where no variable names the account
        return None
