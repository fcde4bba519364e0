"""What a model is built from, as options of the stages that build one."""

import json
from dataclasses import dataclass

from rankscale.core.cli import count, within
from rankscale.core.layout import BASE
from rankscale.core.options import option


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A ranker before its first step: from scratch by its shape, or from a checkpoint."""

    variant: str = option(BASE, help="the way in which it is trained, as tables name it")
    model: str = option(help="its name in tables")
    ranker: str = option("bi_encoder", help="its kind, of models.registry")
    ranker_parameters: dict | None = option(None, read=json.loads, help="the kind's own parameters, a JSON object")
    layers: int | None = option(None, read=count, help="from scratch: layers, hidden size, heads")
    hidden: int | None = option(None, read=count)
    heads: int | None = option(None, read=count)
    # The weights that it begins with are part of the fingerprint themselves; their name may change.
    checkpoint: str | None = option(None, in_result=False, help="instead: hub id or folder to start from")
    seed: int = option(42, read=within(0, 2**62, int))
    query_length: int = option(24, read=count, help="tokens, special ones included")
    passage_length: int = option(128, read=count, help="tokens, special ones included")
    output_dim: int = option(128, read=count)
    gradient_checkpointing: bool = option(False, help="less memory for a third more time")
