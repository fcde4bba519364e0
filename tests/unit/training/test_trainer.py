"""Examples, objective and schedule: by hand, by definition, and run twice."""

import shutil
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from rankscale.core.errors import StudyError
from rankscale.models.model_size import training_flops
from rankscale.models.pretrained import load_pretrained
from rankscale.storage import schemas, tables
from rankscale.training.divergence import first_divergent_step
from rankscale.training.losses import contrastive_loss
from rankscale.training.sampler import ExampleSampler, subset
from rankscale.training.schedules import learning_rate
from tests.conftest import ROOT, run, stage

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
    return ExampleSampler(collection, negatives, split, size, "nested", objective, per_query, seed)


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
    assert contrastive_loss(q, d, None, 0.5).item() == pytest.approx(halved, abs=1e-6)


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
        return [learning_rate(1.0, schedule, warmup, step, 10) for step in range(1, 11)]

    assert rates("constant", 0) == [1.0] * 10
    assert rates("linear", 0.2) == pytest.approx([0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    assert rates("cosine", 0)[5] == pytest.approx(0.5)


def test_flops_by_hand():
    parts = {"encoder_parameters": 100, "head_parameters": 10}
    # 3 tokens: 3 (600 + 12 * 2 * 4 * 3) + 60; 5 tokens: 5 (600 + 12 * 2 * 4 * 5) + 60.
    assert training_flops(np.array([3, 5]), parts, 2, 4) == 3 * (600 + 288) + 60 + 5 * (600 + 480) + 60


SHAPE = ("--layers", 1, "--hidden", 8, "--heads", 2)


def command(shared, folder, *more):
    """The arguments of one short run on the small study's collection."""
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
    shape = () if "--checkpoint" in more else SHAPE
    recipe = ("--epochs", 1, "--batch-size", 16, "--output-dim", 8)
    return list(map(str, ("--model", "m", *places, *shape, *recipe, *sizes, *folders, *more)))


def train(shared, folder, *more, check=True):
    return stage("train", *command(shared, folder, *more), check=check)


def published(folder):
    """The bytes of all that a run published, but for its times."""
    return {f.name: f.read_bytes() for f in (folder / "run").iterdir() if f.name != "times.parquet"}


def losses(folder):
    return np.array(tables.read("training", folder / "run/training.parquet")["loss"].to_pylist())


@pytest.mark.parametrize("objective", ["mined", "mined+in_batch", "random"])
def test_two_runs_give_the_same_bytes(shared, tmp_path, objective):
    for name in ("a", "b"):
        train(shared, tmp_path / name, "--negatives", objective, "--snapshots", 2)
    one = published(tmp_path / "a")
    assert one == published(tmp_path / "b")
    assert set(one) == {"2.safetensors", "final.safetensors", "checkpoints.parquet", "training.parquet"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--train-queries", 10**6), "training.train_queries: a subset of 1000000"),
        (("--train-queries", 8), "training.batch_size: 16 is more than the subset's 8"),
        (("--snapshots", 8), "training.snapshots.steps: step 8 is not before the end"),
        (("--learning-rate", 0), "argument --learning-rate: 0 is not above 0 and at most"),
        (("--learning-rate", -1e-3), "argument --learning-rate: -0.001 is not above 0 and at most"),
        (("--checkpoint", "./nowhere"), "checkpoint ./nowhere: there is no such folder"),
        (("--negatives-per-query", 51), "training.negatives_per_query: 51 asked for"),
        (("--device", "cuda"), "machine.device: cuda was asked for, but torch sees no GPU"),
        (("--output", "/dev/null/x"), "Not a directory"),
        (("--heads", 3), "--heads: 3 heads do not divide hidden 8"),
        (("--checkpoint", "./nowhere", "--layers", 2), "--checkpoint: has a shape of its own"),
        (("--mined",), "--mined: training.negatives takes mined negatives, and no table"),
        (("--train-queries", -5), "argument --train-queries: -5 is not at least 1"),
        (("--warmup", 1.5), "argument --warmup: 1.5 is not at least 0 and at most 1"),
        (("--warmup", "nan"), "argument --warmup: nan is not at least 0"),
        (("--divergence", 0.5), "argument --divergence: 0.5 is not above 1"),
        (("--weight-decay", -1), "argument --weight-decay: -1 is not at least 0"),
        (("--seed", 2**63), "argument --seed: 9223372036854775808 is not at least 0 and at most"),
        (("--threads", 0), "argument --threads: 0 is not at least 1"),
        (("--log", "/proc/nothing/x"), "--log: /proc/nothing/x cannot be written"),
        (("--output-dim", 2**31 - 1), "the model does not fit in memory"),
    ],
)
def test_what_cannot_be_trained_ends_in_one_line(shared, tmp_path, more, said):
    if "cuda" in more and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = train(shared, tmp_path, *more, check=False)
    assert done.returncode == (2 if "argument" in said or "--log" in said else 1)
    assert said in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout
    assert not [path for path in (tmp_path / "run").glob("*")]


def test_a_pretrained_folder_can_be_trained(shared, tmp_path):
    from transformers import BertConfig, BertModel

    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=2000, max_position_embeddings=64, **shape)).save_pretrained(tmp_path / "bert")
    train(shared, tmp_path, "--checkpoint", tmp_path / "bert")
    row = tables.read("checkpoints", tmp_path / "run/checkpoints.parquet").to_pylist()[0]
    # Unlike the usual shape its inner layer is 2 H wide: 4H^2 + 4H, 2 x 2 H^2 + 3 H, two norms of 2 H.
    assert row["encoder_parameters"] == 8 * 16**2 + 11 * 16
    assert (row["step"], row["epoch"]) == (8, 1.0)


