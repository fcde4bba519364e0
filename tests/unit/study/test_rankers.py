"""Kinds of ranker: what each run is told of its own, and what no kind can do."""

import copy
import dataclasses

import pytest
import yaml

from rankscale.core.errors import StudyError
from rankscale.models.options import ModelOptions
from rankscale.models.registry import RANKERS
from rankscale.study import stage_arguments, variants
from rankscale.study.config import check_config, schema
from tests.conftest import SMALL

KINDS = schema()["$defs"]["rankers"]


def study(ranker=None, ways=(), **training):
    config = yaml.safe_load(SMALL)
    config["training"] |= training
    config |= {"ranker": copy.deepcopy(ranker)} if ranker else {}
    return check_config({**config, "variants": copy.deepcopy(list(ways))})


def told(config, name="base"):
    return stage_arguments.train(variants.study_of(config, name), "L1H16")


def test_the_schema_lists_the_kinds_that_there_are():
    assert set(KINDS) == set(RANKERS)
    default = next(field.default for field in dataclasses.fields(ModelOptions) if field.name == "ranker")
    assert schema()["properties"]["ranker"]["properties"]["kind"]["default"] == default


def test_a_bi_encoder_is_told_what_it_was_told_before_there_were_kinds():
    """Another word would train every finished run anew."""
    assert "--ranker" not in told(study())
    assert told(study()) == told(study({"kind": "bi_encoder", "pooling": "mean"}))
    assert """--ranker bi_encoder --ranker-parameters '{"pooling": "cls"}'""" in told(study({"pooling": "cls"}))


def test_a_variant_is_another_kind_as_a_whole():
    both = study(ways=[{"name": "base"}, {"name": "first", "ranker": {"pooling": "cls"}}])
    assert told(both) == told(study())
    assert told(both, "first") == told(study({"pooling": "cls"}))
    assert variants.study_of(both, "first")["ranker"] == {"kind": "bi_encoder", "pooling": "cls"}
    assert check_config(both) == both


@pytest.mark.parametrize(
    ("ranker", "said"),
    [
        ({"kind": "splade"}, "ranker.kind: there is no kind splade; there are bi_encoder"),
        ({"pooling": "max"}, "ranker.pooling: max is not allowed"),
        ({"poling": "cls"}, "ranker.poling: unknown key; did you mean pooling?"),
    ],
)
def test_what_is_no_ranker_is_named(ranker, said):
    with pytest.raises(StudyError) as error:
        study(ranker)
    assert said in str(error.value)
    with pytest.raises(StudyError, match="variants: other: ranker"):
        study(ways=[{"name": "base"}, {"name": "other", "ranker": ranker}])


def test_two_variants_of_one_ranker_are_the_same():
    with pytest.raises(StudyError, match="variants: base and same train in the same way"):
        study(ways=[{"name": "base"}, {"name": "same", "ranker": {"pooling": "mean"}}])
