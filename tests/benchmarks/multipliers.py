"""Multipliers on simulated studies of two variants whose multipliers are known: how often intervals hold them.

python -m tests.benchmarks.multipliers [studies]    2,000 of each design unless told; some minutes a hundred

Both variants follow the law `bounded`, the second as if its models were `K` times as large and its data `K` times as
many. Checkpoints share the noise of queries, and runs of one cell and seed half of the variance of theirs.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from scipy.optimize import brentq

from rankscale.laws.forms.registry import LAWS, laws_for
from rankscale.laws.variants.variant_laws import VariantPoints, VariantTask, compare_variants
from tests.benchmarks.measure import table

CANDIDATES, DRAWS = 64, 300
CEILING = np.log(CANDIDATES + 1)
TRUTH = {"a": 3e3, "alpha": 0.5, "b": 400.0, "beta": 0.6}
QUERIES, TOGETHER = 0.01, 0.9  # noise of queries, relative, and how much of its variance all checkpoints share
RUNS, ALIKE = 0.01, 0.5
SIZES, SUBSETS = np.array([5e3, 1.3e4, 5e4, 1e5, 2.2e5, 4e5]), np.array([500.0, 1000, 2000, 4000, 8000])
# Name: sizes, subsets, seeds, K, and whether the form is known or the one that AICc chooses of all.
DESIGNS = {
    "4 sizes, 3 subsets, 2 seeds, 1.5": (SIZES[[0, 1, 3, 5]], SUBSETS[[0, 2, 4]], 2, 1.5, False),
    "4 sizes, 3 subsets, 2 seeds, 1.5, form known": (SIZES[[0, 1, 3, 5]], SUBSETS[[0, 2, 4]], 2, 1.5, True),
    "4 sizes, 3 subsets, 2 seeds, 1, form known": (SIZES[[0, 1, 3, 5]], SUBSETS[[0, 2, 4]], 2, 1.0, True),
    "6 sizes, 5 subsets, 1 seed, 1.5, form known": (SIZES, SUBSETS, 1, 1.5, True),
}


def value(x: np.ndarray, better: float = 1.0) -> np.ndarray:
    """The law of the first variant, or of one that is `better` so many times."""
    h = (TRUTH["a"] / x[..., 0] / better) ** TRUTH["alpha"] + (TRUTH["b"] / x[..., 1] / better) ** TRUTH["beta"]
    return CEILING * h / (1 + h)


def known_multipliers(cell: np.ndarray, better: float) -> dict[str, float]:
    """By kind, from the law alone: what the first needs over what the second takes at `cell`."""
    goal = value(cell, better)

    def factor(way: tuple[float, float]) -> float:
        def short(u: float) -> float:
            return float(value(cell * np.exp(u * np.array(way))) - goal)

        return float(np.exp(brentq(short, -1e-9, 14))) if short(14) < 0 else np.inf

    return {"compute": better**2, "data": factor((0, 1)), "parameters": factor((1, 0))}


def study(name: str, seed: int) -> dict[str, tuple[bool, float, bool]] | None:
    """Of one simulated study, by kind: whether the interval holds the truth, its width (a ratio), whether it is open."""
    sizes, subsets, seeds, better, form_known = DESIGNS[name]
    random = np.random.default_rng([seed, 5])
    cells = [(n, d, s) for n in sizes for d in subsets for s in range(seeds)]
    x = np.array([cell[:2] for cell in cells])
    n = len(x)
    cov = QUERIES**2 * (TOGETHER * np.ones((2 * n, 2 * n)) + (1 - TOGETHER) * np.eye(2 * n))
    off = np.linalg.cholesky(cov) @ random.standard_normal(2 * n)
    shared, own = random.standard_normal(n), random.standard_normal((2, n))
    off += RUNS * (np.sqrt(ALIKE) * np.tile(shared, 2) + np.sqrt(1 - ALIKE) * own.ravel())
    y = np.concatenate([value(x), value(x, better)]) * np.exp(off)
    flops = 300.0 * x[:, 0] * x[:, 1]
    points = [VariantPoints(label, x, part, flops, cells) for label, part in (("base", y[:n]), ("better", y[n:]))]
    laws = (LAWS["bounded"].for_ceiling(CEILING),) if form_known else laws_for("rank_entropy", 2, CEILING)
    noise = cov * np.outer(y, y)
    rows = compare_variants(VariantTask({"metric": "rank_entropy"}, points, noise, laws, DRAWS, seed)).multipliers
    if any(row["note"] for row in rows):
        return None
    cell = np.array([rows[0]["encoder_parameters"], rows[0]["train_queries"]])
    known = known_multipliers(cell, better)
    return {
        row["kind"]: (row["low"] <= known[row["kind"]] <= row["high"], row["high"] / row["low"], np.isinf(row["high"]))
        for row in rows
    }


def main() -> None:
    """Print the table."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rows = []
    with ProcessPoolExecutor() as pool:
        for name in DESIGNS:
            start = time.time()
            results = [r for r in pool.map(study, [name] * studies, range(studies), chunksize=4) if r is not None]
            for kind in results[0]:
                holds, widths, is_open = (np.array(column) for column in zip(*(r[kind] for r in results), strict=True))
                rows.append(
                    {
                        "design": name,
                        "kind": kind,
                        "studies": len(results),
                        "held": f"{holds.mean():.3f}",
                        "high over low": f"{np.median(widths):.2f}",
                        "open": f"{is_open.mean():.2f}",
                        "seconds": f"{time.time() - start:.0f}",
                    }
                )
    table("Multipliers of simulated studies", rows)


if __name__ == "__main__":
    main()
