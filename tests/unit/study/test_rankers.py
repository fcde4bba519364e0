"""Kinds of ranker: what each run is told of its own, and what no kind can do."""

import copy
import dataclasses
from argparse import ArgumentTypeError

import pytest
import yaml

from rankscale.core.errors import StudyError
from rankscale.core.layout import FINAL, Layout
from rankscale.evaluation.score_options import searched
from rankscale.models.factory import from_scratch
from rankscale.models.options import ModelOptions
from rankscale.models.registry import RANKERS
from rankscale.study import cost_estimates, grid, stage_arguments, variants
from rankscale.study.config import check_config, schema
from rankscale.text.tokenizers import train_wordpiece
from tests.conftest import SMALL
from tests.unit.study.test_grid import SIZE

SCHEMA = schema()
KINDS = SCHEMA["$defs"]["rankers"]


def study(ranker=None, ways=(), **training):
    config = yaml.safe_load(SMALL)
    config["training"] |= training
    config |= {"ranker": copy.deepcopy(ranker)} if ranker else {}
    return check_config({**config, "variants": copy.deepcopy(list(ways))})


def told(config, name="base"):
    return stage_arguments.train(variants.study_of(config, name), "L1H16")


def test_the_schema_lists_the_kinds_that_there_are():
    assert set(KINDS) == {name for name, ranker in RANKERS.items() if ranker.is_built}
    default = next(field.default for field in dataclasses.fields(ModelOptions) if field.name == "ranker")
    assert SCHEMA["properties"]["ranker"]["properties"]["kind"]["default"] == default


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


CROSS = {"name": "cross", "ranker": {"kind": "cross_encoder"}, "training": {"negatives": "mined"}}


def test_what_cannot_search_reranks_and_says_so():
    both = study(ways=[{"name": "base"}, CROSS])
    assert grid.reranking(both) == ["cross"]
    assert not grid.reranking(study())
    assert "--depth 100" in stage_arguments.shortlist(both)
    alone = {name: variants.study_of(both, name) for name in ("base", "cross")}
    assert "--retrieval full" in stage_arguments.score(alone["base"])
    assert "--retrieval reranked-100" in stage_arguments.score(alone["cross"])
    assert stage_arguments.retrieve(alone["base"]) == stage_arguments.retrieve(study())
    options = SCHEMA["properties"]["evaluation"]["properties"]["full_retrieval"]["oneOf"][1]["properties"]
    assert options["rerank"]["default"] == grid.RERANK_DEPTH
    with pytest.raises(ArgumentTypeError, match="reranked is neither full, pooled nor"):
        searched("reranked")


@pytest.mark.parametrize("kind", ["late_interaction", "cross_encoder"])
def test_the_schema_has_the_defaults_of_a_kind(kind, tmp_path):
    """What the config fills in is what one is made with that is told nothing."""
    train_wordpiece(["a b c"], 30, tmp_path)
    filled = study({"kind": kind}, negatives="mined")["ranker"]
    del filled["kind"]
    made = [
        RANKERS[kind](from_scratch(1, 8, 2, 30, 8), None, **RANKERS[kind].settings_of(own, tmp_path))
        for own in ({}, filled)
    ]
    assert made[0].settings == made[1].settings
    assert made[0].pooling == made[1].pooling or kind == "late_interaction"
    assert str(made[0]) == str(made[1])


@pytest.mark.parametrize(
    ("negatives", "kind", "said"),
    [
        ("mined+in_batch", "cross_encoder", "mined+in_batch: a cross_encoder reads each query with each passage"),
        ("mixed", "late_interaction", "mixed lie between two vectors, and a late_interaction has no"),
        ("mixed", "cross_encoder", "mixed lie between two vectors, and a cross_encoder has no"),
    ],
)
def test_negatives_that_a_kind_cannot_have_are_named(negatives, kind, said):
    with pytest.raises(StudyError) as error:
        study({"kind": kind}, negatives=negatives, negatives_per_query=2)
    assert said in str(error.value)


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


def work(config):
    """FLOPs of training and of evaluation of the first run of each variant."""
    jobs = cost_estimates.job_work(config, SIZE)
    first = {name: next(run for run in grid.runs(config) if run.variant == name) for name in variants.names(config)}
    layout = Layout.of(config)
    found = {job.target: job.flops for job in jobs}
    return {
        name: (found[f"{layout.run(run)}/checkpoints.parquet"], found[layout.table("observations", run, FINAL)])
        for name, run in first.items()
    }


def test_each_kind_costs_what_it_reads():
    """872 parameters; queries of 10 tokens, passages of 20; 256 queries, 2 passes, 1 negative; 400 test queries."""
    late = {"name": "late", "ranker": {"kind": "late_interaction", "token_dim": 16}}
    both = study(ways=[{"name": "base"}, late, CROSS])
    both["evaluation"]["full_retrieval"] = False
    found = work(both)
    n, t = 512, 872

    def forward(count, tokens):
        return count * tokens * (2 * t + 4 * 8 * tokens)

    encoded = forward(n, 10) + forward(2 * n, 20)
    assert found["base"][0] == pytest.approx(3 * encoded)
    assert found["late"][0] == pytest.approx(3 * encoded + 6 * 16 * 2 * n * 32 * 200)
    assert found["cross"][0] == pytest.approx(3 * forward(2 * n, 29))
    assert found["cross"][1] == pytest.approx(forward(400 * (17 + 17), 29))
    read = forward(400, 10) + forward(min(1e6, 400 * 33), 20)
    assert found["late"][1] == pytest.approx(read + 2 * 16 * 400 * 34 * 200)


def test_dynamic_negatives_are_those_of_bi_encoders_with_one_ranker():
    dynamic = {"name": "dynamic", "training": {"negatives": "dynamic"}}
    late = {"ranker": {"kind": "late_interaction"}}
    with pytest.raises(StudyError, match="which no late_interaction has"):
        study(ways=[{"name": "first"}, {**dynamic, **late}])
    with pytest.raises(StudyError, match="start_from: first has another ranker than dynamic"):
        study(ways=[{"name": "first", **late}, dynamic])
    with pytest.raises(StudyError, match="start_from: first has another ranker than dynamic"):
        study(ways=[{"name": "first", "ranker": {"pooling": "cls"}}, dynamic])
