"""The ranking model: a transformer encoder, pooled, a linear head; scores are inner products."""

import json
import logging
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from rankscale import tables
from rankscale.command import log, progress
from rankscale.errors import StudyError
from rankscale.store import Tokens

# Transformers reports every weight that it does not load; a fresh pooler or head is the rule here.
logging.getLogger("transformers").setLevel(logging.ERROR)


class BiEncoder(nn.Module):
    """Encodes queries and passages alike: token ids [n, width] to vectors [n, dimension]."""

    def __init__(self, encoder: nn.Module, dimension: int | None, pooling: str = "mean") -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.head = nn.Linear(encoder.config.hidden_size, dimension) if dimension else nn.Identity()

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Vectors of padded `ids` int64 [n, width] of `lengths` int64 [n]."""
        inside = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        # A mask costs attention its fastest path, so there is one only where something is masked.
        mask = None if bool(inside.all()) else inside.long()
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        if self.pooling == "cls":
            return self.head(states[:, 0])
        weight = inside.unsqueeze(-1).to(states.dtype)
        return self.head((states * weight).sum(1) / weight.sum(1))

    def parameters_by_part(self) -> dict[str, int]:
        """How many parameters the encoder (without embeddings), the head and the embeddings have.

        For BERT the encoder's are L(12 H^2 + 13 H), a linear head's H d + d.
        """
        inside = {name: p.numel() for name, p in self.encoder.named_parameters() if "pooler" not in name}
        embedding = sum(n for name, n in inside.items() if "embed" in name)
        return {
            "encoder_parameters": sum(inside.values()) - embedding,
            "head_parameters": sum(p.numel() for p in self.head.parameters()),
            "embedding_parameters": embedding,
        }


def from_scratch(layers: int, hidden: int, heads: int, vocabulary: int, longest: int) -> nn.Module:
    """A BERT encoder of the usual proportions (4 H wide inside), without dropout, randomly initialised."""
    from transformers.models.bert.modeling_bert import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=longest,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertModel(config, add_pooling_layer=False)


def pretrained(name: str) -> nn.Module:
    """The encoder of a hub id or local folder, dropout switched off. Raises StudyError if it cannot be had."""
    from transformers import AutoConfig, AutoModel

    if name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
        raise StudyError(f"checkpoint {name}: there is no such folder")
    try:
        config = AutoConfig.from_pretrained(str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name)
        for key in vars(config):
            if "dropout" in key and isinstance(getattr(config, key), float):
                setattr(config, key, 0.0)
        extra = {"add_pooling_layer": False} if config.model_type in {"bert", "roberta"} else {}
        return AutoModel.from_pretrained(config._name_or_path, config=config, **extra).float()
    except (OSError, ValueError) as error:
        raise StudyError(f"checkpoint {name}: cannot be loaded ({str(error).splitlines()[0]})") from error


def save(model: BiEncoder, path: Path, facts: dict[str, object]) -> None:
    """Write weights and what is needed to use them (`facts`, and the encoder's config) as one safetensors file."""
    metadata = {
        "encoder": json.dumps(model.encoder.config.to_dict(), sort_keys=True, default=str),
        "facts": json.dumps(facts, sort_keys=True),
    }
    weights = {k: v.detach().to("cpu", torch.float32).contiguous() for k, v in model.state_dict().items()}
    with tables.whole(path) as beside:
        save_file(weights, beside, metadata)


def load(path: Path) -> tuple[BiEncoder, dict]:
    """The model that `save` wrote, and its facts. Raises StudyError if the file is missing or damaged."""
    from transformers import AutoConfig, AutoModel

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise StudyError(f"{path}: there is no such checkpoint") from None
    except Exception as error:  # safetensors has an error class of its own, without a public name
        raise StudyError(f"{path}: not a whole safetensors file ({error}); delete it and run again") from error
    facts, config = json.loads(metadata["facts"]), json.loads(metadata["encoder"])
    if config["model_type"] == "bert":
        from transformers.models.bert.modeling_bert import BertConfig, BertModel

        encoder = BertModel(BertConfig.from_dict(config), add_pooling_layer=False)
    else:
        encoder = AutoModel.from_config(AutoConfig.for_model(**config))
    model = BiEncoder(encoder, facts["output_dim"], facts["pooling"])
    model.load_state_dict(weights)
    return model.eval(), facts


def set_up(device: str, threads: int) -> torch.device:
    """Fix what changes the bytes of a result (threads, algorithms) and pick the device."""
    torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise StudyError("machine.device: cuda was asked for, but torch sees no GPU; set it to auto or cpu")
    log.info("on %s, %d threads", torch.cuda.get_device_name() if device == "cuda" else "cpu", threads)
    return torch.device(device)


@torch.inference_mode()
def encode(model: BiEncoder, tokens: Tokens, rows: np.ndarray, device: torch.device, doing: str) -> np.ndarray:
    """Vectors float32 [n, dimension] of the texts `rows`, in their order; equal texts get equal vectors.

    Length-sorted batches under a token budget: almost nothing is padding, and memory does not depend on n.
    Raises StudyError, naming the text, if a vector is not finite.
    """
    model.eval()
    distinct, which = tokens.unique(rows)
    position = np.empty(len(tokens), np.int64)
    position[distinct] = np.arange(len(distinct))
    out = None
    for some in progress(tokens.length_sorted(distinct, 1 << (15 if device.type == "cuda" else 12)), doing, "batch"):
        ids, lengths = tokens.batch(some)
        vectors = model(torch.from_numpy(ids).to(device), torch.from_numpy(lengths).to(device))
        vectors = vectors.float().cpu().numpy()
        if out is None:
            out = np.empty((len(distinct), vectors.shape[1]), np.float32)
        out[position[some]] = vectors
        bad = np.flatnonzero(~np.isfinite(vectors).all(1))
        if len(bad):
            raise StudyError(f"the model gives {tokens.ids[some[bad[0]]]} a vector that is not finite")
    return out[which]
