"""Collections from files: every form that is accepted, and every complaint with its file and line."""

import gzip
import json
import tarfile
import zipfile
from typing import NamedTuple

import pytest

from rankscale.core.errors import StudyError
from rankscale.storage import tables
from tests.conftest import stage

CORPUS = [{"_id": f"d{i}", "title": f"Title {i}" if i % 2 else "", "text": f"text of number {i}"} for i in range(20)]
QUERIES = [{"_id": f"q{i}", "text": f"query {i}"} for i in range(12)]
# Train queries 0 to 7, test queries 8 to 10 (graded); query 11 has no positive.
TRAIN = [(f"q{i}", f"d{i}", 1) for i in range(8)] + [("q0", "d9", 1)]
TEST = [("q8", "d8", 3), ("q8", "d1", 1), ("q9", "d9", 2), ("q10", "d10", 1), ("q11", "d11", 0)]


def beir(folder):
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in CORPUS))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUERIES))
    for split, rows in (("train", TRAIN), ("test", TEST)):
        text = "query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{d}\t{g}\n" for q, d, g in rows)
        (folder / f"qrels/{split}.tsv").write_text(text)
    return folder


def tsv(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "corpus.tsv").write_text("".join(f"{r['_id']}\t{r['title']}\t{r['text']}\n" for r in CORPUS))
    for split, queries in (("train", QUERIES[:8]), ("test", QUERIES[8:])):
        (folder / f"queries.{split}.tsv").write_text("".join(f"{r['_id']}\t{r['text']}\n" for r in queries))
    (folder / "qrels.train.tsv").write_text("".join(f"{q}\t0\t{d}\t{g}\n" for q, d, g in TRAIN))
    (folder / "qrels.test.tsv").write_text("".join(f"{q} 0 {d} {g}\n" for q, d, g in TEST))
    return folder


def files(folder):
    by_split = {kind: {s: str(folder / f"{kind}.{s}.tsv") for s in ("train", "test")} for kind in ("queries", "qrels")}
    return json.dumps({"corpus": str(folder / "corpus.tsv"), **by_split})


def collect(out, *more, check=True):
    return stage("collect", *more, "--output", out, check=check)


def read(folder, *names):
    names = names or ("documents", "queries", "qrels")
    return [tables.read(name, folder / f"{name}.parquet").to_pydict() for name in names]


@pytest.fixture
def expected(tmp_path):
    collect(tmp_path / "expected", "--source", "beir", "--path", beir(tmp_path / "beir"))
    return read(tmp_path / "expected")


def test_a_beir_folder(expected):
    documents, queries, qrels = expected
    assert documents["doc_id"] == [row["_id"] for row in CORPUS]
    assert documents["title"][:2] == ["", "Title 1"]
    assert documents["text"][:2] == ["text of number 0", "Title 1 text of number 1"]
    assert queries["query_id"] == [f"q{i}" for i in range(11)]  # q11 has no positive
    assert [documents["doc_id"][row] for row in qrels["row"]] == qrels["doc_id"]
    assert {q for s, q in zip(qrels["split"], qrels["query_id"], strict=True) if s == "test"} == {"q8", "q9", "q10"}
    assert qrels["doc_id"].count("d9") == 2
    assert sum(qrels["positive"]) == len(TRAIN) + len(TEST) - 1


def test_a_zip_of_it_is_the_same(tmp_path, expected):
    folder = beir(tmp_path / "again")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"scifact/{file.relative_to(folder)}")
    collect(tmp_path / "out", "--source", "beir", "--path", tmp_path / "c.zip")
    assert read(tmp_path / "out") == expected


def test_tsv_files_are_the_same(tmp_path, expected):
    collect(tmp_path / "out", "--source", "tsv", "--files", files(tsv(tmp_path / "tsv")))
    assert read(tmp_path / "out", "documents", "queries") == expected[:2]
    assert sorted(zip(*read(tmp_path / "out", "qrels")[0].values(), strict=True)) == sorted(
        zip(*expected[2].values(), strict=True)
    )


