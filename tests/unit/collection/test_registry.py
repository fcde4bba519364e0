"""The registry of sources: one entry is all that a new one needs."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rankscale.collection import readers, registry
from rankscale.collection.base import Source, SourceKind
from rankscale.core.errors import StudyError
from rankscale.stages import collect
from rankscale.storage import tables
from rankscale.study import config, grid
from tests.conftest import ROOT

EMBEDDED = yaml.safe_load((ROOT / "config.yaml").read_text())


def study_of(**collection):
    return {**copy.deepcopy(EMBEDDED), "collection": collection}


def read_words(options, folder):
    """One word a line; each is a document, and the query that it answers."""
    words = Path(options.path).read_text().split()
    split_of = ["train"] * (len(words) - options.test_queries) + ["test"] * options.test_queries
    judged = {split: [] for split in dict.fromkeys(split_of)}
    for word, split in zip(words, split_of, strict=True):
        judged[split].append(readers.Judgment(f"q{word}", word, 1, word))
    texts = [readers.Text(word, "", f"a {word}", word) for word in words]
    return Source(texts, [text._replace(id=f"q{text.id}") for text in texts], judged, {"words": len(words)})


WORDS = SourceKind(
    "words", str, "a file of words", read_words, lambda path: {"train", "test"}, lambda path: [("", path)]
)


@pytest.fixture
def words(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.SOURCES, "words", WORDS)
    path = tmp_path / "words.txt"
    path.write_text("one two three four five")
    return path


def test_a_source_is_one_entry_to_the_config_the_rules_and_the_stage(words, tmp_path):
    study = config.check_config(study_of(name="words", source="words", path=str(words)))
    assert grid.source_files(study["collection"]) == [str(words)]
    with pytest.raises(StudyError, match=r"collection\.path: null does not fit source words; it takes a file of words"):
        config.check_config(study_of(name="words", source="words"))
    with pytest.raises(StudyError, match=r"collection\.path: .*/no.txt: there is no such file or folder"):
        config.check_config(study_of(name="words", source="words", path=f"{tmp_path}/no.txt"))
    with pytest.raises(StudyError, match="the collection has no split dev; it has test, train"):
        config.check_config(study_of(name="words", source="words", path=str(words), splits={"test": ["dev"]}))
    arguments = ("--source", "words", "--path", words, "--test-queries", 2, "--output", tmp_path / "out")
    collect.main(collect.arguments().parse_args([*map(str, arguments), "--settings", "{}"]))
    assert tables.read("documents", tmp_path / "out/documents.parquet")["text"].to_pylist()[0] == "a one"
    assert tables.read("qrels", tmp_path / "out/qrels.parquet")["split"].to_pylist() == ["train"] * 3 + ["test"] * 2
    assert '"words": 5' in (tmp_path / "out/manifest.json").read_text()


@pytest.mark.parametrize(
    ("name", "hint"),
    [("msmarco_passage", "did you mean msmarco-passage?"), ("x", "known are docstrings, msmarco-passage, beir, tsv, ")],
)
def test_a_source_that_is_none_is_named_by_config_and_stage(name, hint, tmp_path):
    with pytest.raises(StudyError, match=rf"collection\.source: {name} is no source; ") as error:
        config.check_config(study_of(name="c", source=name))
    assert hint in str(error.value)
    with pytest.raises(StudyError, match=rf"collection\.source: {name} is no source; "):
        collect.main(collect.arguments().parse_args(["--source", name, "--output", str(tmp_path)]))


def test_the_files_of_each_source_are_what_it_is_made_anew_for(tmp_path):
    def files(**collection):
        return grid.source_files(collection)

    (tmp_path / "qrels").mkdir()
    for name in ("test", "train"):
        (tmp_path / f"qrels/{name}.tsv").touch()
    assert files(source="beir", path=str(tmp_path)) == [
        f"{tmp_path}/{name}" for name in ("corpus.jsonl", "qrels/test.tsv", "qrels/train.tsv", "queries.jsonl")
    ]
    assert files(source="beir", path="c.zip") == ["c.zip"]
    paths = {"corpus": "c.zip!corpus.tsv", "queries": {"a": "q.tsv", "b": "q.tsv"}, "qrels": {"a": "c.zip!a.tsv"}}
    assert files(source="tsv", path=paths) == ["c.zip", "q.tsv"]
    for source in ("docstrings", "msmarco-passage"):
        assert files(source=source, path=None) == []
    assert files(source="ir_datasets", path="beir/scifact") == []


def test_what_the_snakefile_reads_of_sources_imports_nothing_heavy():
    code = """
import sys
import rankscale.collection.registry
print([name for name in ("numpy", "pandas", "pyarrow", "torch", "requests") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"
