"""Checkpoints: weights and what is needed to use them, in one safetensors file."""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from rankscale.core import atomic_files
from rankscale.core.errors import StudyError
from rankscale.models.bert import Bert, BertShape
from rankscale.models.bi_encoder import BiEncoder
from rankscale.models.pretrained import Pretrained


def save_checkpoint(model: BiEncoder, path: Path, facts: dict[str, object]) -> None:
    """Write weights and what is needed to use them (`facts`, and the encoder's config) as one safetensors file."""
    config = model.encoder.config
    config = config._asdict() if isinstance(config, BertShape) else config.to_dict()
    # One entry: safetensors writes several in no fixed order, and equal runs must give equal bytes.
    metadata = {"rankscale": json.dumps({"encoder": config, "facts": facts}, sort_keys=True, default=str)}
    weights = {k: v.detach().to("cpu", torch.float32).contiguous() for k, v in model.state_dict().items()}
    with atomic_files.whole(path) as beside:
        try:
            save_file(weights, beside, metadata)
        except Exception as error:  # safetensors has an error class of its own, without a public name
            raise StudyError(f"{path}: cannot be written ({error}); free some space and run the same again") from error


def load_checkpoint(path: Path) -> tuple[BiEncoder, dict]:
    """The model that `save` wrote, and its facts. Raises StudyError if the file is missing or damaged."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise StudyError(f"{path}: there is no such checkpoint") from None
    except Exception as error:  # safetensors has an error class of its own, without a public name
        raise StudyError(f"{path}: not a whole safetensors file ({error}); delete it and run again") from error
    try:
        facts, config = (json.loads(metadata["rankscale"])[key] for key in ("facts", "encoder"))
    except (TypeError, KeyError, ValueError) as error:
        raise StudyError(f"{path}: is no checkpoint of this project ({error!r}); delete it and run again") from error
    if set(config) == set(BertShape._fields):
        encoder: nn.Module = Bert(BertShape(**config))
    else:
        from transformers import AutoConfig, AutoModel

        encoder = Pretrained(AutoModel.from_config(AutoConfig.for_model(**config)))
    model = BiEncoder(encoder, facts["output_dim"], facts["pooling"])
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise StudyError(f"{path}: its weights do not fit its config ({first}); delete it and run again") from error
    return model.eval(), facts