def test_gzip_bom_crlf_and_headers_are_accepted(tmp_path, expected):
    folder = tsv(tmp_path / "tsv")
    text = "pid\ttitle\ttext\n" + (folder / "corpus.tsv").read_text()
    with gzip.open(folder / "corpus.tsv.gz", "wb") as file:
        file.write(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    paths = files(folder).replace("corpus.tsv", "corpus.tsv.gz")
    collect(tmp_path / "out", "--source", "tsv", "--files", paths)
    assert read(tmp_path / "out", "documents", "queries") == expected[:2]


def test_titles_can_be_left_out_and_grades_have_a_threshold(tmp_path):
    more = ("--titles", "drop", "--positive-grade", 2)
    folder = beir(tmp_path / "beir")
    (folder / "qrels/train.tsv").write_text("".join(f"{q}\t{d}\t2\n" for q, d, _ in TRAIN))
    collect(tmp_path / "out", "--source", "beir", "--path", folder, *more)
    documents, queries, qrels = read(tmp_path / "out")
    assert documents["text"][1] == "text of number 1"
    assert "q10" not in queries["query_id"]  # its only grade is 1
    assert (qrels["grade"].count(3), qrels["positive"].count(False)) == (1, 1)


def two_columns(folder):
    (folder / "qrels.train.tsv").write_text("qid\tpid\n" + "".join(f"{q}\t{d}\n" for q, d, _ in TRAIN))


def test_judgments_of_two_columns_are_all_relevant(tmp_path, expected):
    folder = tsv(tmp_path / "tsv")
    two_columns(folder)
    collect(tmp_path / "out", "--source", "tsv", "--files", files(folder))
    assert read(tmp_path / "out", "queries") == [expected[1]]


@pytest.mark.parametrize(
    ("name", "line", "text", "message"),
    [
        ("corpus.tsv", 3, b"d2\tone\ttwo\tthree", "corpus.tsv:3: has 4 tab-separated columns, expected 3"),
        ("corpus.tsv", 1, b"alone", "corpus.tsv:1: has 1 tab-separated columns, expected 2 or 3"),
        ("corpus.tsv", 5, b"d0\t\ttext again", "document d0 is given twice, as number 1 and 5"),
        ("corpus.tsv", 4, b"d3\t \t  ", "judges document d3, which the collection lacks or has empty"),
        ("corpus.tsv", 4, b"\ttitle\ttext", "corpus.tsv:4: the id is empty"),
        ("corpus.tsv", 2, b"d1\ttitle\ta\0b", "corpus.tsv:2: has a NUL byte"),
        ("corpus.tsv", 2, b"d1\ttitle\t\xff\xfe", "corpus.tsv:2: not UTF-8 at byte"),
        ("queries.train.tsv", 2, b"q0\tanother text", "queries.train.tsv:2: query q0 is given twice"),
        ("qrels.train.tsv", 2, b"q99\t0\td1\t1", "qrels.train.tsv:2: judges query q99, which the queries lack"),
        ("qrels.train.tsv", 2, b"q1\t0\td99\t1", "qrels.train.tsv:2: judges document d99, which the collection lacks"),
        ("qrels.train.tsv", 2, b"q0\t0\td0\t2", "qrels.train.tsv:2: judges d0 for q0 a second time, as 2"),
        ("qrels.train.tsv", 2, b"q1\t0\td1\tgood", "qrels.train.tsv:2: the grade 'good' is not a whole number"),
        ("qrels.train.tsv", 2, b"q1\t0\td1", "qrels.train.tsv:2: has 3 columns, expected 4"),
    ],
)
def test_a_bad_line_is_named(tmp_path, name, line, text, message):
    folder = tsv(tmp_path / "tsv")
    rows = (folder / name).read_bytes().split(b"\n")
    rows[line - 1] = text
    (folder / name).write_bytes(b"\n".join(rows))
    done = collect(tmp_path / "out", "--source", "tsv", "--files", files(folder), check=False)
    assert done.returncode == 1
    assert message in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "corpus.jsonl").write_text("{"), "corpus.jsonl:1: is not JSON"),
        (lambda f: (f / "corpus.jsonl").write_text('{"_id": "a"}'), "corpus.jsonl:1: lacks _id or text"),
        (lambda f: (f / "corpus.jsonl").write_text('{"_id": 1, "text": "a"}'), "must be strings"),
        (lambda f: (f / "corpus.jsonl").write_text('{"_id": "a", "text": "b \\ud800"}'), "half a surrogate pair"),
        (lambda f: (f / "corpus.jsonl").write_text(""), "the source has no documents"),
        (lambda f: (f / "corpus.jsonl").unlink(), "corpus.jsonl: there is no such file"),
        (lambda f: [p.unlink() for p in (f / "qrels").iterdir()], "has no judgments"),
    ],
)
def test_a_harmed_folder_is_named(tmp_path, harm, message):
    folder = beir(tmp_path / "beir")
    harm(folder)
    done = collect(tmp_path / "out", "--source", "beir", "--path", folder, check=False)
    assert done.returncode == 1
    assert message in done.stdout.splitlines()[-1]


def test_a_harmed_archive_is_named(tmp_path):
    def output_of(*source):
        return collect(tmp_path / "out", "--source", *source, check=False).stdout

    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("other.txt", "x")
    assert "has no member corpus.jsonl" in output_of("beir", "--path", tmp_path / "c.zip")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("../corpus.jsonl", "x")
    assert "leads out of the archive" in output_of("beir", "--path", tmp_path / "c.zip")
    (tmp_path / "c.zip").write_bytes(b"PK")
    assert "is not a whole zip" in output_of("beir", "--path", tmp_path / "c.zip")
    (tmp_path / "t.tsv.gz").write_bytes(gzip.compress(b"a\tb\n" * 1000)[:-20])
    paths = json.dumps({"corpus": str(tmp_path / "t.tsv.gz"), "queries": {"train": "x"}, "qrels": {"train": "x"}})
    assert "t.tsv.gz: cannot be read to its end" in output_of("tsv", "--files", paths)


