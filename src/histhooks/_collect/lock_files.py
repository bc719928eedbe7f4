"""Find the lists of packages that lie beside a program: lock files, requirements, environments of conda."""

from __future__ import annotations

import os
from pathlib import Path

_NAMES = frozenset(
    "uv.lock poetry.lock pdm.lock pylock.toml pixi.lock pipfile.lock pipfile conda-lock.yml environment.yml "
    "environment.yaml".split()
)
_MOST = 16


def find(script: Path | None, root: Path | None) -> list[Path]:
    """The lists of packages of a project.

    Parameters
    ----------
    script : Path or None
        The program. Its folder, that of the nearest pyproject.toml above it, and the repository's root are looked into.
    root : Path or None
        The folder of the repository.

    Returns
    -------
    list of Path
    """
    folders = [] if script is None else [script.parent]
    if script is not None:
        above = (folder for folder in script.parents if os.path.isfile(folder / "pyproject.toml"))
        nearest = next(above, None)
        if nearest is not None and (root is None or nearest == root or root in nearest.parents):
            folders.append(nearest)
    if root is not None:
        folders.append(root)
    found: list[Path] = []
    for folder in dict.fromkeys(folders):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        found += [folder / name for name in names if _is_list(name) and os.path.isfile(folder / name)]
    return found[:_MOST]


def _is_list(name: str) -> bool:
    name = name.lower()
    return name in _NAMES or (name.startswith(("requirements", "constraints")) and name.endswith((".txt", ".lock")))
