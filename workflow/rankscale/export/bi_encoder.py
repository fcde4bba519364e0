"""A bi-encoder as a folder of sentence-transformers: transformer, pooling and, where the model has one, the head."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file
from torch import nn

from rankscale.models.base import Ranker
from rankscale.models.bert import Bert
from rankscale.models.encoder import Encoder
from rankscale.models.pretrained import Pretrained

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

TRANSFORMER = "sentence_transformers.base.modules.transformer.Transformer"
POOLING = "sentence_transformers.sentence_transformer.modules.pooling.Pooling"
DENSE = "sentence_transformers.base.modules.dense.Dense"
USE = """from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{folder}")
queries = model.encode_query(["how to read a table"])
passages = model.encode_document(["read_table(path): the table at path"])
scores = model.similarity(queries, passages)"""


def write_bi_encoder(model: Ranker, facts: dict[str, Any], tokenizer: "PreTrainedTokenizerFast", folder: Path) -> None:
    """Write what `sentence_transformers.SentenceTransformer(folder)` reads; its similarity is the inner product.

    Queries are cut to `facts["query_length"]` tokens by `encode_query`, all else to `facts["passage_length"]`.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    encoder = as_transformers(model.encoder)
    encoder.save_pretrained(folder)
    tokenizer.model_max_length = int(facts["passage_length"])
    tokenizer.save_pretrained(folder)
    modules = [("", TRANSFORMER), ("1_Pooling", POOLING)]
    hidden = model.encoder.config.hidden_size
    _write(folder / "1_Pooling/config.json", {"embedding_dimension": hidden, "pooling_mode": model.pooling})
    if isinstance(model.head, nn.Linear):
        modules.append(("2_Dense", DENSE))
        config = {
            "in_features": model.head.in_features,
            "out_features": model.head.out_features,
            "bias": model.head.bias is not None,
            "activation_function": "torch.nn.modules.linear.Identity",
        }
        _write(folder / "2_Dense/config.json", config)
        weights = {f"linear.{name}": value.detach().cpu().contiguous() for name, value in model.head.named_parameters()}
        save_file(weights, folder / "2_Dense/model.safetensors")
    names = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(modules)]
    _write(folder / "modules.json", names)
    lengths = {"query_length": facts["query_length"], "document_length": facts["passage_length"]}
    _write(folder / "sentence_bert_config.json", {"max_seq_length": facts["passage_length"], **lengths})
    _write(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "SentenceTransformer",
            "similarity_fn_name": "dot",
            "prompts": {"query": "", "document": ""},
            "default_prompt_name": None,
        },
    )


def as_transformers(encoder: Encoder) -> "PreTrainedModel":
    """The encoder as transformers has it, which computes the same; `encoder` is not to be used any more."""
    if isinstance(encoder, Pretrained):
        encoder.model.set_attn_implementation(encoder.padded_by)
        encoder.packed = False
        return encoder.model
    assert isinstance(encoder, Bert), "there are two kinds of encoders"
    from transformers import BertConfig, BertModel

    # Nothing was dropped out in training, so who trains it further starts from what was.
    shape = encoder.config._asdict()
    shape.pop("model_type")
    config = BertConfig(**shape, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict({name: value.detach().cpu() for name, value in encoder.state_dict().items()})
    return model.eval()


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
