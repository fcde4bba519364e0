"""Examples, objective and schedule: by hand, by definition, and run twice."""

import argparse

import numpy as np
import pytest
import torch

from rankscale import tables
from rankscale.errors import StudyError
from rankscale.examples import Examples, subset
from rankscale.train import contrastive_loss, learning_rate, sequence_flops
from tests.conftest import stage

N = 40  # queries, each with its own document; the last four have a second one


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collection")
    ids, docs = [f"q{i}" for i in range(N)], [f"d{i}" for i in range(N + 20)]
    tables.write("documents", {"doc_id": docs, "title": "", "text": ["text"] * len(docs)}, folder / "documents.parquet")
    split = ["train"] * (N - 4) + ["test"] * 4
    tables.write("queries", {"query_id": ids, "text": ["q"] * N}, folder / "queries.parquet")
    judged = [(s, q, d, i) for i, (s, q, d) in enumerate(zip(split, ids, docs, strict=False))]
    judged += [("train", f"q{i}", f"d{N + i}", N + i) for i in range(4)]
    columns = dict(zip(("split", "query_id", "doc_id", "row"), zip(*judged, strict=True), strict=True))
    tables.write("qrels", {**columns, "grade": 1, "positive": True}, folder / "qrels.parquet")
    mined = [[d for d in range(N) if d != q][:10] for q in range(N)]
    for shard, some in enumerate((slice(0, 7), slice(7, N))):
        n = len(ids[some])
        rows = {"query_id": ids[some], "rows": mined[some], "scores": [[0.0] * 10] * n, "mined": [10] * n}
        tables.write("negatives", rows, folder / f"{shard}.parquet")
    return folder


def examples(collection, objective="mined", per_query=3, size=None, seed=1, split="train"):
    negatives = [collection / f"{shard}.parquet" for shard in (0, 1)]
    return Examples(collection, negatives, split, size, "nested", objective, per_query, seed)


def test_subsets_are_nested_and_seeded():
    smaller, larger = subset(100, 10, "nested", 1), subset(100, 50, "nested", 1)
    assert set(smaller) < set(larger)
    assert set(smaller) != set(subset(100, 10, "nested", 2))
    assert subset(100, 10, "first", 1).tolist() == list(range(10))
    with pytest.raises(StudyError, match=r"training\.train_queries: a subset of 101 .* only 100"):
        subset(100, 101, "nested", 1)


def test_only_training_queries_are_trained_on(collection):
    assert examples(collection).queries.max() < N - 4


@pytest.mark.parametrize("objective", ["mined", "random"])
def test_no_negative_is_a_positive_and_draws_change_with_the_pass(collection, objective):
    made = examples(collection, objective)
    chosen = made.epoch(0)[:16]
    batches = [made.batch(epoch, 0, chosen)[1] for epoch in (0, 1)]
    for documents in batches:
        queries = made.queries[chosen]
        assert made.is_judged(queries, documents[:, :1]).all()
        assert not made.is_judged(queries, documents[:, 1:]).any()
    assert not np.array_equal(*batches)
    # A function of seed, pass and position alone: another object draws the same.
    assert np.array_equal(batches[1], examples(collection, objective).batch(1, 0, chosen)[1])
    assert not np.array_equal(batches[1], examples(collection, objective, seed=2).batch(1, 0, chosen)[1])


def test_mined_negatives_of_a_query_do_not_repeat(collection):
    documents = examples(collection, per_query=10).batch(0, 0, np.arange(5))[1]
    assert all(len(set(row)) == 11 for row in documents.tolist())


def test_every_positive_gets_its_turn(collection):
    made = examples(collection)
    two = np.flatnonzero(np.array([len(p) for p in made.positives]) == 2)
    seen = {made.batch(epoch, 0, two)[1][0, 0] for epoch in range(20)}
    assert len(two) == 4
    assert len(seen) == 2


def test_what_an_objective_lacks_is_named(collection):
    with pytest.raises(StudyError, match=r"negatives_per_query: 11 asked for, but query q\d+ has 10"):
        examples(collection, per_query=11)
    with pytest.raises(StudyError, match="no query of split dev has a positive"):
        examples(collection, split="dev")


def test_own_negatives_only():
    q, d = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[[1.0, 0], [0, 1]], [[1, 1], [3, 0]]])
    # Scores 1, 0 and 2, 0: the losses are log(1 + e^-1) and log(1 + e^-2).
    expected = np.mean([np.log1p(np.exp(-1)), np.log1p(np.exp(-2))])
    assert contrastive_loss(q, d, None, 1.0).item() == pytest.approx(expected, abs=1e-6)
    halved = np.mean([np.log1p(np.exp(-0.5)), np.log1p(np.exp(-1))])
    assert contrastive_loss(q, d, None, 2.0).item() == pytest.approx(halved, abs=1e-6)


