"""Bias and coverage of the decomposition on scores drawn from a known model.

python -m tests.benchmarks.decomposition        some 10 minutes

A bi-encoder-like score model: query i scores its candidates t_i z with z standard normal, its positive t_i (m_i + z);
t_i (the query's length) is log-normal, m_i (how well its positive is known) normal. The truth is the decomposition of
four million queries; against it stand 200 studies of each size.
"""

import numpy as np

from rankscale.core.metrics import PARTS
from rankscale.evaluation.decomposition import decompose
from tests.benchmarks.measure import table

STUDIES, TRUTH, CHUNK = 200, 4_000_000, 20_000
# candidates, queries, mean of m
SETTINGS = ((64, 1000, 1.0), (64, 1500, 1.0), (256, 6980, 1.0), (256, 6980, 2.0), (256, 1500, 1.0))


def draw(candidates: int, queries: int, known: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Loss and rank of `queries` queries."""
    losses, ranks = [], []
    for begin in range(0, queries, CHUNK):
        n = min(CHUNK, queries - begin)
        length = np.exp(0.3 * random.standard_normal((n, 1), dtype=np.float32))
        others = random.standard_normal((n, candidates), dtype=np.float32)
        own = known + random.standard_normal((n, 1), dtype=np.float32) * np.float32(np.sqrt(2))
        ranks.append((others > own).sum(1))
        losses.append(np.log1p(np.exp(length * (others - own)).sum(1, dtype=np.float64)))
    return np.concatenate(losses), np.concatenate(ranks)


def studied(candidates: int, queries: int, known: float, seed: int) -> dict[str, object]:
    """One line of the table."""
    loss, rank = draw(candidates, TRUTH, known, np.random.default_rng([seed, 0]))
    true = decompose(loss, rank)
    true = {name: getattr(true, name) for name in PARTS}
    plugin, corrected, covered, local, local_covered, thin = [], [], [], [], [], []
    for number in range(1, STUDIES + 1):
        study = draw(candidates, queries, known, np.random.default_rng([seed, number]))
        result, smooth = decompose(*study), decompose(*study, n_candidates=candidates, correction="local")
        plugin.append([getattr(result, f"{name}_plugin") - true[name] for name in PARTS[1:]])
        corrected.append([getattr(result, name) - true[name] for name in PARTS[1:]])
        covered.append([low <= true[name] <= high for name in PARTS for low, high in [result.interval(name)]])
        local.append([getattr(smooth, name) - true[name] for name in PARTS[2:]])
        local_covered.append([low <= true[name] <= high for name in PARTS[2:] for low, high in [smooth.interval(name)]])
        thin.append((result.thin_share, result.too_few_queries))

    def means(values: np.ndarray, form: str) -> str:
        return " / ".join(format(v, form) for v in np.mean(values, axis=0))

    return {
        "candidates": candidates,
        "queries": queries,
        "true CE / RE / RSA / SU": " / ".join(f"{v:.2f}" for v in true.values()),
        "plug-in bias RE / RSA / SU": means(plugin, "+.3f"),
        "jackknife bias": means(corrected, "+.3f"),
        "error of a bias": f"{np.std(corrected, axis=0, ddof=1).max() / np.sqrt(STUDIES):.3f}",
        "coverage CE / RE / RSA / SU": means(covered, ".2f"),
        "local bias RSA / SU": means(local, "+.4f"),
        "coverage": means(local_covered, ".2f"),
        "thin share": f"{np.median(thin, axis=0)[0]:.3f}",
        "flagged": f"{np.mean(thin, axis=0)[1]:.0%}",
    }


def main() -> None:
    rows = [studied(*setting, seed) for seed, setting in enumerate(SETTINGS)]
    table(f"{STUDIES} simulated studies each", rows)


if __name__ == "__main__":
    main()
