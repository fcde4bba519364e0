"""Exact search and hard negatives, against a naive search."""

import json
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from rankscale.collection.qrels import positives_of
from rankscale.core.errors import StudyError
from rankscale.search import exact_search, miner
from rankscale.search.hard_negatives import Filters, draw_fill_documents, select
from rankscale.stages import mine
from rankscale.storage import tables
from tests.conftest import stage, write_copies
from tests.unit.storage.test_tables import save

# The GPU's way of searching is a matter of rounding and what is kept; it can be told on any device.
WAYS = {"faiss": None, "half": partial(exact_search._scan_gpu, device="cpu")}


def naive(documents, queries, depth):
    """Every score in double, sorted stably by document order."""
    scores = (queries.astype(np.float64) @ documents.T.astype(np.float64)).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    return np.take_along_axis(scores, order, 1), order


def search(documents, queries, depth, parts=1, way="faiss", order=None):
    best = exact_search.TopK(queries, depth)
    best.scan = WAYS[way] or best.scan
    rows = np.arange(len(documents)) if order is None else order
    for chunk in np.array_split(rows, parts):
        best.add(np.sort(chunk), documents[np.sort(chunk)])
    return best.result()


def whole_numbers(random, shape):
    """Vectors whose products are exact in every precision, so that ties are ties everywhere."""
    return random.integers(-3, 4, shape).astype(np.float32)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("depth", [1, 10, 150, 400])
def test_search_is_exact_and_ties_keep_document_order(depth, parts, way):
    random = np.random.default_rng(0)
    documents, queries = whole_numbers(random, (300, 16)), whole_numbers(random, (30, 16))
    documents[40:240] = documents[random.integers(0, 10, 200)]  # many equal documents, and many equal scores besides
    scores, rows = search(documents, queries, depth, parts, way)
    expected_scores, expected = naive(documents, queries, depth)
    n = expected.shape[1]
    assert np.array_equal(rows[:, :n], expected)
    assert np.array_equal(scores[:, :n], expected_scores)
    assert (rows[:, n:] == -1).all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [1.0, 1e-4, 300.0])
def test_of_any_vectors_the_result_is_the_naive_one_up_to_rounding(way, size):
    random = np.random.default_rng(1)
    documents = (random.normal(size=(5000, 48)) * size).astype(np.float16)
    queries = (random.normal(size=(40, 48)) * size).astype(np.float32)
    scores, rows = search(documents, queries, 100, 3, way)
    expected, order = naive(documents, queries, 100)
    assert np.allclose(scores, expected, rtol=1e-5, atol=1e-6 * size**2)
    assert (rows == order).mean() > 0.999  # those that differ have scores that rounding cannot tell apart


def test_what_sixteen_bits_cannot_tell_apart_is_scored_exactly():
    """Scores that differ in the fourth digit: rounding to 16 bits would shuffle them."""
    documents = np.ones((3000, 8), np.float32)
    documents[:, 0] += np.random.default_rng(2).permutation(3000) * 1e-5
    queries = np.eye(8, dtype=np.float32)[:1] + 1
    for way in WAYS:
        assert np.array_equal(search(documents, queries, 50, way=way)[1], naive(documents, queries, 50)[1])


@pytest.mark.parametrize("dimension", [1, 4, 100, 384])
def test_equal_vectors_tie_to_the_bit_wherever_they_stand(dimension):
    random = np.random.default_rng(3)
    documents = np.repeat(random.normal(size=(1, dimension)).astype(np.float32), 3000, 0)
    queries = random.normal(size=(1500, dimension)).astype(np.float32)
    scores, rows = search(documents, queries, 20, parts=4)
    assert (rows == np.arange(20)).all()
    assert (scores == scores[:, :1]).all()


def test_parts_may_come_in_any_order():
    random = np.random.default_rng(4)
    documents, queries = whole_numbers(random, (200, 6)), whole_numbers(random, (9, 6))
    documents[100:] = documents[:100]
    assert np.array_equal(
        search(documents, queries, 30, 5, order=random.permutation(200))[1], naive(documents, queries, 30)[1]
    )


