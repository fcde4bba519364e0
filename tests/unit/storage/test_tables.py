"""Tables are checked both ways, whole or not there."""

import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rankscale.core import atomic_files
from rankscale.core.errors import StudyError
from rankscale.search import vector_shards
from rankscale.storage import schemas, tables

KEYS = {"split": ["test", "test"], "query_id": ["a", "b"], "doc_id": ["x", "y"]}
GOOD = {**KEYS, "row": [3, 4], "grade": [1, 2], "positive": [True, True]}


def test_what_is_written_is_read(tmp_path):
    tables.write("qrels", GOOD, tmp_path / "deep" / "t.parquet")
    assert tables.read("qrels", tmp_path / "deep" / "t.parquet").to_pydict() == GOOD
    assert os.listdir(tmp_path / "deep") == ["t.parquet"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_id": ["a", None]}, "column query_id, row 1: a value is missing"),
        ({"grade": [1, "x"]}, "qrels"),
        ({"doc_id": ["x", "x"], "query_id": ["a", "a"]}, "test a x stands twice in split query_id doc_id"),
        ({"more": [1, 2]}, "do not match the schema"),
    ],
)
def test_a_bad_table_is_not_written(tmp_path, change, message):
    path = tmp_path / "t.parquet"
    with pytest.raises(StudyError, match=message) as error:
        tables.write("qrels", {**GOOD, **change}, path)
    assert str(path) in str(error.value)
    assert not path.exists()


def test_a_number_that_is_none_is_named(tmp_path):
    keys = {"variant": "base", "model": "m", "train_queries": 1, "seed": 1, "step": [1, 2]}
    rest = {
        "epoch": [1.0, 2.0],
        "loss": [1.0, np.nan],
        "gradient_norm": 1.0,
        "learning_rate": 1.0,
        "tokens": 1,
        "inverse_temperature": 1.0,
    }
    with pytest.raises(StudyError, match="column loss, row 1"):
        tables.write("training", {**keys, **rest}, tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:100]), "not a whole Parquet table"),
        (lambda p: p.write_bytes(b""), "not a whole Parquet table"),
        (lambda p: p.unlink(), "no such file"),
        (lambda p: pq.write_table(pa.table({"a": [1]}), p), "lacks the columns"),
        (
            lambda p: pq.write_table(pq.read_table(p).drop("grade").append_column("b", [[1, 2]]), p),
            "grade and has the unknown columns b$",
        ),
        (lambda p: pq.write_table(pq.read_table(p).select(list(GOOD)[::-1]), p), "in another order than split"),
        (lambda p: pq.write_table(pq.read_table(p).set_column(4, "grade", [["1", "2"]]), p), "column grade is string"),
    ],
)
def test_a_harmed_table_is_named(tmp_path, harm, message):
    path = tmp_path / "t.parquet"
    tables.write("qrels", GOOD, path)
    harm(path)
    with pytest.raises(StudyError, match=message) as error:
        tables.read("qrels", path)
    assert str(path) in str(error.value)


def save(path, values, ids=None):
    with vector_shards.shard_writer(path, values.shape[1]) as write:
        write(pa.array(ids or [str(i) for i in range(len(values))]), values)


def test_vectors_come_back_and_holes_are_named(tmp_path):
    path, values = tmp_path / "v.parquet", np.random.default_rng(0).normal(size=(5, 3))
    save(path, values, list("abcde"))
    ids, vectors = vector_shards.read_shard(path)
    assert ids.to_pylist() == list("abcde")
    assert np.array_equal(vectors, values.astype(np.float16))
    for hole in (np.nan, 1e6):  # the second is too large for 16 bits
        values[3, 1] = hole
        with pytest.raises(StudyError, match="not finite for d"):
            save(path, values, list("abcde"))
    # The one that was there is still there.
    assert np.array_equal(vector_shards.read_shard(path)[1], vectors)


def test_shards_are_read_in_parts_of_any_size(tmp_path):
    values = np.random.default_rng(0).normal(size=(40_000, 4)).astype(np.float16)
    paths = [tmp_path / f"{i}.parquet" for i in range(3)]
    for path, chunk in zip(paths, np.split(values, [100, 39_000]), strict=True):
        save(path, chunk)
    for size in (1, 16 * 20_000, 1 << 30):
        chunks = [(rows, chunk.copy()) for rows, chunk in vector_shards.vector_chunks(paths, size)]
        rows, vectors = (np.concatenate(part) for part in zip(*chunks, strict=True))
        assert np.array_equal(rows, np.arange(40_000))
        assert np.array_equal(vectors, values)
    assert len(list(vector_shards.vector_chunks(paths, 1))) == -(-40_000 // vector_shards.ROWS)
    assert len(list(vector_shards.vector_chunks(paths, 1 << 30))) == 1


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-100]), "not a whole Parquet table"),
        (lambda p: p.write_bytes(p.read_bytes()[:50_000] + bytes(10_000)), "not a whole Parquet table"),
        (lambda p: p.unlink(), "no such file"),
        (lambda p: pq.write_table(pa.table({"id": ["a"]}), p), "no fixed-size list column 'vector'"),
    ],
)
def test_a_shard_harmed_after_it_was_written_is_named(tmp_path, harm, message):
    path = tmp_path / "7.parquet"
    save(path, np.ones((40_000, 4)))
    harm(path)
    with pytest.raises(StudyError, match=message) as error:
        list(vector_shards.vector_chunks([path], 1 << 20))
    assert str(path) in str(error.value)


