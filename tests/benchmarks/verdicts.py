"""Error rates of the verdicts on simulated studies: false alarms, power, coverage, and differences between metrics.

python -m tests.benchmarks.verdicts                    4,000 studies a setting, some ten minutes
python -m tests.benchmarks.verdicts --studies 500
python -m tests.benchmarks.verdicts metrics pairs      parts of it; also: designs, fits

A study is the embedded one: 7 sizes, the two largest held out, noise of log Rank-Entropy as measured on it. A false
alarm is "keeps improving" where nothing improves beyond the known sizes, or a difference of realised shares that are
equal.
"""

import argparse
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import stats

from rankscale.laws.verdicts.contrasts import share_differences
from rankscale.laws.verdicts.lack_of_fit import lack_of_fit
from rankscale.laws.verdicts.realised_gain import AxisLaw, Gains, realised_gain
from rankscale.laws.verdicts.rule import judge
from tests.benchmarks.measure import table

SLOPE, RUN = 0.022, 0.0103  # of log Rank-Entropy over log size, and the spread of its runs
SEED_EFFECT = 0.0149  # what all sizes of a seed share: raw cross-entropy's, the largest measured
SEEDS, MISFITS = (1, 2, 3, 5), (0.0, 0.004, 0.01)
GROWTH = 4  # how many times more the runs of the largest size spread than those of the smallest
CORRELATION = 0.7  # of two metrics' noise
CHUNK = 200  # studies whose differences are drawn at once


class Ladder(NamedTuple):
    """Sizes [n] of a study, and which are held out."""

    x: np.ndarray
    held_out: np.ndarray


EMBEDDED = Ladder(
    np.array(
        [L * (12.0 * H * H + 13 * H) for L, H in zip((1, 1, 1, 1, 2, 2, 2), (20, 32, 48, 64, 64, 96, 128), strict=True)]
    ),
    np.arange(7) > 4,
)


def doubling(n: int, held_out: int) -> Ladder:
    return Ladder(1000 * 2.0 ** np.arange(n), np.arange(n) >= n - held_out)


class Noise(NamedTuple):
    """Standard normal noise of sizes [count, n], of seeds [count, s] and of runs [count, n, s]."""

    size: np.ndarray
    seed: np.ndarray
    run: np.ndarray


def draws(shape: tuple[int, int, int], random: np.random.Generator) -> Noise:
    count, n, seeds = shape
    return Noise(*(random.standard_normal(part) for part in ((count, n), (count, seeds), (count, n, seeds))))


def straight(x_known: np.ndarray, y: np.ndarray, x: np.ndarray, *, log: bool) -> np.ndarray:
    """Least squares on log x in closed form, many studies at once."""
    u, ahead = np.log(x_known) - np.log(x_known).mean(), np.log(x) - np.log(x_known).mean()
    z = np.log(y) if log else y
    fitted = z.mean(1, keepdims=True) + (z @ u / (u @ u))[:, None] * ahead
    return np.exp(fitted) if log else fitted


LINE = AxisLaw(2, True, lambda x_known, y, x: straight(x_known, y, x, log=True))
TREND = AxisLaw(2, False, lambda x_known, y, x: straight(x_known, y, x, log=False))


def values(
    truth: str,
    noise: Noise,
    *,
    slope: float = SLOPE,
    run: float = RUN,
    seed: float = 0.0,
    misfit: float = 0.0,
    growth: float = 1,
    ladder: Ladder = EMBEDDED,
) -> np.ndarray:
    """Studies [count, n, s] of a metric that follows a `law`, one that `stops` at the last known size, or is `flat`.

    A size is off the law by a `misfit` drawn anew in each study: what is true of a law is true on average of its sizes.
    """
    u = np.log(ladder.x / ladder.x[0])
    line = {"law": -slope * u, "stops": -slope * np.minimum(u, u[~ladder.held_out].max()), "flat": 0 * u}[truth]
    spread = run * growth ** (np.arange(len(u)) / (len(u) - 1) - 0.5)
    levels = 1.2 + line + misfit * noise.size
    return np.exp(levels[:, :, None] + seed * noise.seed[:, None] + spread[:, None] * noise.run)


