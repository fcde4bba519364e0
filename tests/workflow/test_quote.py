"""A quote against what the study then did."""

import re

import pytest

from rankscale import quote, tables
from rankscale.errors import StudyError
from tests.conftest import run


def test_a_finished_study_is_quoted_what_it_took(project, study):
    said = run("python -m rankscale.quote --like results/demo", project).stdout
    metrics = tables.read("metrics", study / "metrics.parquet").to_pandas()
    finals = metrics[(metrics.checkpoint == "final") & (metrics.candidates == "hard")]
    jobs, left, flops, hours = re.search(r"^train +(\d+) +(\d+) +(\S+) +(\S+)", said, re.MULTILINE).groups()
    assert (int(jobs), int(left)) == (9, 0)
    assert float(flops) == pytest.approx(finals.train_flops.sum(), rel=0.1)
    seconds = 0.0
    for path in study.glob("models/*/*/*/times.parquet"):
        seconds += sum(tables.read("training_times", path)["seconds"].to_pylist())
    # At the rates of the largest subset: smaller ones are slower to start.
    assert 0.2 * seconds < float(hours) * 3600 < 2 * seconds
    assert "0 to run" in said


def test_a_target_is_quoted_alone(project, study):
    said = run("python -m rankscale.quote results/demo/candidates.parquet", project).stdout
    assert "sample" in said
    assert "train " not in said
    assert "FLOPs" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("nonsense.parquet", "nonsense.parquet"),
        ("--configfile missing.yaml", "missing.yaml"),
        ("--device abacus", "invalid choice"),
    ],
)
def test_what_cannot_be_quoted_is_said_in_one_line(project, study, arguments, said):
    done = run(f"python -m rankscale.quote {arguments}", project, check=False)
    assert done.returncode
    assert said in done.stdout
    assert "Traceback" not in done.stdout


def test_sizes_are_read_off_names_where_a_model_is_not_there():
    assert quote.shape({"name": "mini", "checkpoint": "google/bert_uncased_L-4_H-256_A-4"}) == (4, 256)
    assert quote.shape({"name": "L24H1024", "checkpoint": "google-bert/bert-large-uncased"}) == (24, 1024)
    assert quote.shape({"name": "mini", "checkpoint": "some/encoder"}) is None


def test_a_collection_that_is_not_there_cannot_be_counted(tmp_path):
    config = {"collection": {"name": "c", "source": "docstrings"}, "training": {"passage_length": 8, "query_length": 4}}
    with pytest.raises(StudyError, match="the collection is not there yet"):
        quote.sizes(config, tmp_path)
