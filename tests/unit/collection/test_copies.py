"""Official collections that are not ideal: what is left out, merged or set apart, and that it is counted."""

import json
from typing import NamedTuple

import numpy as np
import pytest

from rankscale.collection import copies, ir_datasets_source, readers
from rankscale.collection.base import Source
from rankscale.collection.ingest import write_collection
from rankscale.core.errors import StudyError
from rankscale.storage import tables

DOCUMENTS = [(f"d{i}", "", f"words of number {i}") for i in range(30)]
QUERIES = [(f"q{i}", "", f"query {i}") for i in range(30)]
JUDGED = [(f"q{i}", f"d{i}", 1) for i in range(30)]


@pytest.fixture
def collect(tmp_path):
    """The tables that come of texts and judgments, and what was counted."""

    def go(documents=DOCUMENTS, queries=QUERIES, judged=JUDGED, titles="join", **limits):
        texts = [[readers.Text(*text, f"line {i}") for i, text in enumerate(part, 1)] for part in (documents, queries)]
        judgments = [readers.Judgment(*row, f"judgment {i}") for i, row in enumerate(judged, 1)]
        collected = write_collection(Source(*texts, {"test": judgments}, {}), tmp_path, titles, {"": 1}, **limits)
        names = ("documents", "queries", "qrels", "copies", "own_documents")
        return {name: tables.read(name, tmp_path / f"{name}.parquet").to_pydict() for name in names}, collected.left_out

    return go


def test_an_ideal_collection_has_nothing_to_say(collect):
    read, counted = collect()
    assert counted == {}
    assert read["copies"]["row"] == read["own_documents"]["row"] == []


def test_empty_documents_are_left_out_and_their_judgments_with_them(collect):
    documents = [*DOCUMENTS[:5], ("d5", "", "  "), *DOCUMENTS[6:], ("x", "", "")]
    read, counted = collect(documents)
    assert "d5" not in read["documents"]["doc_id"]
    assert len(read["documents"]["doc_id"]) == 29
    assert counted == {
        "empty documents left out": 2,
        "judgments of documents or queries that are not there (or empty) left out": 1,
        "queries without a positive left out": 1,
    }
    assert [read["documents"]["doc_id"][row] for row in read["qrels"]["row"]] == read["qrels"]["doc_id"]


def test_judgments_of_what_is_not_there_are_left_out_up_to_a_share(collect):
    judged = [*JUDGED, ("q1", "gone", 1), ("nobody", "d1", 1)]
    with pytest.raises(
        StudyError, match=r"judgment 31: judges document gone, .* 2 of 32 judgments of test.*max_missing"
    ):
        collect(judged=judged)
    read, counted = collect(judged=judged, max_missing=2 / 32)
    assert len(read["qrels"]["row"]) == 30
    assert counted == {"judgments of documents or queries that are not there (or empty) left out": 2}


def test_exact_repeats_are_merged_and_others_refused(collect):
    read, counted = collect([*DOCUMENTS, *DOCUMENTS[3:5]], [*QUERIES, QUERIES[1]], [*JUDGED, JUDGED[2]])
    assert read["documents"]["doc_id"] == [key for key, _, _ in DOCUMENTS]
    assert read["qrels"]["row"] == list(range(30))
    assert counted == {
        "exact repeats of documents merged": 2,
        "exact repeats of queries merged": 1,
        "exact repeats of judgments merged": 1,
    }
    with pytest.raises(StudyError, match="document d3 is given twice, as number 4 and 31, with two texts"):
        collect([*DOCUMENTS, ("d3", "", "other words")])
    with pytest.raises(StudyError, match="line 31: query q1 is given twice, first at line 2"):
        collect(queries=[*QUERIES, ("q1", "", "something else")])
    with pytest.raises(StudyError, match="judgment 31: judges d2 for q2 a second time, as 0 after 1"):
        collect(judged=[*JUDGED, ("q2", "d2", 0)])


def test_rows_of_judgments_after_a_repeat_are_those_of_what_is_kept(collect):
    documents = [DOCUMENTS[0], DOCUMENTS[0], *DOCUMENTS[1:]]
    read, _ = collect(documents)
    assert [read["documents"]["doc_id"][row] for row in read["qrels"]["row"]] == read["qrels"]["doc_id"]


