"""Models that others trained as teachers, from small folders of random weights, against transformers pair by pair."""

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel

from rankscale.core.errors import StudyError
from rankscale.core.interrupts import Stop
from rankscale.stages import teach
from rankscale.storage import tables
from rankscale.text.tokenizers import train_wordpiece
from tests.unit.training.small_collection import DOCUMENTS, WIDTH, N, log_of, trainer, write_collection

WORDS = np.array(["few", "plain", "words", "each", "text", "of", "this", "takes", "at", "random", "again"])
SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def texts_of(n, most, seed):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(1, most))) for _ in range(n)]


QUERIES, PASSAGES = texts_of(N, 6, 1), texts_of(DOCUMENTS, 30, 2)


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = write_collection(tmp_path_factory.mktemp("collection"))
    ids, docs = [f"q{i}" for i in range(N)], [f"d{i}" for i in range(DOCUMENTS)]
    tables.write("documents", {"doc_id": docs, "title": "", "text": PASSAGES}, folder / "documents.parquet")
    tables.write("queries", {"query_id": ids, "text": QUERIES}, folder / "queries.parquet")
    return folder


def save_model(folder, kind, **more):
    """A BERT of random weights with its tokenizer."""
    torch.manual_seed(0)
    train_wordpiece([*QUERIES, *PASSAGES], 60, folder)
    config = BertConfig(vocab_size=len(AutoTokenizer.from_pretrained(folder)), **SIZE, **more)
    # Wide, so that the scores of two pairs differ.
    config.initializer_range = 0.5
    kind(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("cross"), BertForSequenceClassification, num_labels=1)


@pytest.fixture(scope="module")
def bi_encoder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("bi"), BertModel)


def taught(collection, output, *more, name="t"):
    """Scores by query and row that the stage teach writes, and its manifest."""
    paths = ("--collection", collection, "--mined", collection / "lsa/negatives.parquet")
    files = ("--manifest", output / f"{name}.json", "--output", output / f"{name}.parquet")
    arguments = (*paths, *more, "--device", "cpu", "--precision", "fp32", *files)
    teach.main(teach.arguments().parse_args(list(map(str, arguments))))
    rows = tables.read("teacher", output / f"{name}.parquet").to_pylist()
    table = {row["query_id"]: dict(zip(row["rows"], row["scores"], strict=True)) for row in rows}
    return table, json.loads((output / f"{name}.json").read_text())


def test_a_cross_encoder_gives_the_logit_of_each_pair(collection, cross_encoder, tmp_path):
    lengths = ("--query-length", 8, "--passage-length", 12)  # shorter than many pairs
    table, manifest = taught(collection, tmp_path, "--teacher", "cross_encoder", "--encoder", cross_encoder, *lengths)
    tokenizer = AutoTokenizer.from_pretrained(cross_encoder)
    model = BertForSequenceClassification.from_pretrained(cross_encoder).eval()
    assert len(table) == N
    # Two FLOPs a weight and token, the embeddings aside, and those of attention: 4 a layer, width and pair of tokens.
    weights = sum(p.numel() for n, p in model.named_parameters() if "embeddings" not in n)
    spread, flops = [], 0
    for number in range(N):
        assert len(table[f"q{number}"]) == WIDTH + (2 if number % 2 == 0 else 1)
        for row, score in table[f"q{number}"].items():
            cut = {"truncation": True, "max_length": 20, "return_tensors": "pt"}
            pair = tokenizer(QUERIES[number], PASSAGES[row], **cut)
            tokens = pair["input_ids"].shape[1]
            flops += tokens * (2 * weights + 4 * 2 * 16 * tokens)
            with torch.no_grad():
                assert score == pytest.approx(model(**pair).logits.item(), abs=1e-5)
            spread.append(score)
    assert np.std(spread) > 0.1
    assert manifest["flops"] == pytest.approx(flops)
    weight_file = cross_encoder / "model.safetensors"
    assert manifest["teacher_files"]["model.safetensors"] == hashlib.sha256(weight_file.read_bytes()).hexdigest()


def test_a_bi_encoder_gives_cosines_of_means_of_states(collection, bi_encoder, tmp_path):
    prefixes = ("--query-prefix", "which ", "--passage-prefix", "words ")
    table, manifest = taught(collection, tmp_path, "--teacher", "bi_encoder", "--encoder", bi_encoder, *prefixes)
    tokenizer, model = AutoTokenizer.from_pretrained(bi_encoder), BertModel.from_pretrained(bi_encoder).eval()

    def vector(text):
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        return mean / mean.norm()

    for number in (0, 7, N - 1):
        for row, score in table[f"q{number}"].items():
            expected = vector("which " + QUERIES[number]) @ vector("words " + PASSAGES[row])
            assert score == pytest.approx(expected.item(), abs=1e-5)
    assert manifest["flops"] > 0


def test_shards_together_say_what_one_says(collection, cross_encoder, tmp_path):
    options = ("--teacher", "cross_encoder", "--encoder", cross_encoder, "--top-k", 3)
    whole, _ = taught(collection, tmp_path, *options)
    parts, paths = {}, []
    for shard in range(3):
        table, manifest = taught(collection, tmp_path, *options, "--shards", 3, "--shard", shard, name=f"part{shard}")
        assert manifest["queries"] == len(table)
        assert not parts.keys() & table.keys()
        parts |= table
        paths.append(tmp_path / f"part{shard}.parquet")
    assert parts.keys() == whole.keys()
    mined = tables.read("negatives", collection / "lsa/negatives.parquet").to_pylist()
    for number, row in enumerate(mined):
        own = whole[f"q{number}"]
        assert parts[f"q{number}"] == pytest.approx(own, abs=1e-5)
        assert set(own) == {number, *([40 + number] if number % 2 == 0 else []), *row["rows"][:3]}
    # A loss reads them all, and draws scored negatives alone.
    more = ("--objective", "kl", "--negatives", "mined", "--negatives-per-query", 2, "--teacher-scores", *paths)
    run = trainer(collection, tmp_path, *more)
    run.train(Stop())
    run.publish()
    assert np.isfinite(log_of(tmp_path)).all()


def broken(folder, source, change):
    """A copy of a model's folder with other weights or another config."""
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    change(folder)
    return folder


def not_finite(folder):
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"][:] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_a_model_that_is_no_cross_encoder_is_refused_by_name(collection, cross_encoder, bi_encoder, tmp_path):
    two = save_model(tmp_path / "two", BertForSequenceClassification, num_labels=2)
    (tmp_path / "nan").mkdir()
    for folder, message in (
        (two, "gives 2 logits a pair, one is needed"),
        (bi_encoder, "is no cross-encoder: it has no weights classifier"),
        (broken(tmp_path / "nan", cross_encoder, not_finite), "its weights classifier.bias are not finite"),
        (tmp_path, "cannot be loaded"),
    ):
        with pytest.raises(StudyError, match=message) as error:
            taught(collection, tmp_path, "--teacher", "cross_encoder", "--encoder", folder)
        assert str(folder) in str(error.value)
        assert "\n" not in str(error.value)


def test_more_shards_than_queries_are_refused(collection, cross_encoder, tmp_path):
    options = ("--teacher", "cross_encoder", "--encoder", cross_encoder, "--shards", N + 1, "--shard", 0)
    with pytest.raises(StudyError, match=r"training\.teacher\.shards: 33 are more than there are training queries"):
        taught(collection, tmp_path, *options)
