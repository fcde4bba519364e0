"""How large a model is, as far as its config, folder or name tells without loading it, and what reading texts takes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rankscale.study import grid

Shape = tuple[int, int]  # layers and hidden size


def shape(model: dict[str, Any]) -> Shape | None:
    """Layers and hidden size of a model; None where they cannot be told without fetching it."""
    if "hidden" in model:
        return model["layers"], model["hidden"]
    known = _shape_from_config(model["checkpoint"])
    if known:
        return model.get("layers", known[0]), known[1]
    for text in (model["checkpoint"], model.get("name", "")):
        named = re.search(r"L-?(\d+)[_-]?H-?(\d+)", text)
        if named:
            return int(named[1]), int(named[2])
    return None


def _shape_from_config(checkpoint: str) -> Shape | None:
    """Of a folder's config.json, or of the hub's if it was fetched; None where there is none that says it."""
    path: Path | str | None = Path(checkpoint).expanduser() / "config.json"
    if not grid.is_folder(checkpoint):
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            path = try_to_load_from_cache(checkpoint, "config.json")
        except HFValidationError:
            return None
    if not isinstance(path, str | Path) or not Path(path).is_file():
        return None
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
        layers, hidden = config["num_hidden_layers"], config["hidden_size"]
    except (ValueError, KeyError, TypeError):
        return None
    return (layers, hidden) if all(isinstance(v, int) and v > 0 for v in (layers, hidden)) else None


def bert_layer_parameters(layers: int, hidden: int) -> int:
    """Parameters of a BERT's layers."""
    return layers * (12 * hidden**2 + 13 * hidden)


def forward_flops(known: Shape, texts: Mapping[str, float], size: Mapping[str, float]) -> float:
    """FLOPs of encoding so many texts of each kind, at their mean length, with (layers, hidden size) `known`."""
    layers, hidden = known
    return sum(
        n * size[kind] * (2 * bert_layer_parameters(layers, hidden) + 4 * layers * hidden * size[kind])
        for kind, n in texts.items()
    )
