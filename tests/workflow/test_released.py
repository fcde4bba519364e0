"""A ladder of released checkpoints as they are, and a training from the first layers of one."""

import json

import pytest
import torch
from transformers import BertConfig, BertModel

from rankscale.storage import tables
from rankscale.text.tokenizers import train_wordpiece
from tests.conftest import ROOT, clone, run

AS_THEY_ARE = """
study: released
collection: {name: docstrings, source: docstrings, sample: 1500, test_queries: 200, dev_queries: 50}
miner: {name: lsa, top_k: 20}
models:
  - {name: one, checkpoint: ./bert, layers: 1}
  - {name: two, checkpoint: ./bert, layers: 2}
  - {name: three, checkpoint: ./bert}
training: false
evaluation: {candidates: {hard: 16}, full_retrieval: {top_k: 100}}
laws: {hold_out: {models: 0, train_queries: 0}, bootstrap: 100, metrics: [rank_entropy, cross_entropy, 1-mrr]}
"""
TRAINED = AS_THEY_ARE.replace("study: released", "study: tuned").replace(
    "training: false",
    "training: {train_queries: [128], learning_rate: 1.0e-3, epochs: 1, query_length: 16, passage_length: 24}",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clone beside a small BERT in sentence-transformers' form."""
    folder = clone(tmp_path_factory.mktemp("released"), AS_THEY_ARE)
    bert = folder / "bert"
    train_wordpiece((ROOT / "docs/method.md").read_text().splitlines(), 1000, bert)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=1000, **shape)).save_pretrained(bert)
    steps = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    (bert / "modules.json").write_text(json.dumps([{"path": path, "type": f"models.{name}"} for path, name in steps]))
    (bert / "1_Pooling").mkdir()
    (bert / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    (folder / "tuned.yaml").write_text(TRAINED)
    return folder


def test_a_ladder_as_it_is_ends_in_a_report(folder):
    run("snakemake --cores 2", folder)
    study = folder / "results/released"
    metrics = tables.read("metrics", study / "metrics.parquet").to_pandas()
    assert dict(zip(metrics.model, metrics.layers, strict=True)) == {"one": 1, "two": 2, "three": 3}
    assert (metrics.train_queries == 0).all() and (metrics.train_flops == 0).all()
    assert metrics.ndcg_10.notna().all()
    assert tables.read("training", study / "models/base/one/0/42/training.parquet").num_rows == 0
    assert "Models: 3; subsets: 1" in (study / "summary.md").read_text()
    assert "Nothing to be done" in run("snakemake --cores 1 -n", folder).stdout


def test_one_is_taken_anew_when_its_pooling_changes(folder):
    (folder / "bert/1_Pooling/config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    assert "rankscale adopt" in run("snakemake --cores 1 -n metrics", folder).stdout


def test_the_first_layers_are_trained_on(folder):
    target = "results/tuned/models/base/two/128/42/checkpoints.parquet"
    run(f"snakemake {target} --cores 2 --configfile tuned.yaml", folder)
    (row,) = tables.read("checkpoints", folder / target).to_pylist()
    assert (row["layers"], row["encoder_parameters"]) == (2, 2 * (12 * 16**2 + 13 * 16))
