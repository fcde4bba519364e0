"""Kinds of ranker trained on a tiny collection: by their own parameters, kept with them, found again."""

import pytest

from rankscale.core.errors import StudyError
from rankscale.core.interrupts import Stop
from rankscale.models.checkpoints import load_checkpoint
from tests.unit.training.small_collection import trainer, write_collection


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return write_collection(tmp_path_factory.mktemp("collection"))


def trained(collection, output, *more):
    """The checkpoint of a finished run."""
    run = trainer(collection, output, *more)
    run.train(Stop())
    run.publish()
    return output / "run/final.safetensors"


def test_a_bi_encoder_may_pool_its_first_state(collection, tmp_path):
    told = {
        "mean": ("--ranker-parameters", '{"pooling": "mean"}'),
        "first": ("--ranker-parameters", '{"pooling": "cls"}'),
        "plain": (),
    }
    paths = {name: trained(collection, tmp_path / name, *more) for name, more in told.items()}
    models = {name: load_checkpoint(path)[0] for name, path in paths.items()}
    assert {name: model.pooling for name, model in models.items()} == {"mean": "mean", "first": "cls", "plain": "mean"}
    assert paths["mean"].read_bytes() == paths["plain"].read_bytes() != paths["first"].read_bytes()


def test_a_parameter_of_another_kind_is_named(collection, tmp_path):
    with pytest.raises(StudyError, match=r"--ranker-parameters: bi_encoder has others .*token_dim"):
        trainer(collection, tmp_path, "--ranker-parameters", '{"token_dim": 4}')
