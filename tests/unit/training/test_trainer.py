"""Training runs: their bytes, however they are divided, and what cannot be trained."""

import shutil
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from rankscale.core.errors import StudyError
from rankscale.models.pretrained import load_pretrained
from rankscale.storage import schemas, tables
from tests.conftest import ROOT, run, stage
from tests.unit.training.small_collection import log_of, run_arguments

SHAPE = ("--layers", 1, "--hidden", 8, "--heads", 2)


def command(shared, folder, *more):
    """The arguments of one short run on the small study's collection."""
    sizes = ("--train-queries", 128, "--query-length", 16, "--passage-length", 24, "--learning-rate", 1e-3)
    shape = () if "--checkpoint" in more else SHAPE
    recipe = ("--epochs", 1, "--batch-size", 16, "--output-dim", 8)
    lists = "lsa/negatives/0.parquet"
    return run_arguments(shared, "tokens/wordpiece", lists, folder, *shape, *recipe, *sizes, *more)


def train(shared, folder, *more, check=True):
    return stage("train", *command(shared, folder, *more), check=check)


def published(folder):
    """The bytes of all that a run published, but for its times."""
    return {f.name: f.read_bytes() for f in (folder / "run").iterdir() if f.name != "times.parquet"}


@pytest.mark.parametrize("objective", ["mined", "mined+in_batch", "random"])
def test_two_runs_give_the_same_bytes(shared, tmp_path, objective):
    for name in ("a", "b"):
        train(shared, tmp_path / name, "--negatives", objective, "--snapshots", 2)
    one = published(tmp_path / "a")
    assert one == published(tmp_path / "b")
    assert set(one) == {"2.safetensors", "final.safetensors", "checkpoints.parquet", "training.parquet"}


@pytest.mark.parametrize(
    ("more", "message"),
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
        (("--checkpoint", "./nowhere", "--hidden", 8), "--checkpoint: has a shape of its own"),
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
def test_what_cannot_be_trained_ends_in_one_line(shared, tmp_path, more, message):
    if "cuda" in more and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = train(shared, tmp_path, *more, check=False)
    assert done.returncode == (2 if "argument" in message or "--log" in message else 1)
    assert message in done.stdout.splitlines()[-1]
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


def test_a_run_that_diverges_is_published_as_such(shared, tmp_path):
    done = train(shared, tmp_path, "--learning-rate", 1e30, "--snapshots", 2, 5)
    assert "diverged at step 2 of 8" in done.stdout
    assert "try a lower training.learning_rate" in done.stdout
    (row,) = tables.read("checkpoints", tmp_path / "run/checkpoints.parquet").to_pylist()
    assert (row["checkpoint"], row["step"], row["status"]) == ("final", 1, "diverged")
    assert {"2.safetensors", "5.safetensors", "final.safetensors"} < set(published(tmp_path))
    assert len(log_of(tmp_path)) == 1
    # What comes after it works on, and finds nothing.
    inputs = (
        "--candidates",
        shared.parents[1] / "demo/candidates/docstrings.parquet",
        "--tokens",
        shared / "tokens/wordpiece",
    )
    for name in ("final", "5"):
        outputs = ("--observations", tmp_path / "o.parquet", "--run", tmp_path / "r.parquet")
        done = stage(
            "retrieve", "--checkpoint", tmp_path / f"run/{name}.safetensors", "--collection", "c", *inputs, *outputs
        )
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
    expected = log_of(tmp_path / "whole")
    assert np.ptp(expected) > 0.01
    for name in ("parts", "two_parts"):
        assert np.allclose(log_of(tmp_path / name), expected, atol=2e-6)
        training = tables.read("training", tmp_path / name / "run/training.parquet")
        assert training["tokens"].equals(tables.read("training", tmp_path / "whole/run/training.parquet")["tokens"])


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
    full, half = log_of(tmp_path / "full"), log_of(tmp_path / "half")
    assert np.allclose(half, full, rtol=0.02)
    assert not np.array_equal(half, full)


def test_memory_that_runs_out_is_said_with_what_to_lower(shared, tmp_path):
    wide = ("--layers", 1, "--hidden", 512, "--heads", 2, "--batch-size", 128, "--passage-length", 128)
    words = command(shared, tmp_path, *wide, "--negatives-per-query", 40)
    limited = ["bash", "-c", 'ulimit -v 3000000; exec "$@"', "-", sys.executable, "-m", "rankscale", "train", *words]
    done = run(limited, ROOT, check=False)
    assert done.returncode == 1
    assert "set training.micro_batch to 64 (a part is 128 queries now" in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout


def copied(shared, folder, **changed):
    """The collection with other columns in some of its tables, and no manifest that speaks of them as they were."""
    left_out = ("*.tsv", "logs", "benchmarks", "manifest.json", "0.json")
    shutil.copytree(shared, folder, ignore=shutil.ignore_patterns(*left_out))
    for name, change in changed.items():
        path = folder / {"negatives": "lsa/negatives/0", "tokens": "tokens/wordpiece/documents"}.get(name, name)
        path = path.with_suffix(".parquet")
        rows = tables.read(name, path).to_pylist()
        change(rows)
        kept = schemas.SCHEMAS[name]
        pq.write_table(pa.Table.from_pylist(rows, schema=kept), path, write_page_checksum=True)
    return folder


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("negatives", lambda rows: [row["rows"].__setitem__(0, -1) for row in rows], "names rows -1 to"),
        ("negatives", lambda rows: [row["rows"].__setitem__(0, 10**6) for row in rows], "to 1000000 of 3000 documents"),
        ("qrels", lambda rows: rows[0].update(row=3000), "to 3000 of 3000 documents"),
        ("tokens", lambda rows: rows.reverse(), "its ids are not those of the token ids"),
        ("tokens", lambda rows: rows.pop(), "its ids are not those of the token ids"),
        ("tokens", lambda rows: rows[0]["ids"].append(5000), "outside of the vocabulary of 2000"),
    ],
)
def test_tables_that_do_not_belong_together_are_refused(shared, tmp_path, name, change, message):
    done = train(copied(shared, tmp_path / "other", **{name: change}), tmp_path, check=False)
    assert done.returncode == 1
    assert message in done.stdout.splitlines()[-1]
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

    model = BertModel(BertConfig(vocab_size=50, **{k: 8 for k in ("hidden_size", "num_attention_heads")}))
    model.encoder.layer[0].output.dense.bias.data[0] = float("nan")
    model.save_pretrained(tmp_path)
    with pytest.raises(StudyError, match=r"its weights .*bias are not finite"):
        load_pretrained(str(tmp_path))
