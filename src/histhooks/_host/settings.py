"""The environment variables that histhooks reads, as one table.

``doctor`` shows which of them are set, ``docs/reference/settings.md`` is generated from the table, and the tests clear
all of them. Each variable is read by its name, when it is needed; recording does not import this module.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from histhooks._base.secrets import MASK


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
    is_secret : bool
        Whether its value is shown nowhere.
    """

    name: str
    default: str
    meaning: str
    reader: str
    is_internal: bool = False
    is_secret: bool = False


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
        "HISTHOOKS_PROJECT", "the name of the repository (of its remote, if it has one), else of the folder",
        "The project of the runs. `autolog(project=...)` comes first.",
        "_host.store_location",
    ),
    Setting(
        "HISTHOOKS_TEAM", "none",
        "The target that `push`, `pull` and `team` mean: `postgresql://...`, `folder:/...`, `s3://...`, "
        "`sqlite:///...` or a path that ends in `.db`. `--to` comes first; `[tool.histhooks] team` in pyproject.toml "
        "comes after it. Give passwords in `.pgpass` or PGPASSWORD.",
        "_record.pushing", is_secret=True,
    ),
    Setting(
        "HISTHOOKS_PUSH", "`end` where a team is named",
        "When: `end`, after the program; `live`, also every ten seconds while it records, to a folder or a "
        "bucket every minute; `off`, by `histhooks push` only. `[tool.histhooks] push` in pyproject.toml comes after "
        "it.",
        "_record.pushing",
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
        "`1` stops the lines on stderr, one at the start and one at the end, and the line below a notebook cell. "
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
        "HISTHOOKS_DATA", "full",
        "What is recorded of data. `full`: digests, columns, hashes of rows and how many rows data sets share "
        "([data](../guide/data.md)). `profile`: a hash and a profile. `off`: class and shape, and no value is read.",
        "_host.store_location",
    ),
    Setting(
        "HISTHOOKS_KEEP_MODELS", "off",
        "`1` copies models and checkpoints that runs write into `<store>.files/` ([artifacts](../guide/artifacts.md)). "
        "`autolog(keep_models=...)` comes first; `[tool.histhooks] keep_models = true` in pyproject.toml comes after "
        "it.",
        "_host.store_location",
    ),
    Setting(
        "HISTHOOKS_KEEP_MB", "10240",
        "Megabytes of files that a session keeps; above it only hashes are recorded.",
        "_record.keeping",
    ),
    Setting(
        "HISTHOOKS_KEY", "a key of the project, made once, in the user's data folder",
        "The key of row hashes, as 32 hexadecimal digits. Those of two runs compare if their key is the same.",
        "_host.row_key", is_secret=True,
    ),
    Setting(
        "HISTHOOKS_SIGN_KEY", "the key that `histhooks keygen` made, in the user's data folder",
        "The private key that signs: a PEM file, or its text, as CI keeps secrets ([evidence](../guide/evidence.md)).",
        "evidence._keys", is_secret=True,
    ),
    Setting(
        "HISTHOOKS_CONFIG", "on",
        "`off` records no settings of the program: neither what it parses from its command line (argparse, click, "
        "Hydra) nor what it reads from config files.",
        "_record.parsers",
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
        "HISTHOOKS_HASHSEED", "a random number for each `histhooks run`",
        "What `histhooks run` sets PYTHONHASHSEED to if that is not set, so that the order of sets of text can be had "
        "again; the program and all its children have one order. `0` leaves it unset.",
        "_host.hash_seed",
    ),
    Setting(
        "HISTHOOKS_CHECK", "on under `histhooks run` and on a terminal",
        "The line at the end of a program that says what `histhooks check` finds in its runs: `off` for none; `1` also "
        "for a program that calls `autolog()` itself and whose stderr is no terminal.",
        "_record.closing_line",
    ),
    Setting(
        "HISTHOOKS_WATCH", "off",
        "The model that a server is watched for, as `credit@production`, several with commas, or `1` for each that is "
        "loaded from the file of a version ([a model in production](../guide/monitor.md)). `histhooks run --watch` "
        "sets it.",
        "_watch.watching",
    ),
    Setting(
        "HISTHOOKS_WATCH_S", "60",
        "Seconds from one window of a model that is watched to the next. Where it is not set, the first comes after 5 "
        "seconds.",
        "_watch.watching",
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
    Setting(
        "HISTHOOKS_REPLAY", "not set",
        "The plan by which `histhooks reproduce` restores the random generators of the process that it starts.",
        "_record.replay", is_internal=True,
    ),
    Setting(
        "HISTHOOKS_REPLAY_STORE", "not set",
        "Where a program that `histhooks reproduce` starts records, whatever store it names.",
        "_host.store_location", is_internal=True,
    ),
)  # fmt: skip


def given() -> dict[str, str]:
    """The settings that the environment has, by their names."""
    found = {setting.name: (setting, os.environ.get(setting.name)) for setting in SETTINGS}
    return {name: MASK if setting.is_secret else value for name, (setting, value) in found.items() if value}
