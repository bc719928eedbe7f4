"""What ``random_split`` leaves in the record."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from histhooks.integrations.kit import bind, call_site, guarded, log_split


def watch_split(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    """A call of ``random_split``; a generator that it is given tells its seed, the default one does not."""
    parts = yield
    _log_split(original, args, kwargs, parts)


@guarded
def _log_split(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], parts: Any) -> None:
    bound = bind(original, args, kwargs)
    generator = bound.get("generator")  # that of the CPU and that of a GPU have their seeds on the host
    n_out = [len(part.indices) for part in parts]
    settings = {"lengths": bound.get("lengths"), "seed": None if generator is None else generator.initial_seed()}
    place = call_site(("torch", "lightning", "pytorch_lightning"))
    log_split("random_split", settings, n_in=sum(n_out), n_out=n_out, shuffled=True, location=place)
