"""The ranking model: a transformer encoder, pooled, a linear head; scores are inner products."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from rankscale.bert import Bert, BertShape
from rankscale.core import atomic_files
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.packing import Packed, pack
from rankscale.pretrained import Pretrained
from rankscale.text.token_store import TokenStore


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


def save(model: BiEncoder, path: Path, facts: dict[str, object]) -> None:
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
    model: BiEncoder,
    tokens: TokenStore,
    rows: np.ndarray,
    device: torch.device,
    doing: str,
    precision: Callable[[], AbstractContextManager] = nullcontext,
    size: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Vectors of the texts `rows` in parts of about `size` bytes (0: one part): rows, ascending, and float32 [n, d].

    Each distinct text is encoded once, so equal texts get equal vectors; a part holds all texts of some lengths.
    Length-sorted batches under a token budget: almost nothing is padding, and memory does not depend on the number.
    `precision` makes the context in which the encoder's products are taken; each batch has its own, as autocast keeps
    copies of the weights. Raises StudyError, naming the text, if a vector is not finite.
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
        with torch.inference_mode(), precision():
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


def encode(
    model: BiEncoder,
    tokens: TokenStore,
    rows: np.ndarray,
    device: torch.device,
    doing: str,
    precision: Callable[[], AbstractContextManager] = nullcontext,
) -> np.ndarray:
    """Vectors float32 [n, dimension] of the texts `rows`, in their order, as `encode_parts` makes them."""
    ((found, vectors),) = encode_parts(model, tokens, rows, device, doing, precision)
    return vectors[np.searchsorted(found, rows)]
