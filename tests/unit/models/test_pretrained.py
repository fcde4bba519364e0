"""Text encoders other than BERT: side by side as padded, and trained like it."""

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    DistilBertConfig,
    GPTNeoXConfig,
    ModernBertConfig,
    MPNetConfig,
    Qwen3Config,
    RobertaConfig,
)

from rankscale.models import checkpoints, packing
from rankscale.models.model_size import parameters_by_part
from rankscale.models.packing import Packed
from rankscale.models.pretrained import Pretrained
from rankscale.storage import tables
from tests.unit.training.test_trainer import published, train

SIZE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
CONFIGS = {
    "modernbert": ModernBertConfig(vocab_size=2000, local_attention=6, global_attn_every_n_layers=2, **SIZE, **SPECIAL),
    "gpt_neox": GPTNeoXConfig(vocab_size=2000, **SIZE),
    "distilbert": DistilBertConfig(vocab_size=2000, dim=32, n_layers=3, n_heads=4, hidden_dim=48),
    "bert with another activation": BertConfig(vocab_size=2000, hidden_act="relu", **SIZE),
    "qwen3": Qwen3Config(vocab_size=2000, num_key_value_heads=2, head_dim=8, **SIZE),
    "roberta": RobertaConfig(vocab_size=2000, **SIZE),
    "mpnet": MPNetConfig(vocab_size=2000, **SIZE),
}
PADDED = {"roberta", "mpnet"}  # they number positions, or attend, in ways of their own


def model_of(name):
    torch.manual_seed(0)
    return AutoModel.from_config(CONFIGS[name]).eval()


@pytest.mark.parametrize("name", CONFIGS)
def test_side_by_side_gives_what_padded_gives(name, monkeypatch):
    texts = Packed(torch.randint(3, 2000, (60,)), np.array([30, 20, 10]), torch.arange(3))
    ids, inside = texts.padded()
    with torch.no_grad():
        expected = model_of(name)(input_ids=ids, attention_mask=inside.long()).last_hidden_state[inside]
        encoder = Pretrained(model_of(name))
        monkeypatch.setattr(packing, "PADDING", 0)  # each length apart
        states = encoder(texts)
    assert encoder.packed == (name not in PADDED)
    assert torch.allclose(states, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["modernbert", "gpt_neox", "roberta"])
def test_it_trains_is_kept_and_counts_itself(shared, tmp_path, name):
    model_of(name).save_pretrained(tmp_path / "encoder")
    options = ("--checkpoint", tmp_path / "encoder", "--micro-batch", 6)
    for folder, more in (("a", ()), ("b", ("--gradient-checkpointing",))):
        train(shared, tmp_path / folder, *options, *more)
    assert published(tmp_path / "a") == published(tmp_path / "b")
    model, facts = checkpoints.load_checkpoint(tmp_path / "a/run/final.safetensors")
    assert facts["pooling"] == "mean"
    (row,) = tables.read("checkpoints", tmp_path / "a/run/checkpoints.parquet").to_pylist()
    parts = parameters_by_part(model)
    assert {key: row[key] for key in parts} == parts
    unused = sum(p.numel() for n, p in model.named_parameters() if "pooler" in n)
    assert sum(parts.values()) + unused == sum(p.numel() for p in model.parameters())
    assert parts["embedding_parameters"] >= 2000 * 32
