"""Encoders that others trained: any that transformers loads, read side by side where that gives the same."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.models import attention
from rankscale.models.bert import Bert, BertShape
from rankscale.models.encoder import Encoder
from rankscale.models.packing import Packed

if TYPE_CHECKING:
    from transformers import PreTrainedModel  # it takes seconds to import


class Attention(NamedTuple):
    """How an encoder attends: whether over packed texts, and by which of transformers' ways where it is padded."""

    packed: bool
    padded_by: str


class Pretrained(Encoder):
    """Any transformers encoder, called as `Bert` is: on packed texts where its architecture allows, else padded.

    What its architecture allows is tried, unless it is said: an encoder that is made again attends as it did.
    """

    def __init__(self, model: "PreTrainedModel", packed: bool | None = None) -> None:
        super().__init__()
        self.model, self.config = model, model.config
        self.padded_by = self.config._attn_implementation
        self.packed = False
        if packed:
            attention.register()
            self.model.set_attn_implementation(attention.NAME)
        self.packed = self._packs() if packed is None else packed

    @property
    def attention(self) -> Attention:
        """How it attends."""
        return Attention(self.packed, self.padded_by)

    def _packs(self) -> bool:
        """Whether two texts side by side give what they give padded; if so, they are so computed from now on.

        An encoder may number positions, or pass its arguments on, in ways of its own; so it is tried.
        """
        texts = Packed(torch.arange(11) % self.config.vocab_size, np.array([7, 4]), torch.arange(2))
        training = self.model.training
        self.model.eval()
        with torch.no_grad():
            expected = self(texts)
            try:
                attention.register()
                self.model.set_attn_implementation(attention.NAME)
                difference = (self._side_by_side(texts) - expected).abs().max()
                alike = bool(difference <= 1e-3 * expected.abs().max())
            except Exception as error:  # an architecture that cannot may fail in any way
                log.info("%s reads padded texts (%s)", self.config.model_type, type(error).__name__)
                alike = False
        if not alike:
            self.model.set_attn_implementation(self.padded_by)
        self.model.train(training)
        return alike

    def checkpoint(self) -> None:
        """Compute each layer's inside again in the backward pass, to hold less."""
        self.model.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, texts: Packed) -> torch.Tensor:
        """States float [tokens, hidden] of packed texts."""
        if self.packed:
            return self._side_by_side(texts)
        ids, inside = texts.padded()
        seen = inside
        if texts.hidden is not None:
            seen = inside.clone()
            seen[inside] = ~texts.hidden
        more = {}
        if (types := self._types(texts)) is not None:
            more["token_type_ids"] = torch.zeros_like(ids)
            more["token_type_ids"][inside] = types
        return self.model(input_ids=ids, attention_mask=seen.long(), **more).last_hidden_state[inside]

    def _side_by_side(self, texts: Packed) -> torch.Tensor:
        types = self._types(texts)
        more = {} if types is None else {"token_type_ids": types[None]}
        output = self.model(input_ids=texts.ids[None], position_ids=texts.positions[None], texts=texts, **more)
        return output.last_hidden_state[0]

    def _types(self, texts: Packed) -> torch.Tensor | None:
        """The tokens' types, if they have several and the encoder can tell them apart."""
        return texts.types if (getattr(self.config, "type_vocab_size", None) or 0) > 1 else None


def load_pretrained(name: str) -> Encoder:
    """The encoder of a hub id or local folder, dropout switched off. Raises StudyError if it cannot be had."""
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    # Transformers reports every weight that it does not load; a fresh pooler or head is the rule here.
    logging.set_verbosity_error()
    folder = Path(name).expanduser()
    if name.startswith((".", "/", "~")) and not folder.is_dir():
        raise StudyError(f"checkpoint {name}: there is no such folder")
    source = str(folder) if folder.is_dir() else name
    try:
        config = AutoConfig.from_pretrained(source)
        for key in vars(config):
            if "drop" in key and isinstance(getattr(config, key), float):
                setattr(config, key, 0.0)
        config.return_dict = True  # how its makers liked to call it
        model, report = AutoModel.from_pretrained(source, config=config, dtype=torch.float32, output_loading_info=True)
    except Exception as error:  # transformers, safetensors and the hub each raise what they like
        raise StudyError(describe_load_failure(f"checkpoint {name}", name, error)) from error
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing or report["mismatched_keys"]:
        weight = missing[0] if missing else sorted(map(str, report["mismatched_keys"]))[0]
        raise StudyError(
            f"checkpoint {name}: its weights do not fit the model: {weight} is missing or of another shape"
        )
    if config.is_encoder_decoder or not hasattr(config, "hidden_size") or not hasattr(config, "vocab_size"):
        raise StudyError(f"checkpoint {name}: a {config.model_type} model is no plain text encoder")
    broken = next((key for key, value in model.state_dict().items() if not value.isfinite().all()), None)
    if broken:
        raise StudyError(f"checkpoint {name}: its weights {broken} are not finite")
    if "relative" in (getattr(config, "position_embedding_type", None) or ""):
        raise StudyError(f"checkpoint {name}: its positions are relative, which transformers does without by now")
    texts = Packed(torch.arange(11) % config.vocab_size, np.array([7, 4]), torch.arange(2))
    try:
        encoder = as_bert(model) or Pretrained(model)
        with torch.no_grad():
            states = encoder.train()(texts), encoder(texts)
    except Exception as error:  # whatever a model does that its config misleads
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise StudyError(f"checkpoint {name}: it cannot read a text ({first}); look at its config.json") from error
    if not torch.equal(*states):
        raise StudyError(
            f"checkpoint {name}: a {config.model_type} model drops out at random, and cannot be told not to"
        )
    return encoder


def position_limit(encoder: Encoder) -> int | None:
    """How many tokens of a text the encoder has positions for; None if it does not say."""
    limit = getattr(encoder.config, "max_position_embeddings", None)
    tables = [m for name, m in encoder.named_modules() if name.endswith("position_embeddings")]
    # Some count positions from behind that of the padding.
    offset = next((m.padding_idx + 1 for m in tables if getattr(m, "padding_idx", None) is not None), 0)
    # XLNet, whose positions are relative, says -1.
    return limit - offset if limit and limit > 0 else None


def rebuilt(config: dict[str, Any], how: dict[str, Any] | None) -> Pretrained:
    """The encoder of a transformers config, its weights still to come, that attends as `how` says (None: as it can).

    In single precision, whatever the config says of the files that its weights once came from.
    """
    from transformers import AutoConfig, AutoModel

    attends = {} if how is None else {"attn_implementation": how["padded_by"]}
    model = AutoModel.from_config(AutoConfig.for_model(**config), dtype=torch.float32, **attends)
    return Pretrained(model, None if how is None else how["packed"])


def describe_load_failure(kind: str, name: str, error: Exception) -> str:
    """Why something of a hub or folder could not be had, and what to do, in a line."""
    first = next(iter(str(error).splitlines()), type(error).__name__)
    hint = (
        "" if Path(name).expanduser().is_dir() else "; there is no such folder either: check the name, or bring it here"
    )
    return f"{kind}: cannot be loaded ({first}){hint}"


def as_bert(model: "PreTrainedModel") -> Bert | None:
    """The same encoder without padding, if it is a BERT of the usual kind."""
    config = model.config.to_dict()
    if config["model_type"] != "bert" or config["hidden_act"] != "gelu" or config.get("is_decoder"):
        return None
    encoder = Bert(BertShape(**{k: config[k] for k in BertShape._fields}))
    encoder.load_state_dict({k: v for k, v in model.state_dict().items() if k in encoder.state_dict()})
    return encoder
