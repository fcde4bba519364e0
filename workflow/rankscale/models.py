"""The ranking model: a transformer encoder, pooled, a linear head; scores are inner products."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from rankscale import attention, tables
from rankscale.bert import Bert, BertShape
from rankscale.command import log, progress
from rankscale.errors import StudyError
from rankscale.packing import Packed, pack
from rankscale.store import Tokens


class Pretrained(nn.Module):
    """Any transformers encoder, called as `Bert` is: on packed texts where its architecture allows, else padded."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.config = model, model.config
        self.packed = False
        self.packed = self._packs()

    def _packs(self) -> bool:
        """Whether two texts side by side give what they give padded; if so, they are so computed from now on.

        An encoder may number positions, or pass its arguments on, in ways of its own; so it is tried.
        """
        usual = self.config._attn_implementation
        texts = Packed(torch.arange(11) % self.config.vocab_size, np.array([7, 4]), torch.arange(2))
        training = self.model.training
        self.model.eval()
        with torch.no_grad():
            expected = self(texts)
            try:
                attention.register()
                self.model.set_attn_implementation(attention.NAME)
                apart = (self._side_by_side(texts) - expected).abs().max()
                alike = bool(apart <= 1e-3 * expected.abs().max())
            except Exception as error:  # an architecture that cannot may fail in any way
                log.info("%s reads padded texts (%s)", self.config.model_type, type(error).__name__)
                alike = False
        if not alike:
            self.model.set_attn_implementation(usual)
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
        return self.model(input_ids=ids, attention_mask=inside.long()).last_hidden_state[inside]

    def _side_by_side(self, texts: Packed) -> torch.Tensor:
        found = self.model(input_ids=texts.ids[None], position_ids=texts.positions[None], texts=texts)
        return found.last_hidden_state[0]


class BiEncoder(nn.Module):
    """Encodes queries and passages alike: packed texts to vectors [n, dimension]."""

    def __init__(self, encoder: nn.Module, dimension: int | None, pooling: str = "mean") -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.head = nn.Linear(encoder.config.hidden_size, dimension) if dimension else nn.Identity()

    def forward(self, texts: Packed) -> torch.Tensor:
        """Vectors of the texts, in the order in which they were asked for."""
        if self.pooling == "mean":
            pooled = texts.mean(self.encoder(texts))
        elif isinstance(self.encoder, Bert):
            pooled = self.encoder.first(texts)
        else:
            pooled = self.encoder(texts)[texts.starts]
        return self.head(pooled.index_select(0, texts.back))


def from_scratch(layers: int, hidden: int, heads: int, vocabulary: int, longest: int) -> Bert:
    """A BERT encoder of the usual proportions (4 H wide inside), without dropout, randomly initialised."""
    return Bert(BertShape(vocabulary, hidden, layers, heads, 4 * hidden, longest))


def pretrained(name: str) -> nn.Module:
    """The encoder of a hub id or local folder, dropout switched off. Raises StudyError if it cannot be had."""
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    # Transformers reports every weight that it does not load; a fresh pooler or head is the rule here.
    logging.set_verbosity_error()
    folder = Path(name).expanduser()
    if name.startswith((".", "/", "~")) and not folder.is_dir():
        raise StudyError(f"checkpoint {name}: there is no such folder")
    place = str(folder) if folder.is_dir() else name
    try:
        config = AutoConfig.from_pretrained(place)
        for key in vars(config):
            if "drop" in key and isinstance(getattr(config, key), float):
                setattr(config, key, 0.0)
        model, report = AutoModel.from_pretrained(place, config=config, output_loading_info=True)
    except Exception as error:  # transformers, safetensors and the hub each raise what they like
        raise StudyError(not_loaded(f"checkpoint {name}", name, error)) from error
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing or report["mismatched_keys"]:
        odd = missing[0] if missing else sorted(map(str, report["mismatched_keys"]))[0]
        raise StudyError(f"checkpoint {name}: its weights do not fit the model: {odd} is missing or of another shape")
    if config.is_encoder_decoder or not hasattr(config, "hidden_size") or not hasattr(config, "vocab_size"):
        raise StudyError(f"checkpoint {name}: a {config.model_type} model is no plain text encoder")
    model = model.float()
    broken = next((key for key, value in model.state_dict().items() if not value.isfinite().all()), None)
    if broken:
        raise StudyError(f"checkpoint {name}: its weights {broken} are not finite")
    encoder = as_bert(model) or Pretrained(model)
    texts = Packed(torch.arange(11) % config.vocab_size, np.array([7, 4]), torch.arange(2))
    with torch.no_grad():
        if not torch.equal(encoder.train()(texts), encoder(texts)):
            raise StudyError(
                f"checkpoint {name}: a {config.model_type} model drops out at random, and cannot be told not to"
            )
    return encoder