def test_the_top_k_is_a_prefix_of_a_longer_one():
    random = np.random.default_rng(1)
    documents, queries = (random.normal(size=(n, 8)).astype(np.float32) for n in (500, 20))
    assert np.array_equal(search(documents, queries, 10)[1], search(documents, queries, 100)[1][:, :10])


def test_packed_scores_sort_as_scores_and_rows_do():
    scores = np.array([[0.0, -0.0, np.inf, -np.inf, 1e-30, -1e-30, -2.5, 2.5]], np.float32)
    rows = np.array([[5, 4, 3, 2, 1, 0, 7, 2**32 - 2]])
    back, back_rows = exact_search.unpack(np.sort(exact_search.pack(scores, rows)))
    assert back_rows.tolist() == [[3, 2**32 - 2, 1, 4, 5, 0, 7, 2]]
    assert (np.diff(back[0][1:-1]) <= 0).all()


def test_vectors_too_large_for_a_product_are_refused():
    with pytest.raises(StudyError, match="a score is not finite"):
        search(np.array([[1e30, 1e30]], np.float32), np.array([[1e30, -1e30]], np.float32), 1)


def test_an_overflow_that_faiss_passes_over_is_refused_and_an_empty_part_is_nothing():
    with pytest.raises(StudyError, match="a score is not finite"):
        search(np.array([[1, 0], [-6e4, -6e4], [2, 0]], np.float32), np.array([[1e38, 1e38]], np.float32), 3)
    best = exact_search.TopK(np.ones((1, 2), np.float32), 1)
    best.add(np.arange(0), np.empty((0, 2), np.float32))
    assert best.result()[1].tolist() == [[-1]]


RANKED = np.array([[5, 6, 7, 8, 9], [5, 6, 7, 8, 9]])
SCORES = np.array([[5.0, 4.0, 3.0, 2.0, 1.0], [-1.0, -2.0, -3.0, -4.0, -5.0]], np.float32)
POSITIVES = [np.array([6]), np.array([6, 8])]  # the lowest positive scores 4 and -4
LOWEST = np.array([4.0, -4.0], np.float32)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(range_max=9), [[5, 7, 8, 9], [5, 7, 9]]),
        (Filters(range_min=1, range_max=9), [[7, 8, 9], [7, 9]]),
        (Filters(range_max=2), [[5, 7], [5, 7]]),
        (Filters(range_max=9, max_score=2.5), [[8, 9], [5, 7, 9]]),
        # At most 4 - 1.5 = 2.5, and -4 - 1.5 = -5.5.
        (Filters(range_max=9, absolute_margin=1.5), [[8, 9], []]),
        # At most 4 - .3 x 4 = 2.8, and -4 - .2 x 4 = -4.8: a margin lowers the limit for negative scores too.
        (Filters(range_max=9, relative_margin=0.3), [[8, 9], []]),
        (Filters(range_max=9, relative_margin=0.2), [[7, 8, 9][0:3], [9]]),
        (Filters(range_max=9, relative_margin=0.0), [[7, 8, 9], [9]]),
    ],
)
def test_filters_by_hand(filters, expected):
    lists, _ = select(RANKED, SCORES, POSITIVES, LOWEST, 4, filters)
    assert [row[:n].tolist() for row, n in zip(lists.rows, lists.mined, strict=True)] == expected
    assert (lists.rows[np.arange(4) >= lists.mined[:, None]] == -1).all()


def test_a_copy_of_the_positive_is_not_judged_by_its_last_bit():
    limit = np.float32(0.7)
    scores = np.array(
        [[np.nextafter(limit, np.float32(1)), limit, np.nextafter(limit, np.float32(0)), 0.69]], np.float32
    )
    assert Filters(absolute_margin=0.0).too_high(scores, np.array([limit])).tolist() == [[True, True, True, False]]


def test_a_query_s_list_does_not_hang_on_the_others(mined):
    """One more query in the shard, with many positives: the lists of the rest stay as they are, fills too."""
    filled = mined("--range-max", 6, "--short", "fill")
    folder = mined.folder
    before = (folder / "qrels.parquet").read_bytes()
    qrels = tables.read("qrels", folder / "qrels.parquet").to_pydict()
    taken = set(qrels["row"])
    more = [r for r in range(300) if r not in taken and not any(r in row for row in filled["rows"][1:])][:40]
    for row in more:
        for name, value in (("split", "train"), ("query_id", "q0"), ("doc_id", f"d{row}"), ("row", row)):
            qrels[name].append(value)
    many = {**qrels, "grade": 1, "positive": True}
    tables.write("qrels", many, folder / "qrels.parquet")
    again = mined("--range-max", 6, "--short", "fill")
    (folder / "qrels.parquet").write_bytes(before)
    assert [row[:6] for row in again["rows"][1:]] == [row[:6] for row in filled["rows"][1:]]
    assert len(more) >= 10