def gains_of(y: np.ndarray, ladder: Ladder = EMBEDDED) -> Gains:
    return realised_gain(ladder.x, ladder.held_out, y, LINE)


def named(misfit: float, growth: float) -> dict:
    return {"misfit": f"{misfit:.1%}", "spread": "equal" if growth == 1 else f"grows {growth} x"}


def rates(
    count: int, seeds: int, random: np.random.Generator, ladder: Ladder = EMBEDDED, **setting
) -> dict[str, float]:
    """How the rule judges studies of a law that stops, of no change at all, and of a law that goes on."""
    row = {}
    for truth, share in (("stops", 0.0), ("flat", None), ("law", 1.0)):
        noise = draws((count, len(ladder.x), seeds), random)
        gains = gains_of(values(truth, noise, ladder=ladder, **setting), ladder)
        verdicts = judge(gains)
        row[f"improving: {truth}"] = verdicts.keeps_improving.mean()
        if share is not None:
            variance, covariance, predicted = gains.variances
            error = np.sqrt(variance - 2 * share * covariance + share**2 * predicted)
            critical = stats.t.ppf(0.975, gains.effective_freedom)
            row[f"covered: {truth}"] = (np.abs(gains.realised - share * gains.predicted) <= critical * error).mean()
            row[f"no longer: {truth}"] = (verdicts.verdict == "no longer").mean()
        if truth == "law":
            row["bounded"] = (~np.isin(verdicts.forecast, ("unbounded", "none"))).mean()
            row["as forecast"] = verdicts.as_forecast.mean()
            row["confirmed"] = (verdicts.forecast == "confirmed").mean()
    return row


def extremes(rows: list[dict], names: tuple[str, ...]) -> None:
    for name in names:
        print(f"{name}: {min(row[name] for row in rows):.3f} to {max(row[name] for row in rows):.3f}", flush=True)


def metrics(count: int) -> None:
    """One metric: the test of the realised gain, the interval of its share."""
    for title, counts in (("Two seeds or more", SEEDS[1:]), ("One seed", SEEDS[:1])):
        rows = []
        for i, (misfit, growth, seed, s) in enumerate(product(MISFITS, (1, GROWTH), (0, SEED_EFFECT), counts)):
            setting = {"misfit": misfit, "growth": growth, "seed": seed}
            outcome = rates(count, s, np.random.default_rng([7, s, i]), **setting)
            rows.append({**named(misfit, growth), "seed effect": "yes" if seed else "no", "seeds": s, **outcome})
        table(f"{title}: verdicts at slope {SLOPE}, {count:,} studies a setting", rows)
        extremes(rows, ("improving: stops", "improving: flat", "covered: law", "covered: stops"))


def designs(count: int) -> None:
    """Other numbers of cells."""
    rows = []
    ladders = [doubling(*design) for design in ((5, 1), (6, 1), (7, 1), (9, 2), (10, 3))]
    for i, (ladder, misfit, growth, s) in enumerate(product(ladders, (0.0, 0.01), (1, GROWTH), SEEDS[1:3])):
        outcome = rates(count, s, np.random.default_rng([8, i]), ladder, misfit=misfit, growth=growth)
        cells = {"cells": len(ladder.x), "held out": int(ladder.held_out.sum())}
        rows.append({**cells, **named(misfit, growth), "seeds": s, **outcome})
    table(f"Other designs: verdicts at slope {SLOPE}, {count:,} studies a setting", rows)
    extremes(rows, ("improving: stops", "improving: flat", "covered: law", "covered: stops"))


