"""The environment variables that histhooks reads, as one table.

``doctor`` shows which of them are set, ``docs/settings.md`` is generated from the table, and the tests clear all of
them. Each variable is read by its name, when it is needed; recording does not import this module.
"""

from __future__ import annotations

import os
from typing import NamedTuple


class Setting(NamedTuple):
    """One variable.

    Attributes
    ----------
    name : str
    default : str
        What holds if it is not set, in words.
    meaning : str
        What it decides, as a sentence in Markdown.
    reader : str
        The module that reads it, below ``histhooks``.
    is_internal : bool
        Whether only histhooks itself sets it.
    """

    name: str
    default: str
    meaning: str
    reader: str
    is_internal: bool = False


SETTINGS = (
    Setting(
        "HISTHOOKS", "on", "`off`, `0`, `false` or `no` switches everything off: no hook records and no store is made.",
        "_host.store_location",
    ),
    Setting(
        "HISTHOOKS_STORE", "found from the working folder",
        "The file to record to and to read from. `autolog(store=...)` and `--store` come first; "
        "`[tool.histhooks] store` in pyproject.toml comes after it.",
        "_host.store_location",
    ),
    Setting(
        "HISTHOOKS_PROJECT", "the name of the repository, else of the folder",
        "The project of the runs. `autolog(project=...)` comes first.",
        "_host.store_location",
    ),
    Setting(
        "HISTHOOKS_GROUP", "the id of the job array under Slurm, else none",
        "The group of the runs. `autolog(group=...)` comes first.",
        "recorder",
    ),
    Setting(
        "HISTHOOKS_ACTOR", "the account of CI, else git's author, else the user's account",
        "The actor recorded with each session.",
        "_collect.origin",
    ),
    Setting(
        "HISTHOOKS_QUIET", "off",
        "`1` stops the lines on stderr: one at the start, one at the end, one after each recorded cell of a notebook. "
        "Warnings are still printed.",
        "_host.messages",
    ),
    Setting(
        "HISTHOOKS_STRICT", "off",
        "`1` raises failures inside histhooks, and values that a call on a run refuses, instead of counting them. "
        "For tests.",
        "_host.store_location",
    ),
    Setting(
        "HISTHOOKS_SYSTEM_S", "10", "Seconds between samples of CPU, memory and GPU; `0` takes none.",
        "_collect.machine_use",
    ),
    Setting(
        "HISTHOOKS_NETWORK", "the system's list of mounts",
        "`1`: the store is on a network file system, so sessions record through spools. `0`: it is not.",
        "_host.mounts",
    ),
    Setting(
        "HISTHOOKS_BUFFER_MB", "256",
        "Megabytes of memory for records that no disk has room for; above it the oldest points are dropped and "
        "counted.",
        "_record.destination",
    ),
    Setting(
        "HISTHOOKS_LOG_MB", "256",
        "Megabytes up to which the write-ahead log may grow during a long read; above it a session records in a spool.",
        "_record.destination",
    ),
    Setting(
        "HISTHOOKS_RUN", "not set", "The folder in which `histhooks run` hears from the processes that it supervises.",
        "_record.conclude", is_internal=True,
    ),
    Setting(
        "HISTHOOKS_ROOT", "not set",
        "The process that prints where it records, so that those below it do not. `histhooks run` sets it; on "
        "systems without abstract sockets the first run does.",
        "_host.announcer", is_internal=True,
    ),
)  # fmt: skip


def given() -> dict[str, str]:
    """The settings that the environment has, by their names."""
    return {setting.name: os.environ[setting.name] for setting in SETTINGS if os.environ.get(setting.name)}