def test_a_loss_that_is_no_number_or_far_above_its_start_is_a_divergence():
    flat = [1.0] * 30
    assert first_divergent_step(flat, flat, 0.5, 5, 0) is None
    assert first_divergent_step([1.0, float("nan")], [1.0, 1.0], 0.5, 5, 0) == 2
    assert first_divergent_step([1.0, 1.0], [1.0, float("inf")], 0.5, 5, 0) == 2
    # Ten ones, then forties: the mean of the last ten is 1 + 3.9 k after k of them, over 5 from the second on.
    assert first_divergent_step([1.0] * 10 + [40.0] * 3, flat, 0.5, 5, 0) == 12
    assert (
        first_divergent_step([1.0] * 10 + [40.0] * 3, flat, 2.0, 5, 0) == 13
    )  # against chance, 2 nats, it takes three
    assert first_divergent_step([1.0] * 10 + [40.0] * 3, flat, 0.5, 5, 12) == 13


def test_a_run_that_diverges_is_published_as_such(shared, tmp_path):
    done = train(shared, tmp_path, "--learning-rate", 1e30, "--snapshots", 2, 5)
    assert "diverged at step 2 of 8" in done.stdout
    assert "try a lower training.learning_rate" in done.stdout
    (row,) = tables.read("checkpoints", tmp_path / "run/checkpoints.parquet").to_pylist()
    assert (row["checkpoint"], row["step"], row["status"]) == ("final", 1, "diverged")
    assert {"2.safetensors", "5.safetensors", "final.safetensors"} < set(published(tmp_path))
    assert len(losses(tmp_path)) == 1
    # What comes after it works on, and finds nothing.
    places = (
        "--candidates",
        shared.parents[1] / "demo/candidates/docstrings.parquet",
        "--tokens",
        shared / "tokens/wordpiece",
    )
    for name in ("final", "5"):
        outputs = ("--observations", tmp_path / "o.parquet", "--run", tmp_path / "r.parquet")
        done = stage("retrieve", "--checkpoint", tmp_path / f"run/{name}.safetensors", *places, *outputs)
        assert "diverged after step 1, nothing to evaluate" in done.stdout
        judged = ("--run", tmp_path / "r.parquet", "--qrels", shared / "qrels.parquet")
        stage("score", "--observations", tmp_path / "o.parquet", *judged, "--output", tmp_path / "s.parquet")
        assert tables.count(tmp_path / "s.parquet") == 0


@pytest.mark.parametrize("objective", ["mined", "mined+in_batch"])
def test_parts_and_processes_change_nothing_but_rounding(shared, tmp_path, objective):
    recipe = ("--negatives", objective, "--negatives-per-query", 3, "--clip", 1, "--learning-rate", 3e-3)
    train(shared, tmp_path / "whole", *recipe)
    train(shared, tmp_path / "parts", *recipe, "--micro-batch", 5)
    two = ["torchrun", "--standalone", "--nproc-per-node", "2", "-m", "rankscale", "train"]
    run([*two, *command(shared, tmp_path / "two_parts", *recipe, "--micro-batch", 3)], ROOT)
    expected = losses(tmp_path / "whole")
    assert np.ptp(expected) > 0.01
    for name in ("parts", "two_parts"):
        assert np.allclose(losses(tmp_path / name), expected, atol=2e-6)
        told = tables.read("training", tmp_path / name / "run/training.parquet")
        assert told["tokens"].equals(tables.read("training", tmp_path / "whole/run/training.parquet")["tokens"])


def test_a_batch_that_does_not_divide_among_the_processes_is_refused(shared, tmp_path):
    three = ["torchrun", "--standalone", "--nproc-per-node", "3", "-m", "rankscale", "train"]
    done = run([*three, *command(shared, tmp_path)], ROOT, check=False)
    assert done.returncode != 0
    assert "training.batch_size: 16 queries do not divide among 3 processes" in done.stdout


