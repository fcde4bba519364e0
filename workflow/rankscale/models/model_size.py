"""What a model counts as: its parameters by part, and the floating-point operations of training it."""

import numpy as np
from torch import nn


def parameters_by_part(model: nn.Module) -> dict[str, int]:
    """How many parameters a bi-encoder's encoder (without embeddings), head and embeddings have.

    For BERT the encoder's are L (12 H^2 + 13 H), a linear head's H d + d. A pooler, which nothing here uses, counts
    nowhere.
    """
    inside = {name: p.numel() for name, p in model.get_submodule("encoder").named_parameters() if "pooler" not in name}
    embedding = sum(n for name, n in inside.items() if "embed" in name)
    return {
        "encoder_parameters": sum(inside.values()) - embedding,
        "head_parameters": sum(p.numel() for p in model.get_submodule("head").parameters()),
        "embedding_parameters": embedding,
    }


def training_flops(lengths: np.ndarray, parts: dict[str, int], layers: int, hidden: int) -> float:
    """Training FLOPs of sequences of `lengths` tokens: 6 N a token, 12 L S H for attention, 6 x head a sequence."""
    per_token = 6 * parts["encoder_parameters"] + 12 * layers * hidden * lengths
    return float((lengths * per_token).sum() + 6 * parts["head_parameters"] * len(lengths))
