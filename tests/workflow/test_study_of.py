"""A study's own observations, taken as results from elsewhere, come to the study's own numbers."""

import numpy as np
import pandas as pd
import pytest

from rankscale.storage import tables
from tests.conftest import stage

KEYS = ["model", "train_queries", "seed"]
OPTIONS = ("--bootstrap", 100, "--seed", 7, "--hold-out-models", 1, "--hold-out-train-queries", 1)
SAME = ("cross_entropy", "rank_entropy", "rank_score_alignment", "score_uncertainty", "mrr", "auc", "mean_log_rank")


@pytest.fixture(scope="module")
def again(study, tmp_path_factory):
    """The folder of the study that is made of the small study's losses and ranks against hard candidates."""
    folder = tmp_path_factory.mktemp("again")
    ends = tables.read("metrics", study / "metrics.parquet").to_pandas()
    sizes = ends.drop_duplicates("model").set_index("model").encoder_parameters
    parts = [pd.read_parquet(path, partitioning=None) for path in study.glob("observations/*/*/*/*/*/final.parquet")]
    rows = pd.concat(parts).query("candidates == 'hard'")
    names = {"train_queries": "data", "query_id": "query", "candidates": "kind"}
    kept = ["collection", *KEYS, "split", "query_id", "candidates", "n_candidates", "loss", "above", "tied"]
    rows[kept].rename(columns=names).assign(size=rows.model.map(sizes)).to_parquet(folder / "rows.parquet")
    done = stage("study-of", folder / "rows.parquet", "--output", folder / "study", *OPTIONS)
    assert "Over model size" in done.stdout
    return folder / "study"


def test_metrics_and_fits_are_the_studys_own(study, again):
    read = {}
    for name, folder in (("own", study), ("again", again)):
        metrics = tables.read("metrics", folder / "metrics.parquet").to_pandas()
        metrics = metrics[(metrics.candidates == "hard") & (metrics.checkpoint == "final")]
        fits = tables.read("fits", folder / "fits.parquet").to_pandas()
        fits = fits[(fits.candidates == "hard") & fits.metric.isin(SAME) & (fits.law == "line")]
        fits = fits[fits.axis.isin(["model", "data"])]
        order = ["metric", "axis", "fixed", "parameter"]
        read[name] = metrics.sort_values(KEYS), fits.sort_values(order)
    for column in SAME:
        np.testing.assert_allclose(read["again"][0][column], read["own"][0][column], rtol=1e-12)
    assert len(read["own"][1]) > 20
    np.testing.assert_allclose(read["again"][1].estimate, read["own"][1].estimate, rtol=1e-6)


def test_figures_summary_and_record_are_there_and_the_tools_take_it(again, study, tmp_path):
    assert (again / "figures/model_scale.svg").stat().st_size > 1000
    assert not (again / "figures/compute_scale.svg").exists()  # FLOPs were not given
    text = (again / "summary.md").read_text()
    assert "nan" not in text.lower().replace("finance", "")
    assert "Calibrated" not in text.partition("## The laws")[0].partition("| model ")[2]
    assert '"sha256"' in (again / "provenance.json").read_text()
    assert "Over model size" in stage("headline", again).stdout
    assert "second less first" in stage("compare", study, again).stdout
    assert stage("report", again, "--output", tmp_path).returncode == 0
    refused = stage("study-of", again / "fits.parquet", "--output", tmp_path / "x", check=False)
    assert refused.returncode == 1
    assert "fits.parquet: lacks model, data, query, size, loss" in refused.stdout
