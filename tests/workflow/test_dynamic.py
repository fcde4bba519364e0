"""A study with a variant that goes on from the first one's runs, as it really runs."""

import pytest

from rankscale.models.checkpoints import load_checkpoint
from rankscale.storage import tables
from tests.conftest import clone, run
from tests.workflow.test_reruns import jobs

CONFIG = """
study: two
collection: {name: docstrings, source: docstrings, sample: 1500, test_queries: 200, dev_queries: 50}
tokenizer: {name: wordpiece, vocabulary: 1000}
miner: {name: lsa, top_k: 20}
models: [{name: L1H16, layers: 1, hidden: 16, heads: 2}]
training:
  train_queries: [128, 256]
  negatives: mined+in_batch
  learning_rate: 4.0e-3
  epochs: 2
  query_length: 12
  passage_length: 16
  output_dim: 16
  snapshots: {models: [L1H16], train_queries: 256, steps: [3]}
variants:
  - {name: plain}
  - {name: adore, training: {negatives: dynamic, negatives_per_query: 60, objective: {name: lambdarank}, epochs: 1}}
evaluation: {candidates: {hard: 16}, full_retrieval: {top_k: 100}}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A clone in which the runs were trained and evaluated."""
    folder = clone(tmp_path_factory.mktemp("dynamic"), CONFIG)
    planned = jobs(folder)
    trained = {"train": 1, "train_with_snapshots": 1, "refine": 1, "refine_with_snapshots": 1}
    assert {rule: count for rule, count in planned.items() if rule in trained} == trained
    assert planned["retrieve"] == 6
    run("snakemake --cores 2 metrics", folder)
    return folder


def test_its_runs_go_on_from_the_first_one_s_and_are_evaluated(finished):
    metrics = tables.read("metrics", finished / "results/two/metrics.parquet").to_pandas()
    finals = metrics[metrics.checkpoint == "final"].set_index(["variant", "train_queries"])
    assert len(finals) == 4
    for size in (128, 256):
        plain, own = finals.loc[("plain", size)], finals.loc[("adore", size)]
        assert own.train_flops > plain.train_flops
        assert own.encoder_parameters == plain.encoder_parameters
        assert own.rank_entropy != plain.rank_entropy
        folders = [finished / f"results/two/models/{name}/L1H16/{size}/42" for name in ("plain", "adore")]
        before, after = (load_checkpoint(folder / "final.safetensors")[0].state_dict() for folder in folders)
        assert all((after[f"passages.{name}"] == value).all() for name, value in before.items())
        assert any((after[name] != value).any() for name, value in before.items())


def test_nothing_runs_again_and_a_new_start_trains_both(finished):
    assert not {"train", "refine", "refine_with_snapshots", "train_with_snapshots"} & set(jobs(finished))
    (finished / "config.yaml").write_text(CONFIG.replace("{name: plain}", "{name: plain, training: {clip: 2.0}}"))
    planned = jobs(finished)
    assert [planned[f"{rule}{more}"] for rule in ("train", "refine") for more in ("", "_with_snapshots")] == [1] * 4
    (finished / "config.yaml").write_text(CONFIG.replace("epochs: 1", "epochs: 2"))
    planned = jobs(finished)
    assert planned["refine"] == planned["refine_with_snapshots"] == 1
    assert "train" not in planned


def test_quote_counts_them(finished):
    (finished / "config.yaml").write_text(CONFIG)
    assert "refine" in run("rankscale quote", finished).stdout
