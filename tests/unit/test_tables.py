"""Tables are checked both ways, whole or not there."""

import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rankscale import tables
from rankscale.errors import StudyError

KEYS = {"split": ["test", "test"], "query_id": ["a", "b"], "doc_id": ["x", "y"]}
GOOD = {**KEYS, "grade": [1, 2], "positive": [True, True]}


def test_what_is_written_is_read(tmp_path):
    tables.write("qrels", GOOD, tmp_path / "deep" / "t.parquet")
    assert tables.read("qrels", tmp_path / "deep" / "t.parquet").to_pydict() == GOOD
    assert os.listdir(tmp_path / "deep") == ["t.parquet"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query_id": ["a", None]}, "column query_id, row 1: a value is missing"),
        ({"grade": [1, "x"]}, "qrels"),
        ({"doc_id": ["x", "x"], "query_id": ["a", "a"]}, "test a x stands twice in split query_id doc_id"),
        ({"more": [1, 2]}, "do not match the schema"),
    ],
)
def test_a_bad_table_is_not_written(tmp_path, change, said):
    path = tmp_path / "t.parquet"
    with pytest.raises(StudyError, match=said) as error:
        tables.write("qrels", {**GOOD, **change}, path)
    assert str(path) in str(error.value)
    assert not path.exists()


def test_a_number_that_is_none_is_named(tmp_path):
    keys = {"model": "m", "train_queries": 1, "seed": 1, "step": [1, 2]}
    rest = {"epoch": [1.0, 2.0], "loss": [1.0, np.nan], "gradient_norm": 1.0, "learning_rate": 1.0, "tokens": 1}
    with pytest.raises(StudyError, match="column loss, row 1"):
        tables.write("training", {**keys, **rest}, tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:100]), "not a whole Parquet table"),
        (lambda p: p.write_bytes(b""), "not a whole Parquet table"),
        (lambda p: p.unlink(), "no such file"),
        (lambda p: pq.write_table(pa.table({"a": [1]}), p), "has columns"),
        (lambda p: pq.write_table(pq.read_table(p).set_column(3, "grade", [["1", "2"]]), p), "column grade is string"),
    ],
)
def test_a_harmed_table_is_named(tmp_path, harm, said):
    path = tmp_path / "t.parquet"
    tables.write("qrels", GOOD, path)
    harm(path)
    with pytest.raises(StudyError, match=said) as error:
        tables.read("qrels", path)
    assert str(path) in str(error.value)


def test_vectors_come_back_and_holes_are_named(tmp_path):
    path, vectors = tmp_path / "v.parquet", np.random.default_rng(0).normal(size=(5, 3))
    tables.write_vectors(pa.array(list("abcde")), vectors, path)
    ids, found = tables.read_vectors(path)
    assert ids.to_pylist() == list("abcde")
    assert np.array_equal(found, vectors.astype(np.float16))
    vectors[3, 1] = np.nan
    with pytest.raises(StudyError, match="not finite for d"):
        tables.write_vectors(pa.array(list("abcde")), vectors, path)
    # The one that was there is still there.
    assert np.array_equal(tables.read_vectors(path)[1], found)


def test_a_kill_while_writing_leaves_what_was_there(tmp_path):
    path = tmp_path / "t.parquet"
    tables.write("qrels", GOOD, path)
    before = path.read_bytes()
    code = f"""
from rankscale import tables
import os, signal
with tables.whole({str(path)!r}) as beside:
    beside.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == before


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path = tmp_path / "t.parquet"
    tables.write("qrels", GOOD, path)
    before = path.read_bytes()
    with pytest.raises(OSError), tables.whole(path) as beside:
        beside.symlink_to("/dev/full")
        beside.write_bytes(b"x" * 10)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["t.parquet"]
