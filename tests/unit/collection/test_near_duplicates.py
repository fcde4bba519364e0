"""Pairs that are too like the test pairs are found, and left out."""

import numpy as np
import pytest

from rankscale.collection import docstrings, near_duplicates
from rankscale.collection.docstrings import Pair
from rankscale.collection.near_duplicates import largest_similarity
from rankscale.collection.options import CollectOptions
from rankscale.core.errors import StudyError


def texts(n, seed):
    random = np.random.default_rng(seed)
    words = np.array([f"word{i}" for i in range(400)])
    return [" ".join(random.choice(words, 20)) for _ in range(n)]


def test_similarity_is_that_of_the_nearest_whatever_the_blocks(monkeypatch):
    own, others = texts(50, 1), texts(30, 2)
    own[7] = others[3]
    own[8] = others[4].rsplit(" ", 3)[0]
    similarity = largest_similarity(own, others)
    assert similarity.shape == (50,)
    assert similarity[7] == pytest.approx(1, abs=1e-6)
    assert 0.8 < similarity[8] < 1
    assert np.delete(similarity, [7, 8]).max() < 0.6
    monkeypatch.setattr(near_duplicates, "BLOCK", 7)
    assert np.array_equal(largest_similarity(own, others), similarity)


@pytest.fixture
def embedded(monkeypatch):
    """Forty pairs in place of those of the packages; every fourth nearly repeats the one before it."""
    bodies = texts(40, 3)
    for i in range(3, 40, 4):
        bodies[i] = f"{bodies[i - 1]} again"
    pairs = [Pair(f"m.f{i}", " ".join(body.split()[:5]), body) for i, body in enumerate(bodies)]
    monkeypatch.setattr(docstrings, "harvest", lambda packages: pairs)
    return pairs


def collected(tmp_path, limit):
    options = CollectOptions(source="docstrings", test_queries=15, dev_queries=5, max_test_similarity=limit)
    return docstrings.read(options, tmp_path)


def by_split(source):
    return {split: [judgment.doc_id for judgment in judged] for split, judged in source.judgments.items()}


def test_pairs_too_like_the_test_pairs_are_left_out_and_counted(embedded, tmp_path):
    everything, kept = (collected(tmp_path, limit) for limit in (None, 0.8))
    before, after = by_split(everything), by_split(kept)
    assert "left_out_as_similar" not in everything.facts
    assert after["test"] == before["test"]
    number = {name: int(name.removeprefix("m.f")) for names in before.values() for name in names}
    test = {number[name] for name in before["test"]}

    def repeats(name):
        i = number[name]
        return (i % 4 == 3 and i - 1 in test) or (i % 4 == 2 and i + 1 in test)

    for split in ("train", "dev"):
        assert after[split] == [name for name in before[split] if not repeats(name)]
        assert kept.facts["left_out_as_similar"][split] == len(before[split]) - len(after[split])
    assert sum(kept.facts["left_out_as_similar"].values()) >= 2
    documents = [text.id for text in kept.documents]
    assert sorted(documents) == sorted(name for names in after.values() for name in names)


def test_a_limit_that_leaves_nothing_to_train_on_is_refused(embedded, tmp_path):
    with pytest.raises(StudyError, match=r"collection\.max_test_similarity: 0\.0001 leaves no training query"):
        collected(tmp_path, 0.0001)
