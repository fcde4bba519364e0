"""Which law AICc prefers where the true one is known, with and without the preference for bounded laws, and the cost.

python -m tests.benchmarks.selection [studies]       400 a setting unless told; some seconds

Studies of Rank-Entropy over 64 candidates: five sizes that double, two seeds, noises as in tests.benchmarks.laws; the
two sizes beyond are forecast by the law that is preferred.
"""

import sys

import numpy as np

from rankscale.laws import fitting
from rankscale.laws.forms.registry import laws_for
from rankscale.laws.selection import CLOSE, preferred
from tests.benchmarks.laws import CHANCE, MISFIT, QUERY_OWN, RUN, SEED
from tests.benchmarks.measure import table

X = 500.0 * 2.0 ** np.arange(7)
KNOWN = np.arange(7) < 5
NEAR = CHANCE / (1 + np.exp(0.6 * np.log(X) - 4.9))
SLOW = CHANCE / (1 + np.exp(0.3 * np.log(X) - 2.5))
# A power law goes on from the first and the last known value of the law that falls from chance.
TRUTHS = {
    "falls from chance": NEAR,
    "falls from chance, slowly": SLOW,
    "a power law between the same values": NEAR[0] * (X / X[0]) ** (np.log(NEAR[4] / NEAR[0]) / np.log(X[4] / X[0])),
    "a power law far from chance": 1.5 * (X / X[0]) ** -0.1,
    "a power law far from chance, flat": 1.5 * (X / X[0]) ** -0.022,
}


def main() -> None:
    """Print the table."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    laws = [law for law in laws_for("rank_entropy", 1, CHANCE) if not law.signed]
    rows = []
    for i, (name, truth) in enumerate(TRUTHS.items()):
        random = np.random.default_rng([15, i])
        errors: dict[str, list] = {"lowest AICc": [], f"bounded within {CLOSE}": []}
        bounded: dict[str, list] = {rule: [] for rule in errors}
        for _ in range(studies):
            spread = np.hypot(MISFIT, np.hypot(QUERY_OWN, RUN) / np.sqrt(2))
            y = truth * np.exp(spread * random.standard_normal(7) + SEED / np.sqrt(2) * random.standard_normal())
            fits = [fit for fit in (fitting.fit(law, X[KNOWN], y[KNOWN]) for law in laws) if fit.converged]
            scores = {fit.law.name: fit.quality()["aicc"] for fit in fits}
            lowest = min(
                (fit for fit in fits if scores[fit.law.name] is not None), key=lambda fit: scores[fit.law.name]
            )
            for rule, fit in zip(errors, (lowest, preferred(fits)), strict=True):
                bounded[rule].append(fit.law.bounded)
                errors[rule].append(fit.predict(X[~KNOWN]) / truth[~KNOWN] - 1)
        for rule, of_rule in errors.items():
            off = np.array(of_rule)
            row = {"truth": name, "rule": rule, "a bounded law": f"{np.mean(bounded[rule]):.0%}"}
            rows.append(row | {"mean error": f"{off.mean():+.1%}", "mean of sizes": f"{np.abs(off).mean():.1%}"})
    table(f"The law that is preferred, {studies:,} studies a setting", rows)


if __name__ == "__main__":
    main()
