"""Error rates of the verdicts on simulated studies: false alarms, power, coverage, and differences between metrics.

python -m tests.benchmarks.verdicts                    4,000 studies a setting
python -m tests.benchmarks.verdicts --studies 500
python -m tests.benchmarks.verdicts metrics pairs      parts of it

A study is the embedded one: 7 sizes, the two largest held out, noise of log Rank-Entropy as measured on it.
"""

import argparse
from itertools import product

import numpy as np
from scipy import stats

from rankscale.laws.verdicts.contrasts import share_differences
from rankscale.laws.verdicts.lack_of_fit import lack_of_fit
from rankscale.laws.verdicts.realised_gain import AxisLaw, realised_gain
from rankscale.laws.verdicts.rule import judge
from tests.benchmarks.measure import table

SIZES = np.array(
    [L * (12.0 * H * H + 13 * H) for L, H in ((1, 20), (1, 32), (1, 48), (1, 64), (2, 64), (2, 96), (2, 128))]
)
HELD_OUT = np.arange(7) > 4
SLOPE, RUN, SEED = 0.022, 0.0103, 0.0055  # of log Rank-Entropy over log size; spread of runs; what a seed's sizes share
SEEDS, MISFITS = (1, 2, 3, 5), (0.0, 0.004, 0.01)
GROWTH = 4  # how many times more the runs of the largest size spread than those of the smallest
CHUNK = 200  # studies of which differences are drawn together


def _straight(x_known: np.ndarray, y: np.ndarray, x: np.ndarray, *, log: bool) -> np.ndarray:
    u, centre = np.log(x_known) - np.log(x_known).mean(), np.log(x) - np.log(x_known).mean()
    z = np.log(y) if log else y
    fitted = z.mean(1, keepdims=True) + (z @ u / (u @ u))[:, None] * centre
    return np.exp(fitted) if log else fitted


LINE = AxisLaw(2, True, lambda x_known, y, x: _straight(x_known, y, x, log=True))
TREND = AxisLaw(2, False, lambda x_known, y, x: _straight(x_known, y, x, log=False))


