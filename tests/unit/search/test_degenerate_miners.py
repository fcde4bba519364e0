"""Miners that cannot read the texts: counted and refused; texts without blanks; queries with very many positives."""

import json
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from rankscale.core.errors import StudyError
from rankscale.search import encoders
from rankscale.search.miner import Miner, MiningData
from rankscale.search.options import EncodeOptions, MineOptions
from rankscale.stages import mine
from rankscale.storage import tables
from tests.conftest import write_copies
from tests.unit.storage.test_tables import save

N = 40


def mined(folder, documents, queries, positives=None, **options):
    """Every table of a miner over these vectors, and the miner."""
    save(folder / "documents.parquet", documents.astype(np.float16), [f"d{i}" for i in range(len(documents))])
    positives = positives or [np.empty(0, np.int64)] * len(queries)
    answers = np.unique(np.concatenate(positives))
    ids = pa.array([f"q{i}" for i in range(len(queries))])
    vectors = queries.astype(np.float16).astype(np.float32)
    data = MiningData(ids, vectors, positives, positives, answers, len(documents), [folder / "documents.parquet"])
    miner = Miner(data, MineOptions(**{"top_k": 5, **options}), "cpu")
    return miner, pa.concat_tables(miner.tables())


@pytest.fixture
def vectors():
    random = np.random.default_rng(0)
    return random.normal(size=(200, 8)), random.normal(size=(N, 8))


def test_what_tells_something_passes_and_counts_nothing(tmp_path, vectors):
    miner, _ = mined(tmp_path, *vectors)
    assert miner.quality.counts == {
        **{"lists": N, "negatives": 5 * N, "zero_queries": 0, "tied_lists": 0, "useless_lists": 0},
        **{"copies": 0, "copies_of_query": 0, "copies_of_positive": 0},
    }


def test_queries_without_a_vector_are_counted_up_to_a_tenth(tmp_path, vectors):
    documents, queries = vectors
    queries[[3, 17, 20, 21]] = 0
    miner, _ = mined(tmp_path, documents, queries)
    assert miner.quality.counts["zero_queries"] == miner.quality.counts["tied_lists"] == 4
    queries[22] = 0
    with pytest.raises(StudyError, match=r"miner.encoder: tells nothing of 5 of 40 queries, e.g. q3: .* 5 are zero"):
        mined(tmp_path, documents, queries)


def test_documents_that_are_all_the_same_are_refused(tmp_path, vectors):
    _, queries = vectors
    with pytest.raises(StudyError, match=r"0 are zero, and 40 lists have one score"):
        mined(tmp_path, np.ones((200, 8)), queries)


def test_negatives_with_the_vector_of_the_query_or_of_its_positive(tmp_path, vectors):
    documents, queries = (np.pad(each, ((0, 0), (0, 4))) for each in vectors)
    queries[:4] = 3 * np.eye(12)[8:]  # of no document but its copies
    documents[:2], documents[50:55] = queries[0], queries[1]  # 50 is judged
    positives = [np.empty(0, np.int64)] * N
    positives[1] = np.array([50])
    miner, table = mined(tmp_path, documents, queries, positives, top_k=10)
    assert set(table["rows"][1].as_py()) >= {51, 52, 53, 54}
    counts = miner.quality.counts
    assert (counts["copies"], counts["copies_of_query"], counts["copies_of_positive"]) == (2 + 4, 2 + 4, 4)
    documents[100:105] = queries[2]
    documents[105:110] = queries[4:10] = queries[3]
    with pytest.raises(StudyError, match=r"miner: 46 of 400 negatives have the vector of their query"):
        mined(tmp_path, documents, queries, positives, top_k=10)


