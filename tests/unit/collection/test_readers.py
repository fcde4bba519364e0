"""Columns by their names, and files that are not ideal, line by line."""

import gzip
import tarfile
import zipfile

import pytest

from rankscale.collection import archives, beir, readers
from rankscale.core.errors import StudyError


@pytest.fixture
def read(tmp_path):
    """What a reader makes of some lines, without where they stand."""

    def go(reader, *lines):
        path = tmp_path / "file.tsv"
        path.write_text("".join(f"{line}\n" for line in lines))
        return [entry[:-1] for entry in reader(path)]

    return go


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("passage_id\tpassage", "p\tone", ("p", "", "one")),
        ("text\tid", "one\tp", ("p", "", "one")),
        ("ID\tText\tTitle", "p\tone\ttwo", ("p", "two", "one")),
        ("docno\turl\ttitle\tbody", "p\thttp\ttwo\tone", ("p", "two", "one")),
        ("#pid\tcontents", "p\tone", ("p", "", "one")),
        ("id\tsaying", "p\tone", ("p", "", "one")),
    ],
)
def test_a_header_says_which_column_of_a_document_is_which(read, header, row, expected):
    assert read(readers.document_lines, header, row) == [expected]


@pytest.mark.parametrize(
    ("header", "row", "text"),
    [
        ("topic\ttitle\tdescription\tnarrative", "7\tasked\tmeant\tjudged", "asked"),
        ("qid\tquery\tdescription", "7\tasked\tmeant", "asked"),
        ("description\tquery\tqid", "meant\tasked\t7", "asked"),
        ("id\ttitle\ttext", "7\tsaid\tasked", "asked"),
        ("query_id\tquestion", "7\tasked", "asked"),
    ],
)
def test_a_query_is_what_the_header_calls_so(read, header, row, text):
    ((key, _, body),) = read(readers.query_lines, header, row)
    assert (key, body) == ("7", text)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("query-id\tcorpus-id\tscore", "q\td\t2"),
        ("score\tcorpus-id\tquery-id", "2\td\tq"),
        ("corpus-id\tquery-id\tscore", "d\tq\t2"),
        ("qid\tQ0\tdocid\trel", "q\t0\td\t2"),
        ("qid\trelevance\tdocid\titer", "q\t2\td\t0"),
        ("id\tdoc_id\tlabel", "q\td\t2"),
    ],
)
def test_a_header_says_which_column_of_a_judgment_is_which(read, header, row):
    assert read(readers.judgments, header, row) == [("q", "d", 2)]


@pytest.mark.parametrize(
    ("reader", "lines", "message"),
    [
        (
            readers.query_lines,
            ["7\tasked\tmeant"],
            r"file.tsv:1: has 3 tab-separated columns, expected 2;",
        ),
        (readers.document_lines, ["id\ttext\tpassage"], r"columns text and passage both look like the text"),
        (readers.document_lines, ["id\tthis\ttitle"], r"the header names no text \(column 3, .* is named title\)"),
        (readers.document_lines, ["id\ta\tb\tc"], r"the header names no text: id, a, b, c"),
        (readers.query_lines, ["id\ta\tb"], r"the header names no text"),
        (readers.judgments, ["qid\tdocid\titer\trun"], r"both look like the aside"),
        (readers.judgments, ["qid\tscore\tthing"], r"names no document \(column 2, .* is named score\)"),
        (readers.judgments, ["q\t0\td\t1.5"], r"the grade '1.5' is not a whole number"),
        (readers.judgments, ["q\t0\td\tnan"], r"the grade 'nan' is not a whole number"),
        (readers.judgments, ["q\t0\td\t1e9"], r"the grade 1e9 is out of bounds"),
    ],
)
def test_names_that_do_not_say_it_are_refused(read, reader, lines, message):
    with pytest.raises(StudyError, match=message):
        read(reader, *lines)


def test_a_grade_may_be_written_with_a_point(read):
    assert read(readers.judgments, "q\td\t1.0", "q\te\t-1.0") == [("q", "d", 1), ("q", "e", -1)]


def test_blank_lines_and_byte_order_marks_within_a_file_are_no_texts(read):
    lines = ["a\tone", "", "\ufeffb\ttwo", " \t "]
    assert read(readers.document_lines, *lines) == [("a", "", "one"), ("b", "", "two")]
    assert read(readers.judgments, "q\td\t1", "") == [("q", "d", 1)]


