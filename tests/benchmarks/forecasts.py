"""Coverage of forecast intervals: how often the 95 % interval of a new run holds it, in studies of the embedded design.

python -m tests.benchmarks.forecasts [studies]       2,000 a setting unless told; some minutes on one core

Studies are those of tests.benchmarks.verdicts: five sizes known, two held out, a law that goes on beyond them. All runs
of the known sizes are fitted, and every run of the held-out sizes is forecast. The noise of queries, which a study
measures, is left out: what is tested is how runs, seeds and the law's own misfit are told from residuals. Laws that
fall from chance, with the noise of queries, are in tests.benchmarks.laws (bounded).
"""

import sys
from itertools import product

import numpy as np

from rankscale.laws import bootstrap, fitting
from rankscale.laws.forms.registry import LAWS
from tests.benchmarks.measure import table
from tests.benchmarks.verdicts import EMBEDDED, GROWTH, MISFITS, SEED_EFFECT, SEEDS, draws, named, values

DRAWS = 400


def covered(y: np.ndarray, random: np.random.Generator) -> float:
    """The share of the held-out runs of one study [n, s] that their intervals hold."""
    known, seeds = ~EMBEDDED.held_out, y.shape[1]
    x = np.repeat(EMBEDDED.x, seeds)
    of_known = np.repeat(known, seeds)
    fit = fitting.fit(LAWS["line"], x[of_known], y[known].reshape(-1))
    ahead = x[~of_known][:, None]
    _, low, high = bootstrap.forecast(fit, ahead, None, DRAWS, random)
    observed = y[~known].reshape(-1)
    return float(np.mean((low <= observed) & (observed <= high)))


def main() -> None:
    """Print the table."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rows = []
    for i, (misfit, growth, seed, s) in enumerate(product(MISFITS, (1, GROWTH), (0, SEED_EFFECT), SEEDS)):
        random = np.random.default_rng([14, i])
        noise = draws((studies, len(EMBEDDED.x), s), random)
        every = values("law", noise, misfit=misfit, growth=growth, seed=seed)
        coverage = np.array([covered(y, random) for y in every])
        row = {**named(misfit, growth), "seed effect": "yes" if seed else "no", "seeds": s, "held": coverage.mean()}
        # Runs of one study share its errors: the error is that of the mean over studies.
        rows.append({**row, "error": coverage.std(ddof=1) / np.sqrt(studies)})
        print(rows[-1], flush=True)
    table(f"Coverage of forecast intervals, {studies:,} studies a setting, {DRAWS} draws each", rows)


if __name__ == "__main__":
    main()
