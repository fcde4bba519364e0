"""Files that are damaged, encrypted, packed in odd ways, or without lines: one line that says so, never a traceback."""

import gzip
import io
import lzma
import tarfile
import warnings
import zipfile

import pytest

from rankscale.collection import archives, readers
from rankscale.collection.ingest import repeated_texts
from rankscale.core.errors import StudyError

TEXT = b"1\tone\n2\ttwo\n"


def read(path):
    return [line for line, _ in readers.lines(path)]


def zipped(path, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("corpus.tsv", TEXT * 1000)
    return path


def patched(path, offset, value):
    """The zip with two bytes changed in its local header and, 2 bytes on, in its central directory."""
    raw = bytearray(path.read_bytes())
    central = raw.rindex(b"PK\x01\x02")
    raw[offset : offset + 2] = raw[central + offset + 2 : central + offset + 4] = value.to_bytes(2, "little")
    path.write_bytes(raw)
    return path


def test_an_encrypted_member(tmp_path):
    path = patched(zipped(tmp_path / "a.zip"), 6, 1)
    with pytest.raises(StudyError, match=r"a.zip!corpus.tsv: cannot be read .*encrypted"):
        read(f"{path}!corpus.tsv")


def test_a_method_that_python_does_not_know(tmp_path):
    path = patched(zipped(tmp_path / "a.zip"), 8, 99)
    with pytest.raises(StudyError, match=r"a.zip!corpus.tsv: cannot be read .*compression"):
        read(f"{path}!corpus.tsv")


def test_damaged_lzma_in_a_zip(tmp_path):
    path = zipped(tmp_path / "a.zip", zipfile.ZIP_LZMA)
    raw = bytearray(path.read_bytes())
    raw[60:80] = bytes(20)
    path.write_bytes(raw)
    with pytest.raises(StudyError, match=r"a.zip!corpus.tsv: cannot be read to its end"):
        read(f"{path}!corpus.tsv")


def test_damaged_lzma_of_a_tar(tmp_path):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tape:
        entry = tarfile.TarInfo("corpus.tsv")
        entry.size = len(TEXT) * 1000
        tape.addfile(entry, io.BytesIO(TEXT * 1000))
    packed = bytearray(lzma.compress(raw.getvalue()))
    packed[100:110] = bytes(10)
    path = tmp_path / "a.tar.xz"
    path.write_bytes(packed)
    with pytest.raises(StudyError, match=r"a.tar.xz!corpus.tsv: cannot be read to its end"):
        read(f"{path}!corpus.tsv")


def test_a_gzip_file_that_was_cut_to_nothing(tmp_path):
    (tmp_path / "a.tsv.gz").touch()
    with pytest.raises(StudyError, match=r"a.tsv.gz: cannot be read to its end .it is empty"):
        read(tmp_path / "a.tsv.gz")


def test_a_folder_that_is_called_a_zip(tmp_path):
    (tmp_path / "x.zip").mkdir()
    with pytest.raises(StudyError, match=r"x.zip: is not a whole zip .Is a directory"):
        archives.members(tmp_path / "x.zip")


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(StudyError, match=r"cannot be read to its end .File name too long"):
        read(tmp_path / ("x" * 300))


def test_a_file_without_line_ends_is_not_taken_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "LONGEST_LINE", 1 << 20)
    path = tmp_path / "corpus.jsonl.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"1\tshort\n" + b"x" * (1 << 20) + b"\n")
        file.write(b"x" * ((1 << 20) + 1))
    lines = readers.lines(path)
    assert next(lines)[0] == "1\tshort"
    with pytest.raises(StudyError, match=r"corpus.jsonl.gz:2: the line is longer than 1 MB"):
        next(lines)


def test_two_files_with_byte_order_marks_put_together_and_blank_last_lines(tmp_path):
    texts, qrels = tmp_path / "texts.tsv", tmp_path / "qrels.tsv"
    texts.write_bytes(b"\xef\xbb\xbf1\tone\r\n" + b"\xef\xbb\xbf2\ttwo\r\n\r\n")
    qrels.write_bytes(b"1 0 a 1\n\n")
    assert [(text.id, text.text) for text in readers.document_lines(texts)] == [("1", "one"), ("2", "two")]
    assert [(judged.query_id, judged.doc_id) for judged in readers.judgments(qrels)] == [("1", "a")]


def test_one_text_under_two_ids_in_two_splits_is_counted(caplog):
    texts = {"a": "same", "b": "same", "c": "same", "d": "once", "e": "twice", "f": "twice"}
    queries = [readers.Text(name, "", text, "here") for name, text in texts.items()]
    splits = {"train": {"a", "b", "e", "f"}, "test": {"c", "d"}}
    assert repeated_texts(queries, splits) == 1  # "twice" is only trained on
    assert "1 texts are queries of different splits under different ids: 'same'" in caplog.text


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
def test_one_bit_of_a_packed_tar_is_not_passed_over(tmp_path, kind):
    """tarfile reads a stream of gzip without its checksum."""
    text = "".join(f"d{i}\ttext {i}\n" for i in range(300)).encode()
    path = tmp_path / (f"a.tar.{kind}" if kind else "a.tar")
    with tarfile.open(path, f"w:{kind}") as tape:
        entry = tarfile.TarInfo("corpus.tsv")
        entry.size = len(text)
        tape.addfile(entry, io.BytesIO(text))
    assert read(f"{path}!corpus.tsv") == text.decode().splitlines()
    whole = path.read_bytes()
    for offset in range(len(whole) // 4, len(whole) * 3 // 4, 7) if kind else ():
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        with pytest.raises(StudyError, match=r"a.tar.*!corpus.tsv"):
            read(f"{path}!corpus.tsv")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_of_two_members_of_one_name_neither_is_taken(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("corpus.tsv", TEXT)
                archive.writestr("corpus.tsv", TEXT.upper())
        else:
            with tarfile.open(path, "w") as archive:
                for content in (TEXT, TEXT.upper()):
                    entry = tarfile.TarInfo("corpus.tsv")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
    for reader in (lambda: read(f"{path}!corpus.tsv"), lambda: archives.members(path)):
        with pytest.raises(StudyError, match=rf"a\.{kind}: has two members called corpus\.tsv"):
            reader()
