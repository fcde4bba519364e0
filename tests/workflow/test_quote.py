"""A quote against what the study then did."""

import re

import pytest
import yaml

from rankscale.core.errors import StudyError
from rankscale.core.layout import Layout
from rankscale.search import encoders
from rankscale.storage import tables
from rankscale.study import cost_estimates
from rankscale.study.costs.model_shapes import shape
from tests.conftest import ROOT, SMALL, run


def test_a_finished_study_is_quoted_what_it_took(project, study):
    output = run("rankscale quote --like results/demo", project).stdout
    metrics = tables.read("metrics", study / "metrics.parquet").to_pandas()
    finals = metrics[(metrics.checkpoint == "final") & (metrics.candidates == "hard")]
    jobs, left, flops, hours = re.search(r"^train +(\d+) +(\d+) +(\S+) +(\S+)", output, re.MULTILINE).groups()
    assert (int(jobs), int(left)) == (9, 0)
    assert float(flops) == pytest.approx(finals.train_flops.sum(), rel=0.1)
    seconds = 0.0
    for path in study.glob("models/**/times.parquet"):
        seconds += sum(tables.read("training_times", path)["seconds"].to_pylist())
    # At the rates of the largest subset: smaller ones are slower to start.
    assert 0.2 * seconds < float(hours) * 3600 < 2 * seconds
    assert "0 to run" in output


def test_what_a_finished_study_left_undecided_is_quoted_as_its_report_has_it(project, study):
    verdicts = tables.read("verdicts", study / "verdicts.parquet").to_pandas()
    undecided = verdicts[(verdicts.verdict == "undecided") & (verdicts.candidates == "hard")]
    other = SMALL.replace("study: demo", "study: another")
    (project / "another.yaml").write_text(other)
    heading = "Undecided in results/demo, and what would decide it:\n"
    summary = (study / "summary.md").read_text()
    for command in ("", "--configfile another.yaml --like results/demo"):
        output = run(f"rankscale quote {command}", project).stdout
        assert heading in output
        lines = re.findall(r"^- .*? over .*?\): (.*)\.$", output.partition(heading)[2], re.MULTILINE)
        assert len(lines) == len(undecided) > 0
        assert all(line in summary for line in lines)
    assert heading not in run("rankscale quote --configfile another.yaml", project).stdout


def test_the_disk_that_is_quoted_is_what_the_study_holds(project, study):
    output = run("rankscale quote --at-once 3", project).stdout
    units = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
    sizes = {name: float(n) * units[unit] for name, n, unit in re.findall(r"([a-z ]+) ([\d.e+]+) ([kMG]?B)\b", output)}
    shared = project / "results/shared/docstrings"
    held = {
        "checkpoints": study.glob("models/**/*.safetensors"),
        "vectors": shared.glob("lsa/*/*.parquet"),
        "token ids": shared.glob("tokens/wordpiece/*.parquet"),
        "runs": study.glob("runs/**/*.parquet"),
    }
    for name, paths in held.items():
        value = next(value for key, value in sizes.items() if key.strip() == name)
        files = [path for path in paths if "negatives" not in str(path)]
        # The quote knows nothing of compression.
        assert 0.4 * value < sum(path.stat().st_size for path in files) < 1.2 * value, name
    assert re.search(r"At its peak .* with 3 trainings at once", output)