def test_vectors_of_another_dimension_are_named(mined):
    harmed = mined.folder / "documents1.parquet"
    before = harmed.read_bytes()
    save(harmed, np.ones((1, 5)), ["d50"])
    assert "documents1.parquet: its vectors have 5 dimensions, those of" in mined(check=False).stdout
    harmed.write_bytes(before)


def test_what_was_left_out_is_counted():
    _, counts = select(RANKED, SCORES, POSITIVES, LOWEST, 4, Filters(range_min=1, range_max=2, max_score=2.5))
    assert counts == {
        "judged positive": 3,
        "before the rank window": 2,
        "after the rank window": 3,
        "too near to a positive": 1,
    }


def test_a_fill_draws_what_is_free_and_unseen_and_begins_as_a_longer_one():
    free, ranked = np.arange(10, 200), np.array([[10, 11, 12]] * 2)
    short, long = (draw_fill_documents(["a", "b"], ranked, np.array([n, n]), free, 0, 2) for n in (3, 20))
    for s, t in zip(short, long, strict=True):
        assert len(set(t)) == len(t) >= 20
        assert not {10, 11, 12} & set(t)
        assert set(t) <= set(free)
        assert np.array_equal(t[: len(s)], s)
    assert not np.array_equal(long[0], long[1])


N, TOP = 40, 10


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    """A collection of 300 documents with vectors in three shards, and a way to mine it."""
    folder = tmp_path_factory.mktemp("mined")
    random = np.random.default_rng(5)
    documents, queries = (random.normal(size=(n, 12)).astype(np.float16) for n in (300, N))
    ids, names = [f"d{i}" for i in range(300)], [f"q{i}" for i in range(N)]
    tables.write("documents", {"doc_id": ids, "title": "", "text": ["t"] * 300}, folder / "documents.parquet")
    tables.write("queries", {"query_id": names, "text": ["q"] * N}, folder / "queries.parquet")
    near = naive(documents, queries.astype(np.float32), 1)[1][:, 0]
    judged = {"split": ["train"] * N, "query_id": names, "doc_id": [ids[r] for r in near], "row": near}
    tables.write("qrels", {**judged, "grade": 1, "positive": True}, folder / "qrels.parquet")
    write_copies(folder)
    for i, rows in enumerate((slice(0, 50), slice(50, 51), slice(51, 300))):
        save(folder / f"documents{i}.parquet", documents[rows], ids[rows])
    save(folder / "queries0.parquet", queries, names)

    def go(*more, check=True, shards=3):
        shard_files = ("--documents", *(folder / f"documents{i}.parquet" for i in range(shards)))
        out = ("--output", folder / "out.parquet", "--manifest", folder / "out.json")
        arguments = ("--collection", folder, *shard_files, "--queries", folder / "queries0.parquet", "--top-k", TOP)
        done = stage("mine", *arguments, *out, *more, check=check)
        return tables.read("negatives", folder / "out.parquet").to_pydict() if check else done

    go.folder, go.near, go.vectors = folder, near, (documents, queries)
    go.ranking = naive(documents, queries.astype(np.float32), 300)[1]
    return go


def test_lists_are_the_nearest_that_are_not_judged(mined):
    table = mined()
    assert table["query_id"] == [f"q{i}" for i in range(N)]
    assert table["mined"] == [TOP] * N
    for row, ranking, positive in zip(table["rows"], mined.ranking, mined.near, strict=True):
        assert row == [r for r in ranking if r != positive][:TOP]


