"""What a reader is told of the calibrated cross-entropy: headline, correlation, cautions, the test of the claim."""

import re

import numpy as np
import pandas as pd
import pytest

from rankscale.core.metrics import CALIBRATED
from rankscale.report.narrative import forecast_sentences, scale_sentence
from rankscale.report.summary import warnings
from rankscale.report.text_tables import headline_table
from rankscale.storage import tables
from tests.unit.synthetic import write_study

SIZES, SUBSETS = (1e4, 1e5, 1e6, 1e7), (500, 2000)


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in_words")
    write_study(folder, SIZES, SUBSETS, queries=200)
    return tables.read("metrics", folder / "metrics.parquet").to_pandas()


def test_the_headline_has_the_calibrated_cross_entropy_and_its_inverse_temperature(metrics):
    table = headline_table(metrics)
    rows = metrics[metrics.train_queries == 2000].sort_values("encoder_parameters")
    for shown, row in zip(table.to_dict("records"), rows.itertuples(), strict=True):
        interval = f"[{row.calibrated_cross_entropy_low:.3f}, {row.calibrated_cross_entropy_high:.3f}]"
        assert shown["Calibrated cross-entropy"] == f"{row.calibrated_cross_entropy:.3f} {interval}"
        assert shown["best inverse temperature"].startswith(f"{row.best_inverse_temperature:.3g} [")
        assert shown["mean log rank"] == f"{row.mean_log_rank:.3f}"


def test_a_checkpoint_at_the_cap_says_so_and_has_no_interval(metrics):
    bounds = {f"best_inverse_temperature_{bound}": None for bound in ("low", "high")}
    table = headline_table(metrics.assign(**bounds, best_inverse_temperature=123.456, calibration_at_cap=True))
    assert set(table["best inverse temperature"]) == {"123, at the cap"}


def test_the_correlation_with_rank_entropy_is_that_of_ranks(metrics):
    raw, calibrated = (
        np.corrcoef(metrics[name].rank(), metrics.rank_entropy.rank())[0, 1] for name in ("cross_entropy", CALIBRATED)
    )
    text = scale_sentence(metrics)
    assert f"is {raw:.3f} for the cross-entropy and {calibrated:.3f} for the calibrated one" in text
    assert f"{metrics.best_inverse_temperature.min():.3g} to" in text
    assert not scale_sentence(metrics.iloc[:2])


def test_what_limits_the_calibrated_cross_entropy_is_a_caution(metrics):
    nothing = pd.DataFrame({"converged": [], "note": []}, dtype=object).astype({"converged": bool})
    ahead = pd.DataFrame({"held_out": np.array([], bool), "covered": []})
    plain = metrics.assign(calibration_uncertain=False, calibration_at_cap=False)
    marked = plain.assign(calibration_uncertain=[True, True, *plain.calibration_uncertain[2:]])
    marked.loc[marked.index[3], "calibration_at_cap"] = True
    before, after = ("\n".join(warnings(table, nothing, ahead, [])) for table in (plain, marked))
    assert "inverse temperature" not in before
    assert "In 2 of 8 rows the best inverse temperature is less than 8 of its standard errors from 0" in after
    assert "In 1 of 8 rows half of the queries or all are ranked without a mistake" in after


def test_the_claim_is_tested_against_the_calibrated_cross_entropy_too(metrics):
    row = {
        "variant": "base",
        "collection": "synthetic",
        "split": "test",
        "candidates": "hard",
        "axis": "model",
        "fixed": "train_queries=2000",
        "law": "line",
    }
    row |= {"error": 0.01, "error_low": 0.005, "error_high": 0.02, "no_change": 0.1, "skill": 0.9}
    names = ["rank_entropy", "cross_entropy", CALIBRATED]
    ranking = pd.DataFrame([{**row, "metric": name, "position": i} for i, name in enumerate(names)])
    ranking = ranking.assign(difference=[None, 0.03, 0.002], significant=[None, True, False])
    ranking = ranking.assign(difference_low=[None, 0.01, -0.004], difference_high=[None, 0.05, 0.008])
    (sentence,) = forecast_sentences(ranking, metrics)
    assert "Cross-entropy's error is +3.0 points away (1.0% to 5.0%); that is significant." in sentence
    assert re.search(
        r"Calibrated cross-entropy \(line\) has one of 1\.0% .*: \+0\.2 points away .* is not significant", sentence
    )
    assert "Calibrated" not in forecast_sentences(ranking[ranking.metric != CALIBRATED], metrics)[0]