def test_gradient_checkpointing_gives_the_same_bytes(shared, tmp_path):
    for name, more in (("a", ()), ("b", ("--gradient-checkpointing",))):
        train(shared, tmp_path / name, *more)
    assert published(tmp_path / "a") == published(tmp_path / "b")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_sixteen_bits_train_nearly_the_same(shared, tmp_path, precision):
    for name, bits in (("full", "fp32"), ("half", precision)):
        train(shared, tmp_path / name, "--precision", bits)
    full, half = losses(tmp_path / "full"), losses(tmp_path / "half")
    assert np.allclose(half, full, rtol=0.02)
    assert not np.array_equal(half, full)


def test_memory_that_runs_out_is_said_with_what_to_lower(shared, tmp_path):
    wide = ("--layers", 1, "--hidden", 512, "--heads", 2, "--batch-size", 128, "--passage-length", 128)
    given = command(shared, tmp_path, *wide, "--negatives-per-query", 40)
    limited = ["bash", "-c", 'ulimit -v 3000000; exec "$@"', "-", sys.executable, "-m", "rankscale", "train", *given]
    done = run(limited, ROOT, check=False)
    assert done.returncode == 1
    assert "set training.micro_batch to 64 (a part is 128 queries now" in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout


def copied(shared, folder, **changed):
    """The collection with other columns in some of its tables."""
    shutil.copytree(shared, folder, ignore=shutil.ignore_patterns("*.tsv", "logs", "benchmarks"))
    for name, change in changed.items():
        path = folder / {"negatives": "lsa/negatives/0", "tokens": "tokens/wordpiece/documents"}.get(name, name)
        path = path.with_suffix(".parquet")
        rows = tables.read(name, path).to_pylist()
        change(rows)
        kept = schemas.SCHEMAS[name]
        pq.write_table(pa.Table.from_pylist(rows, schema=kept), path, write_page_checksum=True)
    return folder


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("negatives", lambda rows: [row["rows"].__setitem__(0, -1) for row in rows], "names rows -1 to"),
        ("negatives", lambda rows: [row["rows"].__setitem__(0, 10**6) for row in rows], "to 1000000 of 3000 documents"),
        ("qrels", lambda rows: rows[0].update(row=3000), "to 3000 of 3000 documents"),
        ("tokens", lambda rows: rows.reverse(), "its ids are not those of the token ids"),
        ("tokens", lambda rows: rows.pop(), "its ids are not those of the token ids"),
        ("tokens", lambda rows: rows[0]["ids"].append(5000), "outside of the vocabulary of 2000"),
    ],
)
def test_tables_that_do_not_belong_together_are_refused(shared, tmp_path, name, change, said):
    done = train(copied(shared, tmp_path / "other", **{name: change}), tmp_path, check=False)
    assert done.returncode == 1
    assert said in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    "content", ['{"before": null}', '{"before": [9000], "after": [3], "pad": 0, "vocabulary": 2000}', "", "[]"]
)
def test_special_tokens_that_cannot_be_are_refused(shared, tmp_path, content):
    (copied(shared, tmp_path / "other") / "tokens/wordpiece/special.json").write_text(content)
    done = train(tmp_path / "other", tmp_path, check=False)
    assert done.returncode == 1
    assert "special.json: cannot be read" in done.stdout.splitlines()[-1]


def test_scratch_and_output_lie_apart_and_nothing_else_is_deleted(shared, tmp_path):
    (tmp_path / "scratch/mine").mkdir(parents=True)
    (tmp_path / "scratch/mine/thesis.tex").write_text("do not delete")
    for output in (tmp_path / "scratch", tmp_path / "scratch/run", tmp_path):
        done = train(shared, tmp_path, "--output", output, check=False)
        assert "must lie apart" in done.stdout.splitlines()[-1]
    train(shared, tmp_path)
    assert [p.name for p in (tmp_path / "scratch").rglob("*")] == ["mine", "thesis.tex"]
    assert (tmp_path / "run/final.safetensors").stat().st_mode & 0o044  # others may read it


def test_dropout_of_any_name_is_off(tmp_path):
    from transformers import GPT2Config, GPT2Model

    GPT2Model(GPT2Config(vocab_size=100, n_positions=32, n_embd=16, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    encoder = load_pretrained(str(tmp_path)).train()
    assert all(module.p == 0 for module in encoder.modules() if isinstance(module, torch.nn.Dropout))


def test_weights_that_are_not_finite_are_refused(tmp_path):
    from transformers import BertConfig, BertModel

    made = BertModel(BertConfig(vocab_size=50, **{k: 8 for k in ("hidden_size", "num_attention_heads")}))
    made.encoder.layer[0].output.dense.bias.data[0] = float("nan")
    made.save_pretrained(tmp_path)
    with pytest.raises(StudyError, match=r"its weights .*bias are not finite"):
        load_pretrained(str(tmp_path))
