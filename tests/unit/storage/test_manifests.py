"""A shared file exchanged for another, or harmed, is refused by the stage that reads it first, whatever its date."""

import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pytest

from rankscale.core.errors import StudyError
from rankscale.evaluation.candidates import sample_candidates
from rankscale.evaluation.options import SampleOptions
from rankscale.search.encoders import shard_rows
from rankscale.stages import collect, encode, mine, score, teach, tokenize
from rankscale.storage import manifests, tables
from rankscale.text.token_store import TokenStore
from rankscale.training.supervision.scored_pairs import ScoredPairs
from rankscale.training.training_data import load_training_data

WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
NUMBER = 12


def call(stage, *arguments):
    stage.main(stage.arguments().parse_args(list(map(str, arguments))))


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """A collection of twelve documents with its token ids and mined negatives, by the stages."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("shared") / "c"
    random = np.random.default_rng(3)
    texts = [" ".join(random.choice(WORDS, 8)) for _ in range(NUMBER)]
    (source / "corpus.tsv").write_text("".join(f"d{i}\t{text}\n" for i, text in enumerate(texts)))
    for split, rows in (("train", range(8)), ("test", range(8, NUMBER))):
        (source / f"{split}.tsv").write_text("".join(f"q{i}\t{texts[i][:20]}\n" for i in rows))
        (source / f"{split}.qrels").write_text("".join(f"q{i}\t0\td{i}\t1\n" for i in rows))
    ends = {"queries": "tsv", "qrels": "qrels"}
    splits = {kind: {s: str(source / f"{s}.{end}") for s in ("train", "test")} for kind, end in ends.items()}
    files = json.dumps({"corpus": str(source / "corpus.tsv"), **splits})
    call(collect, "--source", "tsv", "--files", files, "--output", folder)
    call(tokenize, "--collection", folder, "--vocabulary", 100, "--split", "train", "--output", folder / "tokens/w")
    vectors = {unit: folder / f"lsa/{unit}/0.parquet" for unit in ("documents", "queries")}
    outputs = [word for unit, path in vectors.items() for word in (f"--{unit}", path)]
    call(encode, "--collection", folder, "--shard", 0, "--shards", 1, *outputs)
    negatives = folder / "lsa/negatives/0"
    results = ("--manifest", f"{negatives}.json", "--output", f"{negatives}.parquet")
    call(mine, "--collection", folder, *outputs, "--top-k", 3, "--device", "cpu", *results)
    teach_to(folder, "teachers/miner")
    return folder


def teach_to(folder, name):
    inputs = ("--mined", folder / "lsa/negatives/0.parquet", "--documents", folder / "lsa/documents/0.parquet")
    results = ("--manifest", folder / f"{name}.json", "--output", folder / f"{name}.parquet")
    options = ("--teacher", "miner", "--split", "train", "--queries", folder / "lsa/queries/0.parquet")
    call(teach, "--collection", folder, *inputs, *options, *results)


@pytest.fixture
def shared(collection, tmp_path):
    return shutil.copytree(collection, tmp_path / "c")


def exchange(name, path, harm):
    """Other rows under the same ids, and an older time."""
    rows = tables.read(name, path).to_pydict()
    harm(rows)
    tables.write(name, rows, path)
    os.utime(path, (1, 1))


def other_texts(rows):
    rows["text"] = rows["text"][::-1]


def add_copies(rows):
    rows.update(row=[0, 1], first=[0, 0])


def add_own_document(rows):
    rows.update(query_id=["q0"], row=[1])


def trained(folder):
    return load_training_data(folder, [folder / "lsa/negatives/0.parquet"], "train", None, "nested", 1, 1)


def sampled(folder):
    options = SampleOptions(hard=2, splits=["test"], train_split="train")
    return sample_candidates(folder, [folder / "lsa/negatives/0.parquet"], options, pooled=False)


def tokenized(folder):
    call(tokenize, "--collection", folder, "--vocabulary", 100, "--split", "train", "--output", folder / "tokens/x")


def encoded(folder):
    outputs = ("--documents", folder / "x/documents/0.parquet", "--queries", folder / "x/queries/0.parquet")
    call(encode, "--collection", folder, "--shard", 0, "--shards", 1, *outputs)


def mined(folder):
    vectors = ("--documents", folder / "lsa/documents/0.parquet", "--queries", folder / "lsa/queries/0.parquet")
    results = ("--manifest", folder / "x.json", "--output", folder / "x.parquet")
    call(mine, "--collection", folder, *vectors, "--top-k", 3, "--device", "cpu", *results)


def taught(folder):
    teach_to(folder, "x")


def read_scores(folder):
    return ScoredPairs.read([folder / "teachers/miner.parquet"], pa.array(["q0", "q1"]), NUMBER)


def read_tokens(folder):
    return TokenStore.read(folder / "tokens/w", "documents", 16)


@pytest.mark.parametrize("reader", [tokenized, encoded, mined, taught, read_scores, sampled, trained, read_tokens])
def test_whole_files_are_read(shared, reader):
    reader(shared)
    assert shard_rows(shared, "documents", 0, 1) == (0, NUMBER)


@pytest.mark.parametrize(
    ("name", "file", "harm", "readers"),
    [
        ("documents", "documents.parquet", other_texts, [tokenized, encoded, sampled]),
        ("queries", "queries.parquet", other_texts, [tokenized, encoded, mined, taught, sampled, trained]),
        ("qrels", "qrels.parquet", lambda rows: rows["grade"].__setitem__(0, 2), [tokenized, mined, sampled, trained]),
        ("negatives", "lsa/negatives/0.parquet", lambda rows: rows["rows"][0].reverse(), [sampled, taught, trained]),
        ("copies", "copies.parquet", add_copies, [mined, sampled]),
        ("own_documents", "own_documents.parquet", add_own_document, [mined]),
        ("teacher", "teachers/miner.parquet", lambda rows: rows["scores"][0].reverse(), [read_scores]),
        ("tokens", "tokens/w/documents.parquet", lambda rows: rows["ids"].reverse(), [read_tokens]),
    ],
)
def test_another_file_of_the_same_ids_is_refused_by_who_reads_it(shared, name, file, harm, readers):
    exchange(name, shared / file, harm)
    message = rf"{file}: is not the file that .*\.json speaks of.*delete it and run again"
    for reader in readers:
        with pytest.raises(StudyError, match=message):
            reader(shared)


def test_other_special_tokens_are_refused(shared):
    path = shared / "tokens/w/special.json"
    special = json.loads(path.read_text())
    path.write_text(json.dumps({**special, "before": [special["before"][0] + 1]}))
    with pytest.raises(StudyError, match=r"special\.json: is not the file"):
        read_tokens(shared)


def test_other_judgments_are_not_measured_by(shared, tmp_path):
    keys = {"collection": "c", "variant": "base", "model": "m", "train_queries": 8, "seed": 1, "step": 1}
    keys["split"] = "test"
    queries = [f"q{i}" for i in range(8, NUMBER)]
    run = {"query_id": queries, "doc_id": [f"d{i}" for i in range(8, NUMBER)], "score": 1.0, "rank": 1}
    tables.write("runs", {**keys, **run}, tmp_path / "run.parquet")
    observed = {
        **dict.fromkeys(("loss", "margin", "calibrated_loss", "auc_global"), 0.5),
        **dict.fromkeys(("inverse_temperature", "best_inverse_temperature"), 1.0),
        **dict.fromkeys(("best_inverse_temperature_low", "best_inverse_temperature_high")),
        **{"query_id": queries, "candidates": "random", "n_candidates": 3, "above": 0, "tied": 0, "at_cap": True},
    }
    tables.write("observations", {**keys, **observed}, tmp_path / "observations.parquet")
    inputs = ("--observations", tmp_path / "observations.parquet", "--run", tmp_path / "run.parquet")
    call(score, *inputs, "--qrels", shared / "qrels.parquet", "--output", tmp_path / "scores.parquet")
    exchange("qrels", shared / "qrels.parquet", lambda rows: rows["grade"].__setitem__(0, 2))
    with pytest.raises(StudyError, match=r"qrels\.parquet: is not the file"):
        call(score, *inputs, "--qrels", shared / "qrels.parquet", "--output", tmp_path / "scores.parquet")


def test_token_ids_of_another_collection_are_seen_by_the_sums_alone(shared):
    """Documents exchanged together with their manifest."""
    manifests.refuse_other_sources(shared / "tokens/w/manifest.json", shared)
    exchange("documents", shared / "documents.parquet", other_texts)
    path = shared / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] |= manifests.checksums([shared / "documents.parquet"])
    path.write_text(json.dumps(manifest))
    with pytest.raises(StudyError, match=r"tokens/w: was made from another documents\.parquet"):
        manifests.refuse_other_sources(shared / "tokens/w/manifest.json", shared)


@pytest.mark.parametrize("content", ["{", "[]", '{"files": {"qrels.parquet": 3}}', '{"files": 3}'])
def test_a_manifest_that_cannot_be_read_is_named(shared, content):
    (shared / "manifest.json").write_text(content)
    with pytest.raises(StudyError, match=r"manifest\.json: cannot be read"):
        trained(shared)