def test_a_copy_of_a_positive_and_the_query_itself_are_no_negatives(mined):
    """The nearest that is left is made a copy of the positive of q0, the one after it is q0 itself."""
    before, folder = mined(), mined.folder
    positive, (copy, itself) = int(mined.near[0]), before["rows"][0][:2]
    write_copies(folder, sorted((row, min(positive, copy)) for row in (positive, copy)), [("q0", itself)])
    try:
        after, filled = mined(), mined("--range-max", 6, "--short", "fill")
        counted = json.loads((folder / "out.json").read_text())["left_out"]
    finally:
        write_copies(folder)
    expected = [r for r in mined.ranking[0] if r not in (positive, copy, itself)]
    assert after["rows"][0] == expected[:TOP]
    assert filled["rows"][0][:6] == expected[:6]
    assert not {positive, copy, itself} & set(filled["rows"][0])
    others = [i for i in range(N) if mined.near[i] not in (positive, copy)]
    assert [after["rows"][i] for i in others] == [before["rows"][i] for i in others]
    assert counted["copy of a positive, or the query itself"] >= 2  # another query may have the same positive


def test_short_lists_are_refused_or_filled(mined):
    filters = ("--max-score", -1.0, "--range-max", 300)
    assert all(max(scores) <= -1 for scores in mined(*filters)["scores"])
    done = mined("--range-max", 6, check=False)
    assert done.returncode == 1
    message = "query q0 has only 6 documents that are not its positives and pass the filters"
    assert message in done.stdout
    assert "or set miner.short to fill" in done.stdout
    table = mined("--range-max", 6, "--short", "fill")
    positive = set(mined.near)
    assert table["mined"] == [6] * N
    for row, ranking, own in zip(table["rows"], mined.ranking, mined.near, strict=True):
        assert row[:6] == [r for r in ranking if r != own][:6]
        assert len(set(row)) == TOP
        assert not positive & set(row[6:])
    assert '"lists_filled": 40' in (mined.folder / "out.json").read_text()


def test_a_filter_that_few_documents_pass_is_filled_as_long_as_there_are_some(mined):
    """A fifth or so of what is drawn passes: two draws for each place would not do."""
    documents, queries = mined.vectors
    limit = np.sort((queries.astype(float) @ documents.T.astype(float)), axis=1)[:, 60].max()
    table = mined("--range-max", 10, "--max-score", limit, "--short", "fill")
    assert all(max(scores) <= limit for scores in table["scores"])
    assert min(table["mined"]) == 0


def test_no_negatives_left_even_to_fill_with_is_refused(mined):
    done = mined("--max-score", -1e9, "--range-max", 300, "--short", "fill", check=False)
    assert "query q0 has only 0 documents" in done.stdout.splitlines()[-1]
    assert "short to fill" not in done.stdout


def test_shards_that_are_not_the_collection_are_named(mined):
    assert "the shards have vectors of 51" in mined(check=False, shards=2).stdout
    harmed = mined.folder / "documents1.parquet"
    before = harmed.read_bytes()
    save(harmed, np.ones((1, 12)), ["d999"])
    assert f"{harmed}: its vectors and" in mined(check=False).stdout
    harmed.write_bytes(before[:-9])
    assert f"{harmed}: not a whole Parquet table" in mined(check=False).stdout
    harmed.write_bytes(before)


def test_what_is_judged_not_positive_is_none_and_a_second_split_repeats_nothing():
    qrels = pa.table({"query_id": ["q", "q", "q", "x"], "row": [0, 1, 1, 3], "positive": [False, True, True, True]})
    (rows,) = positives_of(qrels, pa.array(["q"]))
    assert rows.tolist() == [1]


def test_more_queries_than_memory_holds_are_mined_in_several_passes(mined, monkeypatch):
    monkeypatch.setattr(miner, "STATE", 8 * 11 * 7)  # seven queries at a time
    monkeypatch.setattr(miner, "BLOCK", 3)
    args = mine.arguments().parse_args(
        ["--collection", str(mined.folder), "--documents"]
        + [str(mined.folder / f"documents{i}.parquet") for i in range(3)]
        + ["--queries", str(mined.folder / "queries0.parquet"), "--top-k", str(TOP)]
        + ["--output", str(mined.folder / "b.parquet"), "--manifest", str(mined.folder / "b.json")]
    )
    args.study, args.settings = "", {}
    mine.main(args)
    assert tables.read("negatives", mined.folder / "b.parquet").to_pydict() == mined()
