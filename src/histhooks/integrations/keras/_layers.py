"""The shape of a model that is built: layers, parameters, outputs. Nothing of it is called, and nothing is built."""

from __future__ import annotations

import json
from typing import Any

from histhooks.integrations.keras._settings import layers_in, settings_in, size_of, weights_of
from histhooks.integrations.kit import Run, gathered

_MOST_LAYERS = 500


def log_architecture(run: Run, model: Any) -> None:
    """Record layers, shapes and parameters of a model; of one that is not built, that it is not."""
    if not vars(model).get("built"):
        run.capture("architecture", "skipped", "the model is not built")
        return
    layers = layers_in(model)
    told = [gathered(run, "architecture", _layer, layer, what=_name_of(layer)) for layer in layers[:_MOST_LAYERS]]
    if len(layers) > _MOST_LAYERS:
        run.capture("architecture", "truncated", f"kept {_MOST_LAYERS} of {len(layers)} layers")
    weights = weights_of(model)
    trainable = sum(size_of(v) for v in weights if v.trainable) if vars(model).get("_trainable", True) else 0
    kind = type(model)
    run.log_architecture(
        "keras",
        f"{kind.__module__}.{kind.__qualname__}",
        [layer for layer in told if layer is not None],
        sum(size_of(v) for v in weights),
        trainable,
    )


def _name_of(layer: Any) -> str:
    return f"layer {vars(layer).get('name', type(layer).__name__)!r:.100}"


def _layer(layer: Any) -> dict[str, Any]:
    kept = vars(layer)
    return {
        "name": kept.get("name"),
        "class": type(layer).__name__,
        "parameters": sum(size_of(v) for v in weights_of(layer)) if kept.get("built") else None,
        "output": _shape_of(kept),
        "trainable": kept.get("_trainable", True),
        "config": None if layers_in(layer) else settings_in(layer),
    }


def _shape_of(kept: dict[str, Any]) -> Any:
    """The shape of what comes out, where the layer stands in one place of a graph."""
    nodes = list(kept.get("_inbound_nodes") or ())
    if len(nodes) != 1:
        return None
    outputs = nodes[0].output_tensors
    shapes = [json.loads(json.dumps(output.shape, default=str)) for output in outputs]
    return shapes[0] if len(shapes) == 1 else shapes