def test_what_is_kept_and_what_runs_at_once_make_the_peak():
    """Two sizes of 4 bytes x (12 h^2 + 13 h + (1000 + 8) h) weights, of which the larger has one snapshot."""
    models = [{"name": f"L1H{h}", "layers": 1, "hidden": h} for h in (8, 16)]
    training = {"train_queries": [100], "seeds": [1], "negatives": "random", "output_dim": 8, "keep": "final"}
    training["snapshots"] = {"models": ["L1H16"], "steps": [1], "train_queries": "largest"}
    training |= {"cells": None, "steps": None}
    study = {
        "study": "s",
        "collection": {"source": "tsv"},
        "tokenizer": {"vocabulary": 1000},
        "miner": {"encoder": "lsa", "top_k": 10},
        "models": models,
        "training": training,
        "variants": [],
        "ranker": {"kind": "bi_encoder", "pooling": "mean"},
        "evaluation": {"full_retrieval": False, "candidates": {"hard": 4}},
    }
    small, large = (4 * (12 * h**2 + 13 * h + 1008 * h) for h in (8, 16))
    size = {"documents": 10.0, "train": 100.0, "test": 5.0, "passage": 4.0, "query": 2.0}
    size |= {"passage_whole": 6.0, "query_whole": 2.0}
    stays, passes = cost_estimates.disk(study, size, 1)
    assert stays["checkpoints"] == small + large
    assert stays["token ids"] == 2 * (10 * 6 + 105 * 2)
    assert passes["states of training"] == 6 * large + large
    assert cost_estimates.disk(study, size, 2)[1]["states of training"] == 6 * (small + large) + large
    training["keep"] = "all"
    stays, passes = cost_estimates.disk(study, size, 1)
    assert stays["checkpoints"] == small + 2 * large
    assert passes["states of training"] == 6 * large


def test_encoding_and_mining_are_counted_where_the_miner_s_size_is_known(tmp_path):
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 2, "hidden_size": 10}')
    study = {"study": "s", "partial": False, "collection": {"name": "c"}}
    study["miner"] = {"name": "m", "encoder": str(tmp_path), "shards": 2}
    size = {"documents": 100.0, "train": 6.0, "test": 4.0, "passage": 5.0, "query": 3.0}
    encode, _, mine, _ = cost_estimates.mining(study, size)
    parameters = 2 * (12 * 100 + 13 * 10)
    tokens = 100 * 5 * (2 * parameters + 4 * 2 * 10 * 5) + 10 * 3 * (2 * parameters + 4 * 2 * 10 * 3)
    assert (encode.stage, encode.flops, encode.target) == (
        "encode",
        tokens / 2,
        "results/shared/c/m/documents/0.parquet",
    )
    assert (mine.stage, mine.flops) == ("mine", 2 * 10 * 100 * 10 / 2)


def row(output, stage):
    """FLOPs, hours and hours left of a stage."""
    match = re.search(rf"^{stage} +\d+ +\d+ +(\S+) +(\S+) +(\S+)$", output, re.MULTILINE)
    return [float(value) for value in match.groups()]


def test_what_is_left_is_counted_run_by_run(project, study):
    """A model is added that costs more than all others together: it is what is left, not its share of the jobs."""
    bigger = SMALL.replace("models:\n", "models:\n  - {name: BIG, layers: 4, hidden: 256, heads: 2}\n")
    (project / "bigger.yaml").write_text(bigger)
    output = run("rankscale quote --configfile bigger.yaml --device h200", project).stdout
    _, hours, left = row(output, "train")
    assert 0.9 * hours < left < hours
    # Of one run that is there nothing is left, and nothing else is counted.
    one = run("rankscale quote results/demo/models/base/L1H8/256/42/final.safetensors --device h200", project).stdout
    metrics = tables.read("metrics", study / "metrics.parquet").to_pandas()
    took = metrics[(metrics.model == "L1H8") & (metrics.train_queries == 256)].train_flops.iloc[0]
    assert row(one, "train")[0] == pytest.approx(took, rel=0.1)
    assert row(one, "train")[2] == 0