def studies(
    truth: str,
    count: int,
    seeds: int,
    random: np.random.Generator,
    *,
    slope: float = SLOPE,
    run: float = RUN,
    seed: float = SEED,
    misfit: float = 0.0,
    growth: float = 1,
    noise: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Values [count, sizes, seeds] of a metric whose `truth` is a law, a law that stops at the last known size, or flat.

    `noise` gives standard normal draws (of sizes [count, n], of seeds [count, s], of runs [count, n, s]) that metrics
    share; a size's misfit is drawn anew in each study.
    """
    n = len(SIZES)
    of_size, of_seed, of_run = noise or draws(count, seeds, random)
    u = np.log(SIZES / SIZES[0])
    line = {"law": -slope * u, "stops": -slope * np.minimum(u, u[~HELD_OUT].max()), "flat": np.zeros(n)}[truth]
    spread = run * growth ** (np.arange(n) / (n - 1) - 0.5)
    return np.exp(
        1.2 + line[:, None] + misfit * of_size[:, :, None] + seed * of_seed[:, None] + spread[:, None] * of_run
    )


def draws(count: int, seeds: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standard normal noise of sizes, of seeds and of runs."""
    n = len(SIZES)
    shapes = ((count, n), (count, seeds), (count, n, seeds))
    return tuple(random.standard_normal(shape) for shape in shapes)


def settings() -> list[dict]:
    return [
        {"misfit": misfit, "growth": growth, "seed": seed, "seeds": seeds}
        for misfit, growth, seed, seeds in product(MISFITS, (1, GROWTH), (0.0, SEED), SEEDS)
    ]


def named(setting: dict) -> dict:
    return {
        "misfit": f"{setting['misfit']:.1%}",
        "spread": "equal" if setting["growth"] == 1 else f"grows {GROWTH} x",
        "seed effect": "yes" if setting["seed"] else "no",
        "seeds": setting["seeds"],
    }


def rates(setting: dict, count: int, random: np.random.Generator) -> dict[str, float]:
    """What the rule says of studies where the law goes on, stops, and where there is none."""
    row = {}
    for truth, share in (("stops", 0.0), ("flat", None), ("law", 1.0)):
        gains = realised_gain(SIZES, HELD_OUT, studies(truth, count, random=random, **setting), LINE)
        verdicts = judge(gains)
        row[f"improving, {truth}"] = verdicts.keeps_improving.mean()
        if share is None:
            continue
        variance, covariance, predicted = gains.variances
        error = np.sqrt(variance - 2 * share * covariance + share**2 * predicted)
        holds = np.abs(gains.realised - share * gains.predicted) <= stats.t.ppf(0.975, gains.freedom) * error
        bounded = np.isfinite(verdicts.low) & np.isfinite(verdicts.high)
        row[f"covered, {truth}"] = holds.mean()
        row[f"of bounded, {truth}"] = holds[bounded].mean() if bounded.any() else np.nan
        row[f"no longer, {truth}"] = (verdicts.verdict == "no longer").mean()
        if truth == "law":
            row |= {"bounded": bounded.mean(), "as forecast": verdicts.as_forecast.mean()}
            row["confirmed"] = (verdicts.forecast == "confirmed").mean()
    return row


def metrics(count: int) -> None:
    """One metric: the one-sided test of R, the interval of rho."""
    rows = [{**named(s), **rates(s, count, np.random.default_rng([7, i]))} for i, s in enumerate(settings())]
    for title, chosen in (
        ("Two seeds or more", [r for r in rows if r["seeds"] > 1]),
        ("One seed", [r for r in rows if r["seeds"] == 1]),
    ):
        table(f"{title}: verdicts at slope {SLOPE}, {count:,} studies a setting", chosen)
        for name in ("improving, stops", "improving, flat", "covered, law", "covered, stops"):
            print(f"{name}: {min(r[name] for r in chosen):.3f} to {max(r[name] for r in chosen):.3f}")


# The other metric of a pair: its slope, and the spreads of its runs and seeds (raw cross-entropy's; a noisy twin's).
OTHERS = {
    "like cross-entropy": (0.022, 0.0127, 0.0149),
    "noisy twin": (0.022, 0.02, 0.01),
    "steep, noisy": (0.06, 0.03, 0.01),
}


def pair(setting: dict, other: str, truths: tuple[str, str], count: int, random: np.random.Generator) -> dict:
    """How often Rank-Entropy's realised share is said to differ from another metric's."""
    slope, run, seed = OTHERS[other]
    common = {key: setting[key] for key in ("misfit", "growth", "seeds")}
    better = worse = undecided = covered = 0.0
    true = [{"law": 1.0, "stops": 0.0}[truth] for truth in truths]
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        noise = draws(size, setting["seeds"], random)
        rho = setting["correlation"]
        own = draws(size, setting["seeds"], random)
        mixed = tuple(rho * a + np.sqrt(1 - rho**2) * b for a, b in zip(noise, own, strict=True))
        first = studies(truths[0], size, random=random, noise=noise, **common)
        second = studies(truths[1], size, random=random, noise=mixed, slope=slope, run=run, seed=seed, **common)
        gains = [realised_gain(SIZES, HELD_OUT, y, LINE) for y in (first, second)]
        found = share_differences(*gains, random, draws=2000)
        better, worse = better + (found.low > 0).sum(), worse + (found.high < 0).sum()
        undecided += np.isnan(found.low).sum()
        covered += ((found.low <= true[0] - true[1]) & (true[0] - true[1] <= found.high)).sum()
    told = count - undecided
    return {
        "better": better / count,
        "worse": worse / count,
        "either": (better + worse) / count,
        "unbounded": undecided / count,
        "covered of bounded": covered / told if told else np.nan,
    }


def pairs(count: int) -> None:
    """Two metrics: equal shares (false alarms), and one that stops where the other goes on (power)."""
    rows = []
    grid = product(OTHERS, (("law", "law"), ("stops", "stops"), ("law", "stops")), MISFITS, (1, GROWTH), (0.7,), SEEDS)
    for i, (other, truths, misfit, growth, correlation, seeds) in enumerate(grid):
        setting = {"misfit": misfit, "growth": growth, "seed": SEED, "seeds": seeds, "correlation": correlation}
        labels = {"other": other, "truths": " / ".join(truths), **named(setting)}
        rows.append({**labels, **pair(setting, other, truths, count, np.random.default_rng([8, i]))})
    several = [r for r in rows if r["seeds"] > 1]
    for title, chosen in (("Two seeds or more", several), ("One seed", [r for r in rows if r["seeds"] == 1])):
        table(f"{title}: difference of realised shares, {count:,} studies a setting", chosen)
        for name in ("better", "worse", "either"):
            false = [r[name] for r in chosen if r["truths"] != "law / stops"]
            print(f"false alarms, {name}: {min(false):.3f} to {max(false):.3f}")


def fits(count: int) -> None:
    """Lack of fit: how often it is seen at 5 %, for an exact law and off by some per cent a size."""
    rows = []
    for i, s in enumerate(s for s in settings() if s["seeds"] > 1 and s["seed"]):
        y = studies("law", count, random=np.random.default_rng([9, i]), **s)
        found = [lack_of_fit(SIZES, values, LINE) for values in y]
        rows.append(
            {
                **named(s),
                "seen": np.mean([f.p <= 0.05 for f in found]),
                "median misfit": float(np.median([f.misfit for f in found])),
                "bend beyond 0": np.mean([f.bend_low > 0 or f.bend_high < 0 for f in found]),
            }
        )
    table(f"Lack of fit at 5 %, {count:,} studies a setting", rows)


if __name__ == "__main__":
    parts = {"metrics": metrics, "pairs": pairs, "fits": fits}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *parts], help="left out: all")
    parser.add_argument("--studies", type=int, default=4000, help="simulated studies a setting (default %(default)s)")
    args = parser.parse_args()
    for part in args.parts or parts:
        parts[part](args.studies)