def test_a_member_of_a_tar_is_read_where_it_lies(tmp_path, expected):
    folder = tsv(tmp_path / "tsv")
    with tarfile.open(folder / "c.tar.gz", "w:gz") as archive:
        for file in ("corpus.tsv", "queries.test.tsv"):
            archive.add(folder / file, f"./{file}")
    paths = files(folder).replace(f"{folder}/corpus.tsv", f"{folder}/c.tar.gz!corpus.tsv")
    paths = paths.replace(f"{folder}/queries.test.tsv", f"{folder}/c.tar.gz!queries.test.tsv")
    collect(tmp_path / "out", "--source", "tsv", "--files", paths)
    assert read(tmp_path / "out", "documents", "queries") == expected[:2]


def test_a_document_may_be_all_title_unless_titles_are_dropped(tmp_path):
    folder = tsv(tmp_path / "tsv")
    rows = (folder / "corpus.tsv").read_text().splitlines(keepends=True)
    (folder / "corpus.tsv").write_text("".join([*rows[:3], "d3\tTitle alone\t\n", *rows[4:]]))
    source = ("--source", "tsv", "--files", files(folder))
    collect(tmp_path / "out", *source)
    assert read(tmp_path / "out", "documents")[0]["text"][3] == "Title alone"
    done = collect(tmp_path / "out", *source, "--titles", "drop", check=False)
    assert "corpus.tsv:4: the text of d3 is empty but for its title" in done.stdout.splitlines()[-1]


def test_a_query_judged_in_two_splits_is_in_both_and_each_split_has_its_own_grade(tmp_path):
    folder = tsv(tmp_path / "tsv")
    (folder / "qrels.more.tsv").write_text("q8 0 d8 3\nq8 0 d2 1\nq9 0 d9 1\n")
    paths = json.loads(files(folder))
    paths["qrels"]["more"] = str(folder / "qrels.more.tsv")
    grades = ("--positive-grade", '{"more": 2}')
    collect(tmp_path / "out", "--source", "tsv", "--files", json.dumps(paths), *grades)
    qrels = read(tmp_path / "out", "qrels")[0]
    rows = list(zip(*(qrels[c] for c in ("split", "query_id", "doc_id", "positive")), strict=True))
    assert ("test", "q8", "d1", True) in rows
    assert [row for row in rows if row[0] == "more"] == [("more", "q8", "d8", True), ("more", "q8", "d2", False)]


class Document(NamedTuple):
    doc_id: str
    title: str
    text: str

    def default_text(self):
        return f"{self.title} {self.text}"


@pytest.fixture
def registered(tmp_path):
    """The same collection as a data set of the ir_datasets library, made of its own parts."""
    ir_datasets = pytest.importorskip("ir_datasets", reason="the optional library ir_datasets is not installed")
    from ir_datasets.datasets.base import Dataset
    from ir_datasets.formats import BaseDocs, TrecQrels, TsvQueries
    from ir_datasets.util import PackageDataFile  # noqa: F401 (says that the library is whole)

    class Local:
        def __init__(self, path):
            self._path = path

        def path(self, force=True):
            return str(self._path)

        def stream(self):
            return open(self._path, "rb")

    class Docs(BaseDocs):
        def docs_iter(self):
            return (Document(r["_id"], r["title"], r["text"]) for r in CORPUS)

        def docs_cls(self):
            return Document

    folder = tsv(tmp_path / "tsv")
    (folder / "qrels.train.tsv").write_text("".join(f"{q} 0 {d} {g}\n" for q, d, g in TRAIN))
    for split in ("train", "test"):
        parts = (
            Docs(),
            TsvQueries(Local(folder / f"queries.{split}.tsv")),
            TrecQrels(Local(folder / f"qrels.{split}.tsv"), {}),
        )
        name = f"local/{split}"
        if name not in ir_datasets.registry:
            ir_datasets.registry.register(name, Dataset(*parts))
    return folder


def in_process(folder, *more):
    from rankscale.stages import collect

    args = collect.arguments().parse_args([*map(str, more), "--output", str(folder)])
    args.study, args.settings = "", {}
    collect.main(args)


def test_ir_datasets_gives_the_same(registered, tmp_path, expected):
    in_process(tmp_path / "out", "--source", "ir_datasets", "--path", "local", "--splits", "train", "test")
    assert read(tmp_path / "out", "documents", "queries") == expected[:2]
    assert sorted(read(tmp_path / "out", "qrels")[0]["doc_id"]) == sorted(expected[2]["doc_id"])
    with pytest.raises(StudyError, match="ir_datasets knows no local/dev"):
        in_process(tmp_path / "out", "--source", "ir_datasets", "--path", "local", "--splits", "train", "dev")