def test_the_manifest_says_it(tmp_path, vectors, caplog):
    documents, queries = vectors
    queries[7] = 0
    ids, names = [f"d{i}" for i in range(200)], [f"q{i}" for i in range(N)]
    tables.write("documents", {"doc_id": ids, "title": "", "text": ids}, tmp_path / "documents.parquet")
    tables.write("queries", {"query_id": names, "text": names}, tmp_path / "queries.parquet")
    qrels = {"split": "train", "query_id": names, "doc_id": ids[:N], "row": np.arange(N), "grade": 1, "positive": True}
    tables.write("qrels", qrels, tmp_path / "qrels.parquet")
    write_copies(tmp_path)
    save(tmp_path / "d.parquet", documents.astype(np.float16), ids)
    save(tmp_path / "q.parquet", queries.astype(np.float16), names)
    words = f"--collection {tmp_path} --documents {tmp_path}/d.parquet --queries {tmp_path}/q.parquet --top-k 5"
    words += f" --manifest {tmp_path}/m.json --output {tmp_path}/n.parquet --device cpu"
    mine.main(mine.arguments().parse_args([*words.split(), "--settings", "{}"]))
    quality = json.loads((tmp_path / "m.json").read_text())["quality"]
    assert (quality["lists"], quality["zero_queries"], quality["useless_lists"]) == (N, 1, 1)
    assert "1 of 40 lists tell nothing" in caplog.text


def test_many_positives_take_no_square_and_leave_other_lists_alone(tmp_path):
    random = np.random.default_rng(1)
    documents, queries = random.normal(size=(20_100, 4)), random.normal(size=(5, 4))
    positives = [np.array([0]), np.arange(20_000), *([np.empty(0, np.int64)] * 3)]
    tracemalloc.start()
    _, table = mined(tmp_path, documents, queries, positives)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # all pairs at once are 3.2 GB
    assert table["query_id"].to_pylist() == ["q0", "q2", "q3", "q4", "q1"]
    assert min(table["rows"][4].as_py()) >= 20_000
    _, without = mined(tmp_path, documents, queries, [positives[0], *positives[2:], positives[2]])
    assert table["rows"].to_pylist()[0] == without["rows"].to_pylist()[0]


CHINESE = [
    "长城是中国古代的军事防御工程",
    "熊猫主要吃竹子生活在四川",
    "上海是中国最大的经济中心城市",
    "水在一百度沸腾变成蒸汽",
]
JAPANESE = [
    "富士山は日本で一番高い山です",
    "東京は日本の首都で人口が多い",
    "寿司は酢飯と魚で作る料理です",
    "桜の花は春に咲きます",
]


def collection(folder, texts):
    ids = [f"d{i}" for i in range(len(texts))]
    tables.write("documents", {"doc_id": ids, "title": "", "text": texts}, folder / "documents.parquet")
    return encoders.lsa(folder, 1)


@pytest.mark.parametrize("texts", [CHINESE, JAPANESE])
def test_lsa_tells_passages_without_blanks_apart(tmp_path, texts):
    encode = collection(tmp_path, [text + end for text in texts for end in ("。", "！据说如此")])
    documents = encode("documents", texts)
    queries = encode("queries", [text[:6] for text in texts])
    assert (queries @ documents.T).argmax(1).tolist() == [0, 1, 2, 3]
    assert queries.any(1).all()


def test_lsa_of_a_collection_with_blanks_is_tf_idf_and_svd_to_the_bit(tmp_path):
    random = np.random.default_rng(2)
    words = np.array([f"word{i}" for i in range(300)])
    texts = [" ".join(random.choice(words, 12)) + (" 例: 富士山" if i == 7 else "") for i in range(400)]
    model = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32)
    with threadpool_limits(1):
        svd = TruncatedSVD(encoders.DIMENSION, random_state=0).fit(model.fit_transform(texts))
        expected = normalize(svd.transform(model.transform(texts)))
        assert np.array_equal(collection(tmp_path, texts)("documents", texts), expected)


def test_a_collection_of_one_word_is_refused(tmp_path):
    with pytest.raises(StudyError, match="miner lsa: one word stands in two documents"):
        collection(tmp_path, ["same", "same", "same"])


def test_shards_beyond_the_collection_are_named(tmp_path):
    collection(tmp_path, ["one two", "one two three"])
    with pytest.raises(StudyError, match="5 shards are more than the collection has documents"):
        encoders.shard_rows(tmp_path, "documents", 0, EncodeOptions(shards=5).shards)
