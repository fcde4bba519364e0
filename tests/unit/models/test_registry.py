"""Kinds of ranker: a new one is one entry, trained, kept and found again by its kind."""

import numpy as np
import pytest
import torch

from rankscale.core.errors import StudyError
from rankscale.models import checkpoints
from rankscale.models.bi_encoder import BiEncoder
from rankscale.models.factory import from_scratch
from rankscale.models.packing import Packed
from rankscale.models.registry import RANKERS
from rankscale.stages import train
from rankscale.storage import tables
from tests.unit.training.small_collection import log_of
from tests.unit.training.test_objectives import signals  # noqa: F401 (a fixture)
from tests.unit.training.test_trainer import command, published


class Cosine(BiEncoder):
    """Another head and another score: a kind that somebody adds."""

    kind = "cosine"

    def __init__(self, encoder, dimension, pooling="mean"):
        super().__init__(encoder, dimension, pooling)
        self.head = torch.nn.Sequential(self.head, torch.nn.GELU(), torch.nn.Linear(dimension, dimension, bias=False))

    def score(self, queries, passages, in_batch):
        unit = (torch.nn.functional.normalize(vectors, dim=-1) for vectors in (queries, passages))
        return super().score(*unit, in_batch)


@pytest.mark.parametrize("negatives", ["mined", "mined+in_batch"])
def test_a_new_kind_is_one_entry(shared, tmp_path, monkeypatch, signals, negatives):  # noqa: F811
    monkeypatch.setitem(RANKERS, "cosine", Cosine)
    recipe = ("--negatives", negatives, "--epochs", 4, "--learning-rate", 1e-2)
    for kind in ("cosine", "bi_encoder"):
        train.main(train.arguments().parse_args(command(shared, tmp_path / kind, *recipe, "--ranker", kind)))
    curve = log_of(tmp_path / "cosine")
    assert curve[-4:].mean() < curve[:4].mean()
    assert curve.max() < np.log(32) + 2  # cosines are 1 at most: no loss is further from chance than 2
    path = tmp_path / "cosine/run/final.safetensors"
    model, facts = checkpoints.load_checkpoint(path)
    assert type(model) is Cosine
    assert facts["output_dim"] == 8
    (row,) = tables.read("checkpoints", tmp_path / "cosine/run/checkpoints.parquet").to_pylist()
    assert row["head_parameters"] == 8 * 8 + 8 + 8 * 8  # hidden and dimension are both 8
    checkpoints.save_checkpoint(model, tmp_path / "again.safetensors", facts)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    monkeypatch.delitem(RANKERS, "cosine")
    with pytest.raises(StudyError, match="holds a ranker of kind cosine; this version knows bi_encoder"):
        checkpoints.load_checkpoint(path)
    assert set(published(tmp_path / "cosine")) == set(published(tmp_path / "bi_encoder"))


def test_a_kind_that_is_not_there_is_named(shared, tmp_path, signals):  # noqa: F811
    with pytest.raises(StudyError, match="--ranker: there is no kind splade; there are bi_encoder"):
        train.main(train.arguments().parse_args(command(shared, tmp_path, "--ranker", "splade")))


def test_a_kind_s_name_is_its_entry():
    assert {name: ranker.kind for name, ranker in RANKERS.items()} == {name: name for name in RANKERS}


def test_scores_of_the_batch_hold_each_query_s_own():
    model = BiEncoder(from_scratch(1, 8, 2, 20, 8), 4).eval()
    with torch.no_grad():
        vectors = model(Packed(torch.arange(20), np.array([4, 3, 3, 3, 2, 2, 1, 1, 1]), torch.arange(9)))
    queries, passages = vectors[:3], vectors[3:].view(3, 2, 4)
    own, everyones = model.score(queries, passages, False), model.score(queries, passages, True)
    assert (own.shape, everyones.shape) == ((3, 2), (3, 6))
    assert torch.allclose(everyones.view(3, 3, 2)[torch.arange(3), torch.arange(3)], own, atol=1e-6)