def places(encoder: nn.Module) -> int | None:
    """How many tokens of a text the encoder has positions for; None if it does not say."""
    found = getattr(encoder.config, "max_position_embeddings", None)
    tables_of = [m for name, m in encoder.named_modules() if name.endswith("position_embeddings")]
    # Some count positions from behind that of the padding.
    behind = next((m.padding_idx + 1 for m in tables_of if getattr(m, "padding_idx", None) is not None), 0)
    return found and found - behind


def not_loaded(what: str, name: str, error: Exception) -> str:
    """Why something of a hub or folder could not be had, and what to do, in a line."""
    first = next(iter(str(error).splitlines()), type(error).__name__)
    hint = (
        "" if Path(name).expanduser().is_dir() else "; there is no such folder either: check the name, or bring it here"
    )
    return f"{what}: cannot be loaded ({first}){hint}"


def as_bert(model: nn.Module) -> Bert | None:
    """The same encoder without padding, if it is a BERT of the usual kind."""
    config = model.config.to_dict()
    if config["model_type"] != "bert" or config["hidden_act"] != "gelu" or config.get("is_decoder"):
        return None
    encoder = Bert(BertShape(**{k: config[k] for k in BertShape._fields}))
    encoder.load_state_dict({k: v for k, v in model.state_dict().items() if k in encoder.state_dict()})
    return encoder


def save(model: BiEncoder, path: Path, facts: dict[str, object]) -> None:
    """Write weights and what is needed to use them (`facts`, and the encoder's config) as one safetensors file."""
    config = model.encoder.config
    config = config._asdict() if isinstance(config, BertShape) else config.to_dict()
    # One entry: safetensors writes several in no fixed order, and equal runs must give equal bytes.
    metadata = {"rankscale": json.dumps({"encoder": config, "facts": facts}, sort_keys=True, default=str)}
    weights = {k: v.detach().to("cpu", torch.float32).contiguous() for k, v in model.state_dict().items()}
    with tables.whole(path) as beside:
        try:
            save_file(weights, beside, metadata)
        except Exception as error:  # safetensors has an error class of its own, without a public name
            raise StudyError(f"{path}: cannot be written ({error}); free some space and run the same again") from error


def load(path: Path) -> tuple[BiEncoder, dict]:
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


def encode_parts(
    model: BiEncoder, tokens: Tokens, rows: np.ndarray, device: torch.device, doing: str, size: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Vectors of the texts `rows` in parts of about `size` bytes (0: one part): rows, ascending, and float32 [n, d].

    Each distinct text is encoded once, so equal texts get equal vectors; a part holds all texts of some lengths.
    Length-sorted batches under a token budget: almost nothing is padding, and memory does not depend on the number.
    Raises StudyError, naming the text, if a vector is not finite.
    """
    model.eval()
    distinct, which = tokens.unique(rows)
    order = np.argsort(which, kind="stable")  # texts that are the same, one after the other
    edges = np.searchsorted(which[order], np.arange(len(distinct) + 1))
    place = np.empty(len(tokens), np.int64)
    place[distinct] = np.arange(len(distinct))
    held: list[np.ndarray] = []
    texts: list[np.ndarray] = []

    def part() -> tuple[np.ndarray, np.ndarray]:
        some = place[np.concatenate(texts)]
        times = edges[some + 1] - edges[some]
        repeats = np.repeat(np.arange(len(some)), times)
        where = order[np.arange(len(repeats)) + np.repeat(edges[some] - np.cumsum(times) + times, times)]
        ascending = np.argsort(rows[where], kind="stable")
        return rows[where[ascending]], np.concatenate(held)[repeats[ascending]]

    count = 0
    for some in progress(tokens.length_sorted(distinct, _budget(model, device)), doing, "batch"):
        with torch.inference_mode():
            vectors = model(pack((tokens, some)).to(device)).float().cpu().numpy()
        bad = np.flatnonzero(~np.isfinite(vectors).all(1))
        if len(bad):
            raise StudyError(f"the model gives {tokens.ids[some[bad[0]]]} a vector that is not finite")
        held.append(vectors)
        texts.append(some)
        at = place[some]
        count += int((edges[at + 1] - edges[at]).sum())
        if size and count * vectors.shape[1] * 4 >= size:
            yield part()
            held, texts, count = [], [], 0
    if held:
        yield part()


def _budget(model: BiEncoder, device: torch.device) -> int:
    """Tokens of a batch: many for a GPU; on a processor as many as its cache holds the states of, at most 4,096."""
    return 1 << 15 if device.type == "cuda" else min(1 << 12, (3 << 20) // (4 * model.encoder.config.hidden_size))


def encode(model: BiEncoder, tokens: Tokens, rows: np.ndarray, device: torch.device, doing: str) -> np.ndarray:
    """Vectors float32 [n, dimension] of the texts `rows`, in their order, as `encode_parts` makes them."""
    ((found, vectors),) = encode_parts(model, tokens, rows, device, doing)
    return vectors[np.searchsorted(found, rows)]
