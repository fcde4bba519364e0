"""Bias and coverage of the calibrated cross-entropy, its inverse temperature and the global AUC; time and memory.

python -m tests.benchmarks.calibration        some 10 minutes

The score model of tests.benchmarks.decomposition, its scores in another unit: query i scores its candidates 6 t_i z
with z standard normal, its positive 6 t_i (m_i + z); t_i is log-normal, m_i normal. Queries may differ in level too,
which only the global AUC sees. The truth is that of a million queries; against it stand 1,000 studies of each size.
The fold's inverse temperature is held fixed in the interval of the calibrated cross-entropy.
"""

import sys

import numpy as np

from rankscale.evaluation.calibration import calibrate
from rankscale.evaluation.decomposition import NORMAL
from rankscale.evaluation.rank_statistics import auc_global_values
from tests.benchmarks.measure import Clock, part, report, table

STUDIES, TRUTH, CHUNK = 1000, 1_000_000, 10_000
# candidates, queries, mean of m
SETTINGS = (
    (64, 100, 1.0),
    (64, 500, 1.0),
    (64, 1500, 1.0),
    (64, 1500, 0.1),
    (64, 1500, 3.0),
    (1, 500, 1.0),
    (256, 500, 1.0),
)
SIZES = ((4000, 64), (6980, 256), (55578, 256))


def draw(candidates: int, queries: int, advantage: float, random: np.random.Generator) -> np.ndarray:
    """Scores float32 [queries, 1 + candidates]."""
    length = np.exp(0.3 * random.standard_normal((queries, 1), dtype=np.float32))
    scores = random.standard_normal((queries, candidates + 1), dtype=np.float32)
    # m spreads as much as a positive's own z, of the level half as much.
    scores[:, :1] += advantage + random.standard_normal((queries, 1), dtype=np.float32)
    return 6 * (length * scores + random.standard_normal((queries, 1), dtype=np.float32) / 2)


def estimates(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated cross-entropy, inverse temperature, AUC; and low and high of each [3, 2]."""
    calibration, auc = calibrate(scores), auc_global_values(scores)
    values = np.array([calibration.loss.mean(), calibration.best_inverse_temperature, auc.mean()])
    errors = np.array([v.std(ddof=1) / np.sqrt(len(v)) for v in (calibration.loss, auc)])
    bounds = values[:, None] + np.array([[errors[0]], [0], [errors[1]]]) * np.array([-NORMAL, NORMAL])
    # Without an interval the truth is not covered.
    bounds[1] = (np.nan, np.nan) if calibration.low is None else (calibration.low, calibration.high)
    return values, bounds


def study(candidates: int, queries: int, advantage: float, seed: int) -> dict[str, object]:
    """One line of the table."""
    large = [np.random.default_rng([seed, 0, i]) for i in range(TRUTH // CHUNK)]
    true = np.mean([estimates(draw(candidates, CHUNK, advantage, random))[0] for random in large], axis=0)
    values, bounds = zip(
        *(
            estimates(draw(candidates, queries, advantage, np.random.default_rng([seed, number])))
            for number in range(1, STUDIES + 1)
        ),
        strict=True,
    )
    values, bounds = np.array(values), np.array(bounds)
    covered = ((bounds[:, :, 0] <= true) & (true <= bounds[:, :, 1])).mean(0)
    bias = (values.mean(0) - true) / values.std(0, ddof=1)

    def together(figures: np.ndarray, form: str) -> str:
        return " / ".join(format(figure, form) for figure in figures)

    return {
        "candidates": candidates,
        "queries": queries,
        "advantage": advantage,
        "true CE / b / AUC": together(true, ".3f"),
        "bias in standard errors": together(bias, "+.3f"),
        "coverage": together(covered, ".3f"),
    }


def measure(queries: int, candidates: int) -> None:
    """Seconds and extra memory of both, in a process of its own."""
    scores = draw(candidates, queries, 1.0, np.random.default_rng(0))
    calibrate(scores[:100])
    with Clock() as calibrating:
        calibrate(scores)
    with Clock() as ranking:
        auc_global_values(scores)
    report(
        queries=queries,
        candidates=candidates,
        scores_mb=scores.nbytes / 1e6,
        calibrate_s=calibrating.seconds,
        calibrate_mb=calibrating.extra,
        auc_s=ranking.seconds,
        auc_mb=ranking.extra,
    )


def main() -> None:
    table("Time and memory", [part(__spec__.name, "measure", *size) for size in SIZES])
    rows = []
    for seed, setting in enumerate(SETTINGS):
        rows.append(study(*setting, seed))
        print(*rows[-1].values(), sep=", ", flush=True)
    table(f"{STUDIES} simulated studies each", rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(*map(int, sys.argv[2:]))
    else:
        main()