def test_the_batch_s_false_negatives_are_masked():
    q, d = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[[1.0, 0], [0, 1]], [[1, 1], [3, 0]]])
    judged = torch.zeros(2, 4, dtype=torch.bool)
    judged[0, 2] = True  # the second query's positive answers the first query too
    # Scores of the first: 1, 0, (1), 3; of the second: 0, 2, 2, 0 with its positive third.
    first = -1 + np.log(np.exp(1) + 1 + np.exp(3))
    second = -2 + np.log(1 + np.exp(2) + np.exp(2) + 1)
    assert contrastive_loss(q, d, judged, 1.0).item() == pytest.approx((first + second) / 2, abs=1e-6)


def test_schedules():
    def rates(schedule, warmup):
        args = argparse.Namespace(learning_rate=1.0, schedule=schedule, warmup=warmup)
        return [learning_rate(args, step, 10) for step in range(1, 11)]

    assert rates("constant", 0) == [1.0] * 10
    assert rates("linear", 0.2) == pytest.approx([0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    assert rates("cosine", 0)[5] == pytest.approx(0.5)


def test_flops_by_hand():
    parts = {"encoder_parameters": 100, "head_parameters": 10}
    # 3 tokens: 3 (600 + 12 * 2 * 4 * 3) + 60; 5 tokens: 5 (600 + 12 * 2 * 4 * 5) + 60.
    assert sequence_flops(np.array([3, 5]), parts, 2, 4) == 3 * (600 + 288) + 60 + 5 * (600 + 480) + 60


SHAPE = ("--layers", 1, "--hidden", 8, "--heads", 2, "--epochs", 1, "--batch-size", 16, "--output-dim", 8)


def train(shared, folder, *more, check=True):
    """One short run on the small study's collection."""
    places = (
        "--collection",
        shared,
        "--tokens",
        shared / "tokens/wordpiece",
        "--mined",
        shared / "lsa/negatives/0.parquet",
    )
    sizes = ("--train-queries", 128, "--query-length", 16, "--passage-length", 24, "--learning-rate", 1e-3)
    folders = ("--scratch", folder / "scratch", "--output", folder / "run")
    return stage("train", "--model", "m", *places, *SHAPE, *sizes, *folders, *more, check=check)


@pytest.mark.parametrize("objective", ["mined", "mined+in_batch", "random"])
def test_two_runs_give_the_same_bytes(shared, tmp_path, objective):
    runs = []
    for name in ("a", "b"):
        train(shared, tmp_path / name, "--negatives", objective, "--snapshots", 2)
        run = tmp_path / name / "run"
        runs.append({f.name: f.read_bytes() for f in run.iterdir() if f.name != "times.parquet"})
    assert runs[0] == runs[1]
    assert set(runs[0]) == {"2.safetensors", "final.safetensors", "checkpoints.parquet", "training.parquet"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--train-queries", 10**6), "training.train_queries: a subset of 1000000"),
        (("--train-queries", 8), "training.batch_size: 16 is more than the subset's 8"),
        (("--snapshots", 8), "training.snapshots.steps: step 8 is not before the end"),
        (("--learning-rate", 1e30), "try a lower training.learning_rate"),
        (("--checkpoint", "./nowhere"), "checkpoint ./nowhere: there is no such folder"),
        (("--negatives-per-query", 51), "training.negatives_per_query: 51 asked for"),
        (("--device", "cuda"), "machine.device: cuda was asked for, but torch sees no GPU"),
        (("--output", "/dev/null/x"), "Not a directory"),
    ],
)
def test_what_cannot_be_trained_ends_in_one_line(shared, tmp_path, more, said):
    if "cuda" in more and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = train(shared, tmp_path, *more, check=False)
    assert done.returncode == 1
    assert said in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "run").exists()


def test_a_pretrained_folder_can_be_trained(shared, tmp_path):
    from transformers import BertConfig, BertModel

    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=2000, max_position_embeddings=64, **shape)).save_pretrained(tmp_path / "bert")
    train(shared, tmp_path, "--checkpoint", tmp_path / "bert")
    row = tables.read("checkpoints", tmp_path / "run/checkpoints.parquet").to_pylist()[0]
    # Unlike the usual shape its inner layer is 2 H wide: 4H^2 + 4H, 2 x 2 H^2 + 3 H, two norms of 2 H.
    assert row["encoder_parameters"] == 8 * 16**2 + 11 * 16
    assert (row["step"], row["epoch"]) == (8, 1.0)