def test_documents_of_one_text_are_copies_whatever_case_and_blanks(collect):
    documents = [*DOCUMENTS, ("e", "", "Words  of NUMBER 4"), ("f", "words", "of number 4"), ("g", "", "other")]
    read, counted = collect(documents)
    assert read["copies"] == {"row": [4, 30, 31], "first": [4, 4, 4]}
    assert list(counted.values()) == [3]


def test_a_query_is_a_document_by_id_and_text_and_unless_it_is_its_own_answer(collect):
    same = [("q0", "a title", "query 0"), ("q1", "query", "1"), ("q2", "", "another text"), ("q3", "", "query 3")]
    judged = [*JUDGED, ("q3", "q3", 1)]
    for titles in ("join", "drop"):
        read, counted = collect([*DOCUMENTS, *same], judged=judged, titles=titles)
        assert read["own_documents"] == {"query_id": ["q0", "q1"], "row": [30, 31]}
        assert list(counted.values()) == [2]


def test_a_query_with_a_title_alone_is_its_title_and_one_with_neither_is_refused_if_judged(collect):
    queries = [("q0", "its title", ""), ("q1", "title", "its text"), *QUERIES[2:], ("unjudged", "", "")]
    read, counted = collect(queries=queries)
    assert read["queries"]["text"][:2] == ["its title", "its text"]
    assert counted == {
        "titles of queries that have a text too left out": 1,
        "queries without a positive left out": 1,
    }
    with pytest.raises(StudyError, match="line 1: the text of q0 is empty"):
        collect(queries=[("q0", "", " "), *QUERIES[1:]])


def test_copies_of_documents_in_any_order():
    random = np.random.default_rng(0)
    texts = random.integers(0, 40, 100)
    table = tables.checked("copies", copies.copy_columns(texts), "t")
    rows = [np.unique(random.integers(0, 100, size)) for size in random.integers(1, 6, 50)]
    for own, wide in zip(rows, copies.with_copies(rows, table), strict=True):
        assert wide.tolist() == [row for row in range(100) if texts[row] in texts[own]]


def test_the_manifest_keeps_what_was_counted(tmp_path):
    from rankscale.stages import collect

    (tmp_path / "c.tsv").write_text("".join(f"{key}\t{text}\n" for key, _, text in [*DOCUMENTS, DOCUMENTS[0]]))
    (tmp_path / "q.tsv").write_text("".join(f"{key}\t{text}\n" for key, _, text in QUERIES))
    (tmp_path / "j.tsv").write_text("".join(f"{q}\t{d}\t{grade}\n" for q, d, grade in JUDGED))
    corpus, queries, judged = (str(tmp_path / name) for name in ("c.tsv", "q.tsv", "j.tsv"))
    files = {"corpus": corpus, "queries": {"test": queries}, "qrels": {"test": judged}}
    words = ["--source", "tsv", "--files", json.dumps(files), "--output", str(tmp_path / "out")]
    collect.main(collect.arguments().parse_args([*words, "--settings", "{}"]))
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["left_out_or_merged"] == {"exact repeats of documents merged": 1}
    assert manifest["files"]["documents.parquet"]["rows"] == 30


class Whole(NamedTuple):
    doc_id: str
    title: str
    body: str

    def default_text(self):
        return f"{self.title} {self.body}"


class Turned(Whole):
    def default_text(self):
        return f"{self.body} {self.title}"


def test_a_default_text_gives_its_title_once():
    """As ir_datasets' MsMarcoDocument, NfCorpusDoc or Cord19Doc do: a title, and no field called text."""
    documents = Whole("d", "Title 1", "the body"), Turned("d", "Title 1", "the body"), Whole("d", "", "the body")
    split = ir_datasets_source._title_and_text
    assert [split(document, "join", "here") for document in documents] == [
        ("Title 1", "the body"),
        ("", "the body Title 1"),
        ("", "the body"),
    ]
    assert split(documents[0], "drop", "here") == ("Title 1", "the body")
    with pytest.raises(StudyError, match="here: Turned mixes the title into its text"):
        split(documents[1], "drop", "here")