@pytest.mark.parametrize(
    "text", ["", "[]", '{"num_hidden_layers": "2", "hidden_size": 8}', '{"num_hidden_layers": -2}']
)
def test_a_size_that_a_config_does_not_tell_is_unknown(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    assert shape({"name": "mine", "checkpoint": str(tmp_path)}) is None


@pytest.mark.parametrize("target", ["", "metrics ", "results/new/models/base/L1H16/1024/42/final.safetensors "])
def test_the_jobs_of_a_study_that_was_never_run_are_those_of_a_dry_run(project, study, target):
    (project / "new.yaml").write_text(SMALL.replace("study: demo", "study: new"))
    command = f"{target}--configfile new.yaml"
    dry_run = run(f"snakemake -n --cores 1 {command}", project).stdout
    block = re.search(r"job +count\n[- ]+\n(.*?)\ntotal", dry_run, re.DOTALL)[1]
    expected = dict(line.split() for line in block.splitlines())
    trained = int(expected.pop("train", 0)) + int(expected.pop("train_with_snapshots", 0))
    output = run(f"rankscale quote {command}", project).stdout
    table = dict(re.findall(r"^(\w+) +\d+ +(\d+)", output, re.MULTILINE))
    assert int(table["train"]) == trained
    for stage, count in expected.items():
        if stage not in ("all", "metrics"):
            assert table[stage] == count, stage


def test_a_target_is_quoted_alone(project, study):
    output = run("rankscale quote results/demo/candidates/docstrings.parquet", project).stdout
    assert "sample" in output
    assert "train " not in output
    assert "FLOPs" in output


def test_a_subset_larger_than_the_collection_is_said(project, study):
    (project / "larger.yaml").write_text(SMALL.replace("512, 1024]", "512, 9000]"))
    output = run("rankscale quote --configfile larger.yaml", project).stdout
    assert "Not possible: training.train_queries: 9000; the collection has 2500 to train on" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nonsense.parquet", "nonsense.parquet"),
        ("--configfile missing.yaml", "missing.yaml"),
        ("--device abacus", "invalid choice"),
        ("--device h200 --share -1", "--share: -1 is no share of a peak"),
        ("--like results/nothing", "results/nothing/metrics.parquet: there is no such file"),
        ("--at-once 0", "takes a whole number, 1 or more"),
        ("--configfile broken.yaml", "broken.yaml: is no YAML file"),
        ("--configfile empty.yaml", "empty.yaml: has no keys"),
        ("--configfile date.yaml", "date.yaml: is no YAML file (month must be in 1..12"),
        ("--configfile clash.yaml", "study demo made it with sample=3000, study other wants sample=2000"),
    ],
)
def test_what_cannot_be_quoted_is_said_in_one_line(project, study, arguments, message):
    (project / "broken.yaml").write_text("a: [1")
    (project / "empty.yaml").write_text("")
    (project / "date.yaml").write_text("study: 2026-13-45")
    clashing = SMALL.replace("study: demo", "study: other").replace("sample: 3000", "sample: 2000")
    (project / "clash.yaml").write_text(clashing)
    done = run(f"rankscale quote {arguments}", project, check=False)
    assert done.returncode
    assert message in done.stdout
    assert "Traceback" not in done.stdout


def test_sizes_are_read_off_names_where_a_model_is_not_there():
    assert shape({"name": "mini", "checkpoint": "google/bert_uncased_L-4_H-256_A-4"}) == (4, 256)
    assert shape({"name": "L24H1024", "checkpoint": "google-bert/bert-large-uncased"}) == (24, 1024)
    assert shape({"name": "mini", "checkpoint": "some/encoder"}) is None


def test_a_collection_that_is_not_there_cannot_be_counted(tmp_path):
    config = {"collection": {"name": "c", "source": "docstrings"}, "training": {"passage_length": 8, "query_length": 4}}
    with pytest.raises(StudyError, match="the collection is not there yet"):
        cost_estimates.sizes(config, Layout("s", "c", "lsa", root=str(tmp_path)))


def test_what_the_estimates_repeat_is_what_the_workflow_says():
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    assert profile["group-components"] == [
        f"evaluation_{{variant}}_{{model}}_{{train_queries}}_{{seed}}={cost_estimates.TOGETHER}"
    ]
    assert cost_estimates.LSA == encoders.DIMENSION
