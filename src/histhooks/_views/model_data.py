"""Models for other programs: what `histhooks models --json` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from histhooks._views import model_words as words_of

if TYPE_CHECKING:
    from histhooks.history import Live, Model


def summaries(models: Iterable[Model], at: str | None = None) -> list[dict[str, Any]]:
    """Each model with what is live, or was at some time."""
    return [
        {
            "model": model.name, "n_versions": len(model.versions), "latest": model.version("latest").label,
            "live": [live_data(live) for live in model.aliases(at).values()],
            "warnings": words_of.warnings(model) if at is None else [],
        }
        for model in models
    ]  # fmt: skip


def live_data(live: Live) -> dict[str, Any]:
    """What is live under an alias, and where its bytes are."""
    from histhooks.history._version_files import bytes_of

    return {**live.as_json(), "bytes": bytes_of(live.version).state}


def whole(model: Model) -> dict[str, Any]:
    """All that is on record of a model."""
    from histhooks.history._version_files import bytes_of

    told = model.as_json()
    for version in told["versions"]:
        found = model.by_id(version["id"])
        version["bytes"] = bytes_of(found).state if found is not None else None
    told["live"] = [live_data(live) for live in model.aliases().values()]
    return {**told, "warnings": words_of.warnings(model)}
