"""Archives in the published layout, against the published formula."""

import io
import json
import zipfile

import numpy as np
import pytest

from rankscale.core.errors import StudyError
from rankscale.evaluation import result_archives
from tests.conftest import stage


def published(rank, loss):
    """The formula with its epsilon, term by term: over the ranks seen, p and mean losses; q is their softmax."""
    eps, parts = 1e-10, {}
    for r in sorted(set(rank.tolist())):
        mine = rank == r
        parts[r] = mine.mean(), loss[mine].mean()
    p, c = map(np.array, zip(*parts.values(), strict=True))
    z = np.exp(-c).sum()
    q = np.exp(-c) / z
    return -(p * np.log(p + eps)).sum(), (p * (np.log(p + eps) - np.log(q + eps))).sum(), -np.log(z + eps)


@pytest.fixture
def archive(tmp_path):
    random = np.random.default_rng(0)
    rank = random.geometric(0.2, 400) - 1
    loss = 0.3 * rank + random.exponential(0.5, 400)
    np.savez(tmp_path / "a.npz", rank=rank, loss=loss, qids=np.arange(400).astype(str))
    return tmp_path / "a.npz", rank, loss


def test_the_published_formula_is_reproduced(archive):
    path, rank, loss = archive
    done = stage("decompose", path, "--json")
    results = json.loads(done.stdout.splitlines()[0])
    assert set(results) == {"expected", "optimistic"}
    optimistic = [results["optimistic"][k] for k in ("rank_entropy", "rank_score_alignment", "score_uncertainty")]
    assert np.allclose(optimistic, published(rank, loss), atol=1e-6)
    for values in results.values():
        assert values["cross_entropy"] == pytest.approx(loss.mean())
        parts = values["rank_entropy"] + values["rank_score_alignment"] + values["score_uncertainty"]
        assert parts == pytest.approx(values["cross_entropy"], abs=1e-9)
        assert values["mrr"] == pytest.approx((1 / (1 + rank)).mean())
    assert results["expected"]["rank_entropy"] > results["optimistic"]["rank_entropy"]  # what the plug-in lacks


def test_it_is_printed_to_be_read(archive):
    output = stage("decompose", archive[0], "--n-candidates", 64).stdout
    assert "400 queries" in output
    assert output.count("rank entropy") == 2
    assert "optimistic: correction none (archives hold no ties)" in output


def damaged(path, **arrays):
    np.savez(path, **arrays)
    return path


GOOD = {"rank": np.arange(4), "loss": np.ones(4), "qids": np.arange(4)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": None}, "has no array rank"),
        ({"rank": np.arange(3)}, "rank, loss and qids hold 3, 4 and 4 values"),
        ({"qids": np.array([1, 2, 2, 3])}, "query 2 stands in qids 2 times"),
        ({"rank": np.array([0, 1, -1, 2])}, "rank of query number 2 is -1"),
        ({"rank": np.array([0, 1, 0.5, 2])}, "rank of query number 2 is 0.5"),
        ({"loss": np.array([0, np.nan, 1, 2])}, "loss of query number 1 is nan"),
        ({"loss": np.array(list("abcd"))}, "loss is not an array of numbers"),
        ({"qids": np.array([{}, [], 1, 2], dtype=object)}, "cannot be read as a NumPy archive"),
        ({key: value[:1] for key, value in GOOD.items()}, "needs two queries or more"),
    ],
)
def test_what_is_no_such_archive_is_named(tmp_path, change, message):
    arrays = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    done = stage("decompose", damaged(tmp_path / "bad.npz", **arrays), check=False)
    assert done.returncode == 1
    assert message in done.stdout
    assert str(tmp_path / "bad.npz") in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"rank,loss\n1,2\n", None])
def test_what_is_no_archive_at_all_is_named(tmp_path, content):
    path = tmp_path / "x.npz"
    if content is not None:
        path.write_bytes(content)
    done = stage("decompose", path, check=False)
    assert done.returncode == 1
    assert "x.npz: " in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout


def absurd(path, shape):
    """An archive whose array `rank` names a shape and holds nothing."""
    damaged(path, **GOOD)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in {**members, "rank.npy": header.getvalue()}.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize("shape", [(10**14,), (10**30,), (-1,)])
def test_a_header_of_absurd_size_is_refused(tmp_path, shape):
    with pytest.raises(StudyError, match=r"a.npz: cannot be read as a NumPy archive"):
        result_archives.read(absurd(tmp_path / "a.npz", shape))


def test_an_array_that_unpacks_to_gigabytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(result_archives, "LARGEST", 1000)
    with pytest.raises(StudyError, match=r"rank.npy holds 8,128 bytes"):
        result_archives.read(damaged(tmp_path / "a.npz", rank=np.zeros(1000, int), loss=np.ones(1), qids=np.ones(1)))