# The other metric of a pair: its slope, the spread of its runs, and what its seeds share.
OTHERS = {
    "like cross-entropy": {"slope": 0.022, "run": 0.0127, "seed": 0.0149},
    "noisy twin": {"slope": 0.022, "run": 0.02, "seed": 0.01},
    "steep, noisy": {"slope": 0.06, "run": 0.03, "seed": 0.01},
}
SHARES = {"law": 1.0, "stops": 0.0}


def pair(other: str, truths: tuple[str, str], seeds: int, count: int, random: np.random.Generator, **setting) -> dict:
    """How often Rank-Entropy's realised share is said to differ from another metric's."""
    true = SHARES[truths[0]] - SHARES[truths[1]]
    better = worse = undecided = covered = 0
    for start in range(0, count, CHUNK):
        shape = (min(CHUNK, count - start), len(EMBEDDED.x), seeds)
        shared, own = draws(shape, random), draws(shape, random)
        mixed = Noise(*(CORRELATION * a + np.sqrt(1 - CORRELATION**2) * b for a, b in zip(shared, own, strict=True)))
        first = values(truths[0], shared, seed=0.0055, **setting)
        second = values(truths[1], mixed, **OTHERS[other], **setting)
        result = share_differences(gains_of(first), gains_of(second), random, draws=2000)
        better, worse = better + (result.low > 0).sum(), worse + (result.high < 0).sum()
        undecided += np.isnan(result.low).sum()
        covered += ((result.low <= true) & (true <= result.high)).sum()
    row = {"better": better / count, "worse": worse / count, "either": (better + worse) / count}
    return {**row, "unbounded": undecided / count, "covered of bounded": covered / max(count - undecided, 1)}


def pairs(count: int) -> None:
    """Two metrics: equal shares (false alarms), and one that stops where the other goes on (power)."""
    for title, counts in (("Two seeds or more", SEEDS[1:]), ("One seed", SEEDS[:1])):
        rows = []
        truths = (("law", "law"), ("stops", "stops"), ("law", "stops"))
        for i, (two, other, misfit, growth, s) in enumerate(product(truths, OTHERS, MISFITS, (1, GROWTH), counts)):
            outcome = pair(other, two, s, count, np.random.default_rng([9, s, i]), misfit=misfit, growth=growth)
            rows.append({"truths": " / ".join(two), "other": other, **named(misfit, growth), "seeds": s, **outcome})
        table(f"{title}: Rank-Entropy's share less another metric's, {count:,} studies a setting", rows)
        print("Where the shares are equal:")
        extremes([row for row in rows if row["truths"] != "law / stops"], ("better", "worse", "either"))


def fits(count: int) -> None:
    """Lack of fit: how often it is seen at 5 %, for an exact law and off by some per cent a size."""
    rows = []
    for i, (misfit, growth, s) in enumerate(product(MISFITS, (1, GROWTH), SEEDS[1:])):
        noise = draws((count, len(EMBEDDED.x), s), np.random.default_rng([10, i]))
        studies = values("law", noise, misfit=misfit, growth=growth, seed=SEED_EFFECT)
        results = [lack_of_fit(EMBEDDED.x, y, LINE) for y in studies]
        row = {"seen": np.mean([fit.p <= 0.05 for fit in results])}
        row["median misfit"] = f"{np.median([fit.misfit for fit in results]):.2%}"
        row["bend beyond 0"] = np.mean([fit.bend_low > 0 or fit.bend_high < 0 for fit in results])
        rows.append({**named(misfit, growth), "seeds": s, **row})
    table(f"Lack of fit at 5 %, {count:,} studies a setting", rows)


if __name__ == "__main__":
    parts = {"metrics": metrics, "designs": designs, "pairs": pairs, "fits": fits}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; left out: all")
    parser.add_argument("--studies", type=int, default=4000, help="simulated studies a setting (default %(default)s)")
    args = parser.parse_args()
    for part in args.parts or parts:
        parts[part](args.studies)
