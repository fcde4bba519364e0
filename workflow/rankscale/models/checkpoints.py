"""Checkpoints: weights and what is needed to use them, in one safetensors file."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from rankscale.core import atomic_files
from rankscale.core.cli import log
from rankscale.core.errors import StudyError, refuse_unreadable
from rankscale.models.base import Ranker
from rankscale.models.bert import Bert, BertShape
from rankscale.models.encoder import Encoder
from rankscale.models.pretrained import Pretrained, rebuilt
from rankscale.models.registry import RANKERS
from rankscale.storage.digests import content_hash
from rankscale.storage.identity import refuse_other_facts


def encoder_config(model: Ranker) -> dict[str, Any]:
    """What determines the weights of a model's encoder, by name."""
    config = model.encoder.config
    return config._asdict() if isinstance(config, BertShape) else config.to_dict()


def save_checkpoint(model: Ranker, path: Path, facts: dict[str, object]) -> None:
    """Write weights and what is needed to use them as one safetensors file.

    That is the kind of ranker and its settings, its encoder's config, how that encoder attends, and `facts`,
    `output_dim` and `pooling` among them; and a digest of it all. Raises StudyError if it cannot be written.
    """
    kept = {"ranker": model.kind, "encoder": encoder_config(model), "facts": facts}
    if model.settings:
        kept["settings"] = dict(model.settings)
    if isinstance(model.encoder, Pretrained):
        kept["attention"] = model.encoder.attention._asdict()
    kept = json.loads(json.dumps(kept, default=str))  # as it is read again: JSON's keys are text, and sorted as text
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    # One entry: safetensors writes several in no fixed order, and equal runs must give equal bytes.
    metadata = {"rankscale": json.dumps({**kept, "digest": _digest(kept, weights)}, sort_keys=True)}
    with atomic_files.whole(path) as beside:
        try:
            save_file(weights, beside, metadata)
        except Exception as error:  # safetensors has an error class of its own, without a public name
            raise StudyError(f"{path}: cannot be written ({error}); free some space and run the same again") from error


def load_checkpoint(path: Path) -> tuple[Ranker, dict]:
    """The model that `save_checkpoint` wrote, and its facts: every weight and every vector as it was.

    Raises StudyError if the file is missing, damaged, or another's than its path promises.
    """
    kept, weights = _read(path)
    try:
        kind, facts, config = (kept[key] for key in ("ranker", "facts", "encoder"))
        dimension, pooling = facts["output_dim"], facts["pooling"]
    except (TypeError, KeyError) as error:
        raise StudyError(f"{path}: is no checkpoint of this project ({error!r}); delete it and run again") from error
    refuse_other_facts(path, facts)
    if kind not in RANKERS:
        raise StudyError(f"{path}: holds a ranker of kind {kind}; this version knows {', '.join(RANKERS)}")
    if set(config) == set(BertShape._fields):
        encoder: Encoder = Bert(BertShape(**config))
    else:
        try:
            encoder = rebuilt(config, kept.get("attention"))
        except Exception as error:  # another version of transformers may know it no more, and fail in any way
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise StudyError(f"{path}: this version of transformers cannot build its encoder ({first})") from error
    try:
        model = RANKERS[kind](encoder, dimension, pooling, **kept.get("settings", {}))
    except TypeError as error:
        raise StudyError(f"{path}: this version makes a {kind} otherwise ({error})") from error
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise StudyError(f"{path}: its weights do not fit its config ({first}); delete it and run again") from error
    return model.eval(), facts


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What `save_checkpoint` kept, and the weights. Raises StudyError unless their digest is the one kept."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except Exception as error:  # safetensors has an error class of its own, without a public name
        refuse_unreadable(path)  # which safetensors says is not there
        if not path.exists():
            raise StudyError(f"{path}: there is no such checkpoint") from None
        raise StudyError(f"{path}: not a whole safetensors file ({error}); delete it and run again") from error
    try:
        kept = dict(json.loads(metadata["rankscale"]))
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise StudyError(f"{path}: is no checkpoint of this project ({error!r}); delete it and run again") from error
    digest = kept.pop("digest", None)
    if digest is None:
        log.warning("%s: an older version wrote it, without a digest; whether it is whole cannot be told", path)
    elif digest != _digest(kept, weights):
        raise StudyError(f"{path}: its bytes are not those that were written; delete it and run again")
    return kept, weights


def _digest(kept: dict[str, Any], weights: dict[str, torch.Tensor]) -> str:
    return content_hash(kept, *(part for name in sorted(weights) for part in (name, weights[name])))