def test_what_looks_like_a_header_of_unknown_names_is_said(read, caplog):
    assert len(read(readers.document_lines, "kenn\twortlaut", "1\tone two")) == 2
    assert "file.tsv:1: looks like a header, and is read as a text" in caplog.text


def test_a_zip_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("c.tsv", "a\tone\n")
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1  # says that it is encrypted
    path.write_bytes(data)
    with pytest.raises(StudyError, match=r"a.zip!c.tsv: cannot be read .*encrypted"):
        list(readers.document_lines(f"{path}!c.tsv"))


MEMBERS = ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "qrels/old/test.tsv", "qrels/._test.tsv", ".DS_Store")


def pack(path, names):
    """An archive of empty files of these names."""
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "")
    else:
        with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(name))
    return str(path)


@pytest.mark.parametrize("name", ["a.zip", "A.ZIP", "a.tar", "a.tar.gz", "a.tgz"])
@pytest.mark.parametrize("root", ["", "scifact/", "./deep/er/"])
def test_an_archive_s_judgments_are_those_beside_its_corpus(tmp_path, name, root):
    path = pack(tmp_path / name, [f"{root}{member}" for member in MEMBERS] + ["__MACOSX/._corpus.jsonl"])
    before, qrels = beir.located(path)
    assert before.removeprefix(f"{path}!").removeprefix("./") == root.removeprefix("./")
    assert list(qrels) == ["test"]
    assert "old" not in qrels["test"]
    assert list(readers.lines(qrels["test"])) == []


@pytest.mark.parametrize("name", ["cqa.zip", "cqa.tgz"])
def test_of_several_collections_in_an_archive_one_is_named(tmp_path, name):
    path = pack(tmp_path / name, [f"cqa/{part}/{member}" for part in ("android", "gis") for member in MEMBERS])
    with pytest.raises(StudyError, match=r"holds several collections: cqa/android, cqa/gis; name one, as .*!cqa/andr"):
        beir.located(path)
    for inside in ("gis", "cqa/gis", "cqa/gis/"):
        before, qrels = beir.located(f"{path}!{inside}")
        assert (before, qrels) == (f"{path}!cqa/gis/", {"test": f"{path}!cqa/gis/qrels/test.tsv"})
    with pytest.raises(StudyError, match="has no member corpus"):
        beir.located(f"{path}!is")


def test_a_folder_of_several_collections_and_one_called_like_a_zip(tmp_path):
    for part in ("android", "gis"):
        (tmp_path / "x.zip" / part / "qrels").mkdir(parents=True)
        for member in MEMBERS[:3]:
            (tmp_path / "x.zip" / part / member).touch()
        (tmp_path / "x.zip" / part / "qrels/._test.tsv").touch()
    with pytest.raises(StudyError, match=r"holds several collections: android, gis; name one, as .*x.zip/android"):
        beir.located(str(tmp_path / "x.zip"))
    assert beir.splits(str(tmp_path / "x.zip/gis")) == {"test"}
    assert len(beir.files(str(tmp_path / "x.zip/gis"))) == 3


def test_an_exclamation_mark_in_a_name_is_a_member_s_only_after_an_archive(tmp_path):
    assert archives.split_member("what!/c.tsv") == ("what!/c.tsv", "")
    assert archives.split_member("a.tar.gz!b/c.tsv") == ("a.tar.gz", "b/c.tsv")
    (tmp_path / "what!.tsv.GZ").write_bytes(gzip.compress(b"a\tone\n"))
    assert [text.id for text in readers.document_lines(tmp_path / "what!.tsv.GZ")] == ["a"]


def test_a_first_line_that_is_no_text_is_said(read, caplog):
    read(readers.document_lines, "id\ttext", "d1\tone")
    assert not caplog.text
    read(readers.document_lines, "key\ta piece of metal", "d1\tone")
    assert "file.tsv:1: is taken for a header, whose text is called a piece of metal" in caplog.text


def test_an_object_with_a_key_twice_is_refused(read):
    with pytest.raises(StudyError, match=r"file.tsv:1: is not JSON \(a key stands twice\)"):
        read(readers.jsonl_texts, '{"_id": "d", "text": "one", "text": "two"}')
