"""Files of ``Fabric.save`` and ``Fabric.load``, whose loop is the program's own and recorded as one of PyTorch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from histhooks.integrations.kit import Patches, bind, current_run, guarded

ROOTS = ("lightning.fabric", "lightning_fabric")


def hook(patches: Patches, is_automatic: Callable[[], bool], module: ModuleType) -> None:
    """Put the hooks in; Fabric writes its files without ``torch.save``."""

    def watch(direction: str, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
        yield
        if is_automatic():
            _note(bind(original, args, kwargs), direction)

    patches.wrap(module.Fabric, "save", functools.partial(watch, "out"))
    patches.wrap(module.Fabric, "load", functools.partial(watch, "in"))


@guarded
def _note(bound: Mapping[str, Any], direction: str) -> None:
    run = current_run()
    if run is not None and run.is_recorded and Path(str(bound.get("path"))).is_file():
        run.log_artifact(bound["path"], role="checkpoint", direction=direction)
