"""Multipliers on simulated studies of two variants whose multipliers are known: how often intervals hold them.

python -m tests.benchmarks.multipliers [studies [design ..]]    2,000 of each design unless told; some minutes a hundred

Both variants follow the law `bounded`, the second as if its models were so many times as large and its data as many
times more. Noises are those of tests.benchmarks.laws: of queries, a part of it shared by all checkpoints; of runs; of
seeds, shared by all cells of one; and sizes that are off the law. Half of the variance of the last three is common to
both variants. The law is the one that AICc chooses for both.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from scipy.optimize import brentq

from rankscale.laws.forms.registry import laws_for
from rankscale.laws.variants.variant_laws import VariantPoints, VariantTask, compare_variants
from tests.benchmarks.measure import table

CANDIDATES, DRAWS = 64, 300
CEILING = np.log(CANDIDATES + 1)
TRUTH = {"a": 3e3, "alpha": 0.5, "b": 400.0, "beta": 0.6}
QUERY_SHARED, QUERY_OWN, RUN, SEED = 0.0087, 0.0087, 0.004, 0.0055
SIZES, SUBSETS = np.array([5e3, 1.3e4, 5e4, 1e5, 2.2e5, 4e5]), np.array([500.0, 1000, 2000, 4000, 8000])
# Sizes, subsets, seeds, how many times better the second is, and how far sizes are off the law.
DESIGNS = {
    "4 x 3, 2 seeds": (SIZES[[0, 1, 3, 5]], SUBSETS[[0, 2, 4]], 2, 1.5, 0.004),
    "4 x 3, 2 seeds, no better": (SIZES[[0, 1, 3, 5]], SUBSETS[[0, 2, 4]], 2, 1.0, 0.004),
    "4 x 3, 2 seeds, all on the law": (SIZES[[0, 1, 3, 5]], SUBSETS[[0, 2, 4]], 2, 1.5, 0.0),
    "6 x 5, 1 seed": (SIZES, SUBSETS, 1, 1.5, 0.004),
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
    """Of one simulated study, by kind: whether the interval holds the truth, high over low, and whether it is open."""
    sizes, subsets, seeds, better, misfit = DESIGNS[name]
    random = np.random.default_rng([seed, 5])
    cells = [(n, d, s) for n in sizes for d in subsets for s in range(seeds)]
    x = np.array([cell[:2] for cell in cells])
    n = len(x)
    cov = QUERY_SHARED**2 + QUERY_OWN**2 * np.eye(2 * n)
    off = QUERY_SHARED * random.standard_normal() + QUERY_OWN * random.standard_normal(2 * n)
    groups = np.arange(n), np.tile(np.arange(seeds), n // seeds), np.repeat(np.arange(n // seeds), seeds)
    for spread, group in zip((RUN, SEED, misfit), groups, strict=True):
        common, first, second = np.sqrt(0.5) * spread * random.standard_normal((3, group.max() + 1))
        off += np.concatenate([(common + first)[group], (common + second)[group]])
    y = np.concatenate([value(x), value(x, better)]) * np.exp(off)
    mean = np.kron(np.eye(2 * n // seeds), np.full(seeds, 1 / seeds))
    y, noise, x = mean @ y, mean @ (cov * np.outer(y, y)) @ mean.T, x[::seeds]
    flops, n, names = 300.0 * x[:, 0] * x[:, 1], len(x), list(map(tuple, x))
    none = np.zeros(n)
    points = [VariantPoints(label, x, part, flops, none, names) for label, part in (("base", y[:n]), ("better", y[n:]))]
    laws = laws_for("rank_entropy", 2, CEILING)
    rows = compare_variants(VariantTask({"metric": "rank_entropy"}, points, noise, laws, DRAWS, seed)).multipliers
    if any(row.get("own") is None for row in rows):
        return None
    cell = np.array([rows[0]["encoder_parameters"], rows[0]["train_queries"]])
    known = known_multipliers(cell, better)
    return {
        row["kind"]: (low <= known[row["kind"]] <= high, high / low, np.isinf(high))
        for row in rows
        for low, high in [[np.inf if row[name] is None else row[name] for name in ("low", "high")]]
    }


def main() -> None:
    """Print the table."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rows = []
    with ProcessPoolExecutor() as pool:
        for name in sys.argv[2:] or DESIGNS:
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
