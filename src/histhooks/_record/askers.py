"""Who asked a parser, and with which words: whether what it gives is a setting of the program."""

from __future__ import annotations

import dataclasses
import sys
from functools import lru_cache
from types import FrameType
from typing import Any

from histhooks._collect import config_files
from histhooks._collect.sources import is_installed
from histhooks._host.store_location import is_off

# Modules that stand between the program and the parser that it uses.
_BETWEEN = frozenset(
    {"transformers.hf_argparser", "trl.scripts.utils", "lightning.pytorch.cli", "hydra.compose", "contextlib"}
)
_PARSERS = frozenset(
    "argparse yaml json tomllib toml configparser omegaconf simple_parsing tyro tap configargparse jsonargparse".split()
)


def asker() -> FrameType | None:
    """The frame of the program that called a parser; None where a package did."""
    frame: FrameType | None = None if is_off() else sys._getframe(1)
    while frame is not None and _package(frame) == "histhooks":
        frame = frame.f_back
    while frame is not None and (_package(frame) in _PARSERS or frame.f_globals.get("__name__") in _BETWEEN):
        frame = frame.f_back
    return frame if frame is not None and _is_own(frame.f_code.co_filename) else None


def _package(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name.partition(".")[0] if isinstance(name, str) else ""


@lru_cache(maxsize=1024)
def _is_own(filename: str) -> bool:
    """Whether a file is of the program, and not of a package or the standard library."""
    return not filename.startswith("<frozen ") and not is_installed(filename)


def is_own_function(function: Any) -> bool:
    for _ in range(20):
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is None:
            break
        function = wrapped
    code = getattr(function, "__code__", None)
    return code is not None and _is_own(code.co_filename)


def place_of(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def is_command_line(words: Any) -> bool:
    """Whether words are those of the real command line, or some of them."""
    if words is None:
        return True
    return isinstance(words, (list, tuple)) and bool(words) and all(word in sys.argv[1:] for word in words)


def plain(value: Any) -> Any:
    """A value as it is kept: of a file its name, of a namespace its content."""
    if type(value).__name__ == "Namespace" and type(value).__module__.partition(".")[0] in _PARSERS:
        return {key: plain(inner) for key, inner in vars(value).items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = vars(value) if hasattr(value, "__dict__") else {}
        return {field.name: plain(own[field.name]) for field in dataclasses.fields(value) if field.name in own}
    if hasattr(value, "read") or hasattr(value, "write"):
        return config_files.name_of(value)
    return value


def is_code(value: Any) -> bool:
    """Whether a value is a function, as the one that a subcommand is to call."""
    return hasattr(value, "__code__") or hasattr(value, "__func__")
