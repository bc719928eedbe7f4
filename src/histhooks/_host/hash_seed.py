"""PYTHONHASHSEED under ``histhooks run``: a random number where nobody set it, so that the run can be repeated.

Python orders sets and some other containers by the hashes of what is in them, and draws a key for those of text from
the system if it is not given one; nothing shows that key later.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

_LEFT = ("0", "off", "false", "no")
_VARIABLE, _OURS = "PYTHONHASHSEED", "HISTHOOKS_HASHSEED"


def to_set(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables for a program that is to start: none if it has a seed, or is to go without.

    Parameters
    ----------
    environment : mapping of str to str
        That of the program.
    """
    asked = environment.get(_OURS, "").strip().lower()
    if environment.get(_VARIABLE) or asked in _LEFT:
        return {}
    is_given = asked.isdigit() and int(asked) < 1 << 32
    seed = asked if is_given else str(int.from_bytes(os.urandom(4), "little") or 1)  # 0 would mean not to
    return {_VARIABLE: seed, _OURS: seed}


def is_chosen() -> bool:
    """Whether ``histhooks run`` chose the seed of this process: then it says nothing about the environment."""
    value = os.environ.get(_VARIABLE)
    return bool(value) and value == os.environ.get(_OURS)
