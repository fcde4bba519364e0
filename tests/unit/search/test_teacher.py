"""A teacher's scores: the miner's, a model's and a file's, against what they must be."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rankscale.core.errors import StudyError
from rankscale.core.interrupts import Stop
from rankscale.models import devices, encoding
from rankscale.models.checkpoints import load_checkpoint
from rankscale.search import vector_shards
from rankscale.stages import teach
from rankscale.storage import tables
from rankscale.text.token_store import TokenStore
from tests.unit.training.small_collection import WIDTH, N, trainer, write_collection


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return write_collection(tmp_path_factory.mktemp("collection"))


def taught(collection, output, *more):
    """What the stage teach writes: scores by query and row, and the manifest."""
    arguments = ("--collection", collection, *more, "--device", "cpu", "--manifest", output / "t.json")
    teach.main(teach.arguments().parse_args(list(map(str, (*arguments, "--output", output / "t.parquet")))))
    rows = tables.read("teacher", output / "t.parquet").to_pylist()
    table = {row["query_id"]: dict(zip(row["rows"], row["scores"], strict=True)) for row in rows}
    return table, json.loads((output / "t.json").read_text())


def mined(collection):
    return ("--mined", collection / "lsa/negatives.parquet")


def test_the_miner_scores_positives_as_it_scores_its_lists(collection, tmp_path):
    shards = ("--documents", collection / "lsa/documents.parquet", "--queries", collection / "lsa/queries.parquet")
    table, manifest = taught(collection, tmp_path, *mined(collection), *shards)
    _, queries = vector_shards.read_shard(collection / "lsa/queries.parquet")
    _, documents = vector_shards.read_shard(collection / "lsa/documents.parquet")
    assert len(table) == N
    for number in range(N):
        own = table[f"q{number}"]
        assert len(own) == WIDTH + (2 if number % 2 == 0 else 1)
        for row, score in own.items():
            assert score == pytest.approx(float(queries[number] @ documents[row]), rel=1e-5)
    assert (manifest["queries"], manifest["pairs"], manifest["flops"]) == (N, N * WIDTH + N * 3 // 2, 0)


def test_a_checkpoint_scores_the_same_pairs_by_its_vectors(collection, tmp_path):
    run = trainer(collection, tmp_path, "--steps", 3)
    run.train(Stop())
    run.publish()
    path = tmp_path / "run/final.safetensors"
    options = ("--teacher", "checkpoint", "--scores", path, "--tokens", collection / "tokens")
    table, manifest = taught(collection, tmp_path, *options, *mined(collection))
    model, facts = load_checkpoint(path)
    vectors = {}
    for unit in ("queries", "documents"):
        store = TokenStore.read(
            collection / "tokens", unit, facts["query_length" if unit == "queries" else "passage_length"]
        )
        vectors[unit] = encoding.encode(model, store, np.arange(len(store)), devices.set_up_device("cpu", 1), "encode")
    for number in range(N):
        for row, score in table[f"q{number}"].items():
            assert score == pytest.approx(float(vectors["queries"][number] @ vectors["documents"][row]), abs=1e-5)
    assert manifest["flops"] > 0


def lines_of(collection, form):
    """A file of scores i + j / 100 of query i with document j in one of the forms, and its name."""
    pairs = [(number, row) for number in range(N) for row in (number, 70)]
    rows = [(f"q{i}", f"d{j}", i + j / 100) for i, j in pairs] + [("unknown", "d1", 5.0)]
    if form == "scores.parquet":
        columns = dict(zip(("query_id", "doc_id", "score"), map(list, zip(*rows, strict=True)), strict=True))
        pq.write_table(pa.table(columns), collection / form)
    elif form == "scores.tsv":
        (collection / form).write_text("".join(f"{q}\t{d}\t{s}\n" for q, d, s in rows))
    else:
        (collection / form).write_text("".join(f"{q} Q0 {d} 1 {s} tag\n" for q, d, s in rows))
    return collection / form


@pytest.mark.parametrize("form", ["scores.parquet", "scores.tsv", "run.trec"])
def test_a_file_is_read_in_each_of_its_forms(collection, tmp_path, form):
    table, _ = taught(collection, tmp_path, "--teacher", "file", "--scores", lines_of(collection, form))
    assert table["q3"] == pytest.approx({3: 3.03, 70: 3.7})
    assert len(table) == N


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("q4\t", "x\t"), "no scores of training query q4$"),
        (lambda text: "q1\td1\tnan\n" + text, r"scores\.tsv:1: the score is not a finite number"),
        (lambda text: text + "q1\td1\t2.0\n", "query q1 has document d1 twice"),
        (lambda text: text + "q1\td999\t2.0\n", "document d999 is none of the collection's"),
        (lambda text: text + "q1\td2\n", r"scores\.tsv:66: 'q1\\td2' is neither query, document, score nor a line"),
        (lambda text: "", "holds no scores"),
    ],
)
def test_a_file_that_cannot_teach_is_refused_by_name(collection, tmp_path, change, message):
    text = lines_of(collection, "scores.tsv").read_text()
    (tmp_path / "scores.tsv").write_text(change(text))
    with pytest.raises(StudyError, match=message):
        taught(collection, tmp_path, "--teacher", "file", "--scores", tmp_path / "scores.tsv")


def test_scores_that_are_no_numbers_and_columns_that_lack_are_refused(collection, tmp_path):
    table = pq.read_table(lines_of(collection, "scores.parquet")).to_pydict()
    pq.write_table(pa.table({**table, "score": [float("nan")] * len(table["score"])}), tmp_path / "s.parquet")
    with pytest.raises(StudyError, match="the score of query q0 is not a finite number"):
        taught(collection, tmp_path, "--teacher", "file", "--scores", tmp_path / "s.parquet")
    pq.write_table(pa.table({"query_id": ["q0"], "score": [1.0]}), tmp_path / "s.parquet")
    with pytest.raises(StudyError, match="has no column doc_id"):
        taught(collection, tmp_path, "--teacher", "file", "--scores", tmp_path / "s.parquet")
