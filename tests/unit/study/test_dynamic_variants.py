"""Variants that go on from another one's runs: what they are told, what they read, and what cannot be."""

import copy
import re
import shlex

import pytest
import yaml

from rankscale.core.errors import StudyError
from rankscale.core.layout import Layout
from rankscale.core.options import parsed
from rankscale.stages import refine
from rankscale.study import cost_estimates, grid, provenance, stage_arguments, variants
from rankscale.study.config import check_config
from rankscale.training.refining.options import RefineOptions
from tests.conftest import ROOT, SMALL
from tests.unit.study.test_grid import SIZE

FIRST = {"name": "base"}
ADORE = {"name": "adore", "training": {"negatives": "dynamic", "negatives_per_query": 100, "epochs": 1}}


def study(*ways, **training):
    config = yaml.safe_load(SMALL)
    config["training"] |= {"snapshots": {"models": ["L1H16"], "steps": [1, 2]}, **training}
    return check_config({**config, "variants": copy.deepcopy(list(ways))})


def adore(**training):
    return {"name": "adore", "training": {**ADORE["training"], **training}}


def test_it_starts_from_the_first_or_the_one_named():
    assert variants.starts(study(FIRST)) == {}
    assert variants.starts(study(FIRST, ADORE)) == {"adore": "base"}
    other = {"name": "random", "training": {"negatives": "random"}}
    assert variants.starts(study(FIRST, other, adore(start_from="random"))) == {"adore": "random"}
    assert variants.starts(study(ADORE | adore(start_from="base"), FIRST)) == {"adore": "base"}


def test_the_others_are_told_what_they_were_told():
    one, two = study(FIRST), study(FIRST, ADORE)
    for of in (one, two):
        assert "start" not in stage_arguments.train(variants.study_of(of, "base"), "L1H16")
    assert stage_arguments.train(variants.study_of(one, "base"), "L1H16") == stage_arguments.train(
        variants.study_of(two, "base"), "L1H16"
    )


def test_what_the_config_says_is_what_refine_reads():
    both = study(FIRST, adore(objective={"name": "lambdarank", "cut": 50}))
    line = stage_arguments.refine(variants.study_of(both, "adore"), "L1H16")
    paths = {"collection": "c", "tokens": "t", "scratch": "s", "output": "o", "start": "r", "model": "L1H16"}
    words = [*shlex.split(line), *(word for key, value in paths.items() for word in (f"--{key}", value))]
    options = parsed(RefineOptions, refine.arguments().parse_args(words))
    assert (options.negatives, options.negatives_per_query, options.epochs) == ("dynamic", 100, 1)
    assert (options.objective, options.objective_parameters) == ("lambdarank", '{"cut": 50, "metric": "mrr"}')
    assert (options.query_length, options.passage_length, options.output_dim) == (16, 24, 32)


def test_the_rule_passes_what_no_function_does():
    rule = (ROOT / "workflow/rules/models.smk").read_text().partition("rule refine:")[2].partition("if SNAPSHOTS")[0]
    passed = {name.replace("-", "_") for name in re.findall(r"--([a-z-]+) (?:[{$]|\"\n)", rule)} - {"log"}
    declared = stage_arguments.RUN_OPTIONS | stage_arguments.RUN_PATHS | stage_arguments.RUN_MACHINE | {"start"}
    assert passed | {"snapshots", "scratch", "teacher_scores"} == declared


def test_the_miner_s_lists_are_read_for_weights_alone():
    for more, reads in (({}, False), ({"propensity": {}}, True), ({"curriculum": {}}, True)):
        both = study(FIRST, adore(**more))
        assert grid.trains_on_mined(variants.study_of(both, "adore")) is reads


def test_it_costs_its_queries_the_collection_once_and_the_search():
    both = study(FIRST, ADORE)
    jobs = {job.target: job for job in cost_estimates.job_work(both, SIZE) if job.stage in ("train", "refine")}
    own = jobs["results/demo/models/adore/L1H16/512/42/checkpoints.parquet"]
    assert own.stage == "refine"
    assert jobs["results/demo/models/base/L1H16/512/42/checkpoints.parquet"].stage == "train"
    layers, hidden, width = 1, 16, 32

    def forward(n, tokens):
        return n * tokens * (2 * layers * (12 * hidden**2 + 13 * hidden) + 4 * layers * hidden * tokens)

    searching = 2 * 512 * SIZE["documents"] * width
    expected = 3 * forward(512, SIZE["query"]) + forward(SIZE["documents"], SIZE["passage"]) + searching
    assert own.flops == pytest.approx(expected)


def test_its_log_is_its_stage_s():
    both = study(FIRST, ADORE)
    logs = list(map(str, provenance.logs(both, Layout.of(both), [])))
    assert "results/demo/logs/refine/adore/L1H16/512/42.log" in logs
    assert "results/demo/logs/train/base/L1H16/512/42.log" in logs
    assert not any("train/adore" in log or "refine/base" in log for log in logs)


def test_what_taught_its_start_counts_for_it():
    config = yaml.safe_load(SMALL)
    taught = {"negatives": "mined", "objective": {"name": "kl"}, "teacher": {"scores": "miner"}}
    config["variants"] = [{"name": "base", "training": taught}, adore(objective={"name": "infonce"}, teacher=None)]
    words = shlex.split(stage_arguments.gather(check_config(config), []))
    manifests = {word.partition("=")[0]: word.partition("=")[2] for word in words if word.endswith("/miner.json")}
    assert set(manifests) == {"base", "adore"}


@pytest.mark.parametrize(
    ("ways", "message"),
    [
        ([ADORE], "dynamic ones are found by a model that is trained already; make this one of two"),
        ([ADORE, FIRST], "variants: adore: training.start_from: adore has dynamic negatives itself"),
        ([FIRST, adore(start_from="bas")], "variants: adore: training.start_from: bas is none of variants; they are"),
        ([FIRST, ADORE, {"name": "again", "training": {"negatives": "dynamic", "start_from": "adore"}}],
         "variants: again: training.start_from: adore has dynamic negatives itself"),
        ([FIRST, adore(passage_length=20)], "training.passage_length: 20, but base, whose passages stay .* has 24"),
        ([FIRST, adore(output_dim=8)], "training.output_dim: 8, but base"),
        ([{"name": "base", "training": {"start_from": "adore"}}, ADORE], "training.start_from: only dynamic negatives"),
        ([FIRST, adore(objective={"name": "kl"}, teacher={"scores": "miner"})],
         "variants: adore: training.negatives: kl needs a teacher's scores, and dynamic negatives, found"),
        ([FIRST, adore(objective={"name": "star"})], "training.negatives: star needs the passages of the whole batch"),
        ([FIRST, {"name": "kl", "training": {"negatives": "mined", "objective": {"name": "kl"}, "teacher": {
            "scores": "results/demo/models/adore/L1H16/512/42/final.safetensors"}}}, adore(start_from="kl")],
         "its variant, adore, is taught by this study itself"),
        ([FIRST, adore(snapshots={})], "training.snapshots is common to all variants"),
        ([FIRST, ADORE, {"name": "twin", "training": {**ADORE["training"], "start_from": "base"}}],
         "adore and twin train in the same way"),
        ([FIRST, adore(negatives="dynamic+in_batch")], "training.negatives: dynamic.in_batch is not allowed"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named_as_the_config_is_read(ways, message):
    with pytest.raises(StudyError, match=message):
        study(*ways)


def test_dynamic_negatives_alone_are_refused():
    with pytest.raises(StudyError, match="make this one of two variants"):
        study(negatives="dynamic")
