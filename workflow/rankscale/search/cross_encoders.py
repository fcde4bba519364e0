"""Cross-encoders that others trained: a query and a passage are read together, and one logit is their score."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from rankscale.core.errors import StudyError
from rankscale.core.progress import progress_bar
from rankscale.models import devices, model_size
from rankscale.models.pretrained import describe_load_failure
from rankscale.search.options import EncodeOptions
from rankscale.text.tokenizers import load

if TYPE_CHECKING:
    from transformers import PreTrainedModel  # it takes seconds to import

BLOCK = 1 << 14  # pairs that are tokenized, and sorted by length, together


class CrossEncoder:
    """Scores of pairs of texts; `flops` are those of all pairs so far.

    A pair is cut to the tokens of query and passage together, its longer text first.
    """

    def __init__(self, options: EncodeOptions) -> None:
        """Raises StudyError for a model that cannot be had, or does not give one finite logit."""
        self.options, self.flops = options, 0.0
        self.device = devices.set_up_device(options.device, options.threads)
        self.tokenizer = load(options.encoder)
        self.model = load_cross_encoder(options.encoder).to(self.device)  # type: ignore[arg-type]
        limit = getattr(self.model.config, "max_position_embeddings", None) or 0
        wanted = options.query_length + options.passage_length
        self.longest = min(wanted, limit) if limit > 0 else wanted
        inside = {name: p.numel() for name, p in self.model.named_parameters()}
        embedding = sum(n for name, n in inside.items() if "embed" in name)
        self.parts = {"encoder_parameters": sum(inside.values()) - embedding, "head_parameters": 0}

    def __call__(self, queries: list[str], passages: list[str]) -> np.ndarray:
        """Scores float32 [n] of queries with passages, pair by pair."""
        scores = np.full(len(queries), np.nan, np.float32)
        with progress_bar(len(queries), "score pairs", "pair") as bar:
            for start in range(0, len(queries), BLOCK):
                block = slice(start, start + BLOCK)
                scores[block] = self._block(queries[block], passages[block])
                bar.update(len(queries[block]))
        return scores

    def _block(self, queries: list[str], passages: list[str]) -> np.ndarray:
        queries = [self.options.query_prefix + text for text in queries]
        passages = [self.options.passage_prefix + text for text in passages]
        cut = {"truncation": "longest_first", "max_length": self.longest}
        tokens = self.tokenizer(queries, passages, **cut)
        lengths = np.array([len(ids) for ids in tokens["input_ids"]])
        config = self.model.config
        layers, hidden = getattr(config, "num_hidden_layers", 0), getattr(config, "hidden_size", 0)
        self.flops += model_size.training_flops(lengths, self.parts, layers, hidden) / 3  # forward alone
        order, budget = np.argsort(-lengths, kind="stable"), 1 << (15 if self.device.type == "cuda" else 12)
        scores, start = np.empty(len(lengths), np.float32), 0
        while start < len(order):
            batch = order[start : start + max(1, budget // int(lengths[order[start]]))]
            own = {name: [values[i] for i in batch] for name, values in tokens.items()}
            padded = self.tokenizer.pad(own, return_tensors="pt").to(self.device)
            with torch.inference_mode(), devices.autocast_to(self.options.precision, self.device):
                scores[batch] = self.model(**padded).logits[:, 0].float().cpu().numpy()
            start += len(batch)
        return scores


def load_cross_encoder(name: str) -> "PreTrainedModel":
    """The classifier of one logit of a hub id or local folder, for inference.

    Raises StudyError if it cannot be had, has another number of logits, or weights that are missing or not finite.
    """
    from pathlib import Path

    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.set_verbosity_error()
    folder = Path(name).expanduser()
    source = str(folder) if folder.is_dir() else name
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            source, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:  # transformers, safetensors and the hub each raise what they like
        raise StudyError(describe_load_failure(f"training.teacher.model {name}", name, error)) from error
    missing = sorted(report["missing_keys"]) or sorted(map(str, report["mismatched_keys"]))
    if missing:
        raise StudyError(f"training.teacher.model {name}: is no cross-encoder: it has no weights {missing[0]}")
    if model.config.num_labels != 1:
        raise StudyError(f"training.teacher.model {name}: gives {model.config.num_labels} logits a pair, one is needed")
    broken = next((key for key, value in model.state_dict().items() if not value.isfinite().all()), None)
    if broken:
        raise StudyError(f"training.teacher.model {name}: its weights {broken} are not finite")
    return model.eval()
