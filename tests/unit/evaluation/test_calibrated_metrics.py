"""Calibration from the scores of a checkpoint to its row of metrics: by another optimiser, and in its limits."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from rankscale.core.errors import StudyError
from rankscale.core.metrics import PARTS
from rankscale.evaluation.calibration import cross_fitting_folds
from rankscale.evaluation.decomposition import decompose
from rankscale.evaluation.observations import Evaluation
from rankscale.evaluation.scoring import score_observations
from rankscale.storage import schemas, tables
from tests.unit.evaluation.array_scorer import ArrayScorer

KEYS = {"collection": "c", "variant": "base", "model": "m", "train_queries": 1, "seed": 1, "step": 1}
QUERIES, CANDIDATES, DOCUMENTS = 120, 7, 400
SPLITS = np.where(np.arange(QUERIES) % 3 == 0, "dev", "test")
IDS = np.array([f"q{i}" for i in range(QUERIES)])
RAW = ["loss"]
CALIBRATED = ["calibrated_loss", "auc_global", "at_cap"]
PER_UNIT = ["inverse_temperature", *(f"best_inverse_temperature{bound}" for bound in ("", "_low", "_high"))]


def drawn(seed=0):
    """Vectors of queries and documents, and the rows of each query's positive and candidates of two kinds."""
    random = np.random.default_rng(seed)
    documents = random.normal(size=(DOCUMENTS, 16)).astype(np.float32)
    queries = 0.7 * documents[:QUERIES] + random.normal(size=(QUERIES, 16)).astype(np.float32)
    rows = {
        kind: np.stack([random.choice(np.arange(QUERIES, DOCUMENTS), CANDIDATES, replace=False) for _ in IDS])
        for kind in ("hard", "random")
    }
    return queries, documents, rows


def observed(queries, documents, rows, inverse_temperature=1.0, splits=SPLITS):
    """The observations table, as the stage makes it from vectors."""
    parts = [
        pd.DataFrame(
            {"split": splits, "candidates": kind, "query_id": IDS, "positive": np.arange(QUERIES), "rows": list(drawn)}
        )
        for kind, drawn in rows.items()
    ]
    columns = {name: column.tolist() for name, column in pd.concat(parts).items()}
    candidates = tables.checked("candidates", columns, "t", unique=False)
    evaluation = Evaluation(candidates, pa.array(IDS), ArrayScorer(queries), DOCUMENTS)
    evaluation.add([(evaluation.needed, documents[evaluation.needed])])
    return tables.checked("observations", {**KEYS, **evaluation.observations(inverse_temperature)}, "t")


def scored(observations):
    return pd.DataFrame(score_observations(observations, "expected", "jackknife"))


def losses(scores, inverse_temperature):
    return logsumexp(inverse_temperature * scores, axis=1) - inverse_temperature * scores[:, 0]


def best_by_scipy(scores):
    return minimize_scalar(
        lambda b: losses(scores, b).mean(), bounds=(0, 20), method="bounded", options={"xatol": 1e-10}
    ).x


@pytest.mark.parametrize("split", ["dev", "test"])
@pytest.mark.parametrize("kind", ["hard", "random"])
def test_each_test_set_and_kind_of_candidates_is_calibrated_on_its_own(split, kind):
    queries, documents, rows = drawn()
    table = observed(queries, documents, rows).to_pandas()
    part = table[(table.split == split) & (table.candidates == kind)].reset_index()
    chosen = split == SPLITS
    assert part.query_id.tolist() == IDS[chosen].tolist()
    all_rows = np.column_stack([np.arange(QUERIES), rows[kind]])[chosen]
    scores = np.einsum("qd,qkd->qk", queries[chosen], documents[all_rows]).astype(float)
    fold = cross_fitting_folds(IDS[chosen])
    for f in (0, 1):
        best = best_by_scipy(scores[fold != f])
        assert part.inverse_temperature[fold == f].to_numpy() == pytest.approx(best, rel=1e-4)
        assert part.calibrated_loss[fold == f].to_numpy() == pytest.approx(losses(scores[fold == f], best), rel=1e-4)
    assert part.best_inverse_temperature.to_numpy() == pytest.approx(best_by_scipy(scores), rel=1e-4)
    assert (part.best_inverse_temperature_low < part.best_inverse_temperature).all()
    assert (part.best_inverse_temperature < part.best_inverse_temperature_high).all()
    assert not part.at_cap.any()
    wins = (scores[:, :1, None] > scores[None, None, :, 1:].reshape(1, 1, -1)).mean()
    assert part.auc_global.mean() == pytest.approx(wins, abs=1e-4)


