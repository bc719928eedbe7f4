"""Stores whose runs wrote models."""

from __future__ import annotations

import atexit
import shutil
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

from helpers.stores import alone
from histhooks.testing import run_program

RUN = """
import histhooks
open("{name}.bin", "w").write("{content}")
with histhooks.start_run("{name}", params={{"content": "{content}"}}) as run:
    run.log_dataset("train", [[1, 2], [3, 4]], [0, 1])
    run.log({{"loss": {loss}}})
    run.log_artifact("{name}.bin", role="model")
"""


@lru_cache(maxsize=8)
def _built(names: tuple[str, ...]) -> Path:
    """A folder in which runs of some names wrote models; it has moved since, so that nothing lies where it was."""
    folder = Path(mkdtemp(prefix="models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    place = folder / "before"
    place.mkdir()
    losses = {name: "float('nan')" if name == "bad" else "0.5" for name in names}
    program = "\n".join(RUN.format(name=name, content=name * 3, loss=losses[name]) for name in names)
    code, _, err = run_program(program, place / "histhooks.db")
    assert code == 0, err
    return place.rename(folder / "after")


def make(folder: Path, *names: str) -> Path:
    """A store in a folder, with a run of each name that wrote ``NAME.bin``; that of `bad` has a loss that is nan."""
    shutil.copytree(_built(names), folder, dirs_exist_ok=True)
    return folder / "histhooks.db"


def alone_ok(store: Path) -> bool:
    """Whether the verifier that stands alone says yes."""
    return alone(store)[0] == 0
