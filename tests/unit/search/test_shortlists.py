"""The run that a ranker reranks: the miner's nearest documents, positives among them, the query itself not."""

import numpy as np
import pyarrow as pa
import pytest

from rankscale.core.errors import StudyError
from rankscale.search import vector_shards
from rankscale.search.shortlists import read_shortlists
from rankscale.stages import shortlist
from rankscale.storage import tables
from tests.conftest import write_copies
from tests.unit.training.small_collection import DOCUMENTS, N, write_collection


@pytest.fixture
def collection(tmp_path):
    folder = write_collection(tmp_path)
    write_copies(folder, own=[("q3", 3)])
    return folder


def listed(collection, depth, *more):
    given = ["--collection", collection, "--documents", collection / "lsa/documents.parquet", "--queries"]
    given += [collection / "lsa/queries.parquet", "--splits", "train", "--depth", depth, "--device", "cpu", *more]
    shortlist.main(shortlist.arguments().parse_args(list(map(str, (*given, "--output", collection / "s.parquet")))))
    return tables.read("shortlists", collection / "s.parquet").to_pylist()


@pytest.mark.parametrize("depth", [5, 79, 500])
def test_lists_are_the_nearest_documents(collection, depth):
    _, queries = vector_shards.read_shard(collection / "lsa/queries.parquet")
    _, documents = vector_shards.read_shard(collection / "lsa/documents.parquet")
    similar = queries.astype(float) @ documents.T.astype(float)
    lists = listed(collection, depth)
    assert [row["query_id"] for row in lists] == [f"q{i}" for i in range(N)]
    for number, row in enumerate(lists):
        order = [int(i) for i in np.argsort(-similar[number]) if not (number == 3 and i == 3)]
        assert row["rows"] == order[:depth]
        assert row["scores"] == pytest.approx(similar[number, row["rows"]].tolist(), abs=1e-5)
    rows = read_shortlists(collection / "s.parquet", pa.array(["q7", "q3"]))
    assert rows.shape == (2, min(depth, DOCUMENTS))
    assert [r for r in rows[1] if r >= 0] == lists[3]["rows"]
    with pytest.raises(StudyError, match=r"s\.parquet: has no list of query x"):
        read_shortlists(collection / "s.parquet", pa.array(["x"]))