def test_the_metrics_are_those_of_the_calibrated_losses_and_the_parts_sum_to_them():
    table = observed(*drawn(), inverse_temperature=3.0)
    for row in scored(table).itertuples():
        part = table.to_pandas().query(f"split == '{row.split}' and candidates == '{row.candidates}'")
        expected = decompose(part.calibrated_loss, part.above, part.tied)
        for name in set(PARTS) - {"rank_entropy"}:
            assert getattr(row, f"calibrated_{name}") == pytest.approx(getattr(expected, name), abs=1e-12)
            bounds = tuple(getattr(row, f"calibrated_{name}_{bound}") for bound in ("low", "high"))
            assert bounds == pytest.approx(expected.interval(name), abs=1e-12)
        for end in ("", "_plugin"):
            parts = "rank_entropy", "calibrated_rank_score_alignment", "calibrated_score_uncertainty"
            total = sum(getattr(row, f"{part}{end}") for part in parts)
            assert total == pytest.approx(row.calibrated_cross_entropy, abs=1e-9)
        assert row.calibrated_cross_entropy < row.cross_entropy
        ranks = [np.mean(np.log(np.arange(a, a + t + 1) + 1)) for a, t in zip(part.above, part.tied, strict=True)]
        assert row.mean_log_rank == pytest.approx(np.mean(ranks))
        error = 1.959964 * np.std(ranks, ddof=1) / np.sqrt(len(part))
        assert row.mean_log_rank_high - row.mean_log_rank == pytest.approx(error, rel=1e-6)
        assert row.best_inverse_temperature == part.best_inverse_temperature.iloc[0]
        assert row.best_inverse_temperature_low == part.best_inverse_temperature_low.iloc[0]


def test_another_inverse_temperature_of_training_changes_the_raw_losses_alone():
    one, other = (observed(*drawn(), inverse_temperature=t).to_pandas() for t in (1.0, 7.0))
    assert not np.allclose(one.loss, other.loss)
    pd.testing.assert_frame_equal(one.drop(columns=RAW), other.drop(columns=RAW))


def test_a_model_whose_scores_are_larger_has_the_same_calibrated_columns():
    queries, documents, rows = drawn()
    one, other = (observed(queries * factor, documents, rows) for factor in (np.float32(1), np.float32(8)))
    first, second = one.to_pandas(), other.to_pandas()
    assert not np.allclose(first.loss, second.loss)
    for name in CALIBRATED:
        assert np.allclose(second[name], first[name], rtol=1e-9)
    for name in PER_UNIT:
        assert np.allclose(8 * second[name], first[name], rtol=1e-9)
    # Which rows are flagged goes by q, which is made of the losses.
    changed = ["cross_entropy", "rank_score_alignment", "score_uncertainty", "margin", "best_inverse", "too_few"]
    same = [c for c in schemas.SCHEMAS["scores"].names if c in scored(one) and not c.startswith(tuple(changed))]
    assert {"calibrated_cross_entropy", "auc_global", "mean_log_rank", "calibration_uncertain"} <= set(same)
    pd.testing.assert_frame_equal(scored(one)[same], scored(other)[same])


def test_a_constant_scorer_has_the_loss_of_chance():
    queries, documents, rows = drawn()
    table = observed(queries, np.ones_like(documents), rows)
    for row in scored(table).itertuples():
        assert row.calibrated_cross_entropy == pytest.approx(math.log(CANDIDATES + 1), abs=1e-12)
        assert row.calibrated_score_uncertainty_plugin == pytest.approx(0, abs=1e-12)
        assert row.mean_log_rank == pytest.approx(math.lgamma(CANDIDATES + 2) / (CANDIDATES + 1))
        assert (row.best_inverse_temperature, row.best_inverse_temperature_low) == (0, None)
        assert row.calibration_uncertain
        assert not row.calibration_at_cap


def test_scores_without_a_mistake_sit_at_the_cap_and_say_so():
    _, documents, rows = drawn()
    documents[:QUERIES] *= 100
    queries = documents[:QUERIES]
    for row in scored(observed(queries, documents, rows)).itertuples():
        assert row.accuracy_1 == 1
        assert row.calibration_at_cap
        assert not row.calibration_uncertain
        assert (row.best_inverse_temperature_low, row.best_inverse_temperature_high) == (None, None)


def test_scores_that_are_noise_are_flagged_and_others_are_not():
    random = np.random.default_rng(3)
    _, documents, rows = drawn()
    one_split = np.full(QUERIES, "test")
    noise = scored(observed(random.normal(size=(QUERIES, 16)).astype(np.float32), documents, rows, splits=one_split))
    assert noise.calibration_uncertain.all()
    strong = scored(observed(documents[:QUERIES] / 4, documents, rows, splits=one_split))
    assert not strong.calibration_uncertain.any()


def test_a_test_set_whose_queries_fall_into_one_half_is_named():
    splits = np.where(np.arange(QUERIES) == 5, "small", "test")
    with pytest.raises(StudyError, match="small, hard candidates: all of the 1 queries fall into one"):
        observed(*drawn(), splits=splits)
