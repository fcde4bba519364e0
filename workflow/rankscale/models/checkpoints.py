"""Checkpoints: weights and what is needed to use them, in one safetensors file."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from rankscale.core import atomic_files
from rankscale.core.errors import StudyError
from rankscale.models.base import Ranker
from rankscale.models.bert import Bert, BertShape
from rankscale.models.encoder import Encoder
from rankscale.models.pretrained import Pretrained
from rankscale.models.registry import RANKERS
from rankscale.storage.identity import refuse_other_facts


def encoder_config(model: Ranker) -> dict[str, Any]:
    """What determines the weights of a model's encoder, by name."""
    config = model.encoder.config
    return config._asdict() if isinstance(config, BertShape) else config.to_dict()


def save_checkpoint(model: Ranker, path: Path, facts: dict[str, object]) -> None:
    """Write weights and what is needed to use them as one safetensors file.

    That is the kind of ranker, its encoder's config, and `facts`, `output_dim` and `pooling` among them. Raises
    StudyError if it cannot be written.
    """
    kept = {"ranker": model.kind, "encoder": encoder_config(model), "facts": facts}
    # One entry: safetensors writes several in no fixed order, and equal runs must give equal bytes.
    metadata = {"rankscale": json.dumps(kept, sort_keys=True, default=str)}
    weights = {name: v.detach().to("cpu", torch.float32).contiguous() for name, v in model.state_dict().items()}
    with atomic_files.whole(path) as beside:
        try:
            save_file(weights, beside, metadata)
        except Exception as error:  # safetensors has an error class of its own, without a public name
            raise StudyError(f"{path}: cannot be written ({error}); free some space and run the same again") from error


def load_checkpoint(path: Path) -> tuple[Ranker, dict]:
    """The model that `save_checkpoint` wrote, and its facts. Raises StudyError if the file is missing or damaged."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise StudyError(f"{path}: there is no such checkpoint") from None
    except Exception as error:  # safetensors has an error class of its own, without a public name
        raise StudyError(f"{path}: not a whole safetensors file ({error}); delete it and run again") from error
    try:
        kind, facts, config = (json.loads(metadata["rankscale"])[key] for key in ("ranker", "facts", "encoder"))
    except (TypeError, KeyError, ValueError) as error:
        raise StudyError(f"{path}: is no checkpoint of this project ({error!r}); delete it and run again") from error
    refuse_other_facts(path, facts)
    if kind not in RANKERS:
        raise StudyError(f"{path}: holds a ranker of kind {kind}; this version knows {', '.join(RANKERS)}")
    if set(config) == set(BertShape._fields):
        encoder: Encoder = Bert(BertShape(**config))
    else:
        from transformers import AutoConfig, AutoModel

        encoder = Pretrained(AutoModel.from_config(AutoConfig.for_model(**config)))
    model = RANKERS[kind](encoder, facts["output_dim"], facts["pooling"])
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise StudyError(f"{path}: its weights do not fit its config ({first}); delete it and run again") from error
    return model.eval(), facts