def test_a_shard_with_other_bytes_is_noticed(tmp_path):
    path = tmp_path / "7.parquet"
    save(path, np.random.default_rng(0).normal(size=(5000, 4)))
    content = bytearray(path.read_bytes())
    content[20_000] ^= 4
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"not a whole Parquet table.*CRC"):
        list(vector_shards.vector_chunks([path], 1 << 20))


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    path = tmp_path / "t.parquet"
    (tmp_path / ".t.parquet.123.part").write_text("half")
    (tmp_path / ".other.parquet.123.part").write_text("another's")
    tables.write("qrels", GOOD, path)
    assert sorted(os.listdir(tmp_path)) == [".other.parquet.123.part", "t.parquet"]


def test_some_rows_of_a_table_are_read_alone_and_a_hole_is_counted_from_its_start(tmp_path):
    path = tmp_path / "t.parquet"
    ids = [f"d{i}" for i in range(1000)]
    like = schemas.SCHEMAS["documents"]
    table = pa.table({"doc_id": ids, "title": [""] * 1000, "text": ["a"] * 1000}, schema=like)
    pq.write_table(table, path, row_group_size=64)
    for rows in ((0, 1000), (0, 1), (63, 65), (100, 900), (999, 1000)):
        parts = [part["doc_id"].to_pylist() for part in tables.scan("documents", path, ["doc_id"], rows)]
        assert [name for part in parts for name in part] == ids[slice(*rows)]
    assert tables.count(path) == 1000
    holed = table.set_column(2, pa.field("text", pa.string()), [["a"] * 700 + [None] * 300])
    pq.write_table(holed, path, row_group_size=64)
    with pytest.raises(StudyError, match="column text, row 700: a value is missing"):
        list(tables.scan("documents", path))


def test_a_kill_while_writing_leaves_what_was_there(tmp_path):
    path = tmp_path / "t.parquet"
    tables.write("qrels", GOOD, path)
    before = path.read_bytes()
    code = f"""
from rankscale.core import atomic_files
import os, signal
with atomic_files.whole({str(path)!r}) as beside:
    beside.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == before


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path = tmp_path / "t.parquet"
    tables.write("qrels", GOOD, path)
    before = path.read_bytes()
    with pytest.raises(StudyError, match=r"cannot be written .*free some space"), atomic_files.whole(path) as beside:
        beside.symlink_to("/dev/full")
        beside.write_bytes(b"x" * 10)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["t.parquet"]


def test_no_bit_of_a_footer_can_turn_without_a_word(tmp_path):
    """Every 23rd bit of what no page's checksum covers: the table as it was, or a complaint that names the file."""
    path = tmp_path / "t.parquet"
    rows = {name: [f"{name}{i}" for i in range(300)] for name in ("split", "query_id", "doc_id")}
    tables.write("qrels", {**rows, "row": range(300), "grade": 1, "positive": True}, path)
    whole, table = path.read_bytes(), tables.read("qrels", path)
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    refused = 0
    for bit in range(8 * footer, 8 * len(whole), 23):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        for reader in (lambda: tables.read("qrels", path), lambda: pa.concat_tables(tables.scan("qrels", path))):
            try:
                assert reader().equals(table)
            except StudyError as error:
                assert str(path) in str(error)
                refused += 1
    assert refused > 100


def test_rows_that_a_footer_does_not_count_are_missed(tmp_path):
    """The number of rows of the only group stands in the footer as its first one of the whole does: 300 as varint."""
    path = tmp_path / "t.parquet"
    rows = {name: [f"{name}{i}" for i in range(300)] for name in ("split", "query_id", "doc_id")}
    tables.write("qrels", {**rows, "row": range(300), "grade": 1, "positive": True}, path)
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    number, fewer = b"\xd8\x04", b"\xd0\x04"  # 300 and 296, zigzag and varint as Thrift writes them
    last = whole.rindex(number, footer)
    damaged = 0
    while last >= footer:
        path.write_bytes(whole[:last] + fewer + whole[last + 2 :])
        for reader in (lambda: tables.read("qrels", path), lambda: list(tables.scan("qrels", path))):
            try:
                reader()
            except StudyError as error:
                assert "t.parquet" in str(error)
                damaged += "of 300 rows can be read" in str(error) or "of 296 rows can be read" in str(error)
        last = whole.rfind(number, footer, last)
        if last < 0:
            break
    assert damaged >= 4  # both readers, the group's number and the file's
