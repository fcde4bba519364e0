"""Laws on simulated studies: recovery, coverage, a plain curve_fit, and the fit stage at the published grid's size.

python -m tests.benchmarks.laws             all of it, some 35 minutes on two cores
python -m tests.benchmarks.laws coverage    or: bounded, peers, grid
"""

import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import curve_fit

from rankscale.laws import bootstrap, fitting
from rankscale.laws.forms.registry import LAWS
from rankscale.laws.seed_shifts import level_covariance
from tests.benchmarks.measure import table

DRAWS = 400
LAYERS, HIDDEN = (2, 4, 6, 8, 10, 12), (128, 256, 512, 768)
SIZES = np.sort([float(L * (12 * H * H + 13 * H)) for L in LAYERS for H in HIDDEN] + [302_309_376.0])
SUBSETS = np.array([1000.0, 3000, 6000, 10000, 30000, 60000, 100000, 502939])
# Published: the floor laws in N of MS MARCO and T2Ranking, the joint law of MS MARCO.
FLOORS = {"MS MARCO": (3.22e4, 0.53, 0.04), "T2Ranking": (9.89e6, 0.53, 0.14)}
JOINT = (3.6e4, 0.56, 7.1e3, 1.31, 0.03)
SOME, FEW = [0, 5, 10, 14, 19, 23], [0, 2, 4, 6, 7]


def truth(law: str, parameters: tuple, x: np.ndarray, ceiling: float | None = None) -> np.ndarray:
    """The law as it is written in papers."""
    bare = law.removesuffix("_floor")
    if bare in ("ceiling", "ceiling_plane", "bounded"):
        floor = parameters[-1] if bare != law else 0.0
        if bare == "bounded":
            a, alpha, b, beta = parameters[:4]
            h = (a / x[:, 0]) ** alpha + (b / x[:, 1]) ** beta
            return floor + (ceiling - floor) * h / (1 + h)
        return floor + (ceiling - floor) / (1 + np.exp(np.log(x) @ parameters[1 : 1 + x.shape[1]] - parameters[0]))
    if law == "floor":
        scale, alpha, delta = parameters
        return delta + (scale / x[:, 0]) ** alpha
    a, alpha, b, beta, delta = parameters
    if law == "joint":
        return delta + ((a / x[:, 0]) ** (alpha / beta) + b / x[:, 1]) ** beta
    return delta + a / x[:, 0] ** alpha + b / x[:, 1] ** beta


def grid(sizes: np.ndarray, subsets: np.ndarray) -> np.ndarray:
    return np.array([(n, d) for n in sizes for d in subsets])


def designs() -> dict[str, tuple]:
    """Law, parameters, fitted points, points to forecast."""
    cases = {}
    for name, parameters in FLOORS.items():
        cases[f"floor, {name}, 25 sizes"] = ("floor", parameters, SIZES[:-2, None], SIZES[-2:, None])
        cases[f"floor, {name}, 6 sizes"] = ("floor", parameters, SIZES[SOME, None], SIZES[-1:, None])
    top = np.array([[SIZES[-1], SUBSETS[-1]]])
    cases["joint, 25 x 8"] = ("joint", JOINT, grid(SIZES[:-1], SUBSETS), top)
    cases["joint, 6 x 5"] = ("joint", JOINT, grid(SIZES[SOME], SUBSETS[FEW]), top)
    cases["joint, 4 x 4"] = ("joint", JOINT, grid(SIZES[[0, 8, 16, 22]], SUBSETS[[0, 2, 4, 7]]), top)
    return cases


def study(name: str, noise: float, seed: int) -> tuple | None:
    """Of one simulated study: which parameters' intervals hold the truth, whether the forecast's do; None if no fit."""
    law, parameters, x, ahead = designs()[name]
    random = np.random.default_rng([seed, 1])
    both = np.concatenate([x, ahead])
    y = truth(law, parameters, both) * np.exp(noise * random.standard_normal(len(both)))
    fit = fitting.fit(LAWS[law], x, y[: len(x)])
    if not fit.converged:
        return None
    drawn = bootstrap.simulate(fit, None, DRAWS, random)
    held = [
        (low is None or low <= true) and (high is None or true <= high)
        for true, (_, low, high) in zip(parameters, bootstrap.parameters(fit, drawn).values(), strict=True)
    ]
    _, low, high = bootstrap.forecast(fit, ahead, None, DRAWS, random)
    return (*held, float(np.mean((low <= y[len(x) :]) & (y[len(x) :] <= high))))


CHANCE = float(np.log(65))
# Rank-Entropy of the embedded study, about: law, parameters, sizes and subsets; the largest of each are forecast.
BOUNDED = {
    "ceiling, 7 sizes": ("ceiling", (4.9, 0.6), np.geomspace(500, 16_000, 9)[:, None], 2),
    "ceiling with floor, 11": ("ceiling_floor", (6.5, 0.85, 0.9), np.geomspace(500, 128_000, 13)[:, None], 2),
    "ceiling plane, 7 x 4": ("ceiling_plane", (8.8, 0.07, 0.78), None, 0),
    "ceiling plane with floor, 7 x 4": ("ceiling_plane_floor", (9.0, 0.08, 0.9, 0.8), None, 0),
    "bounded, 7 x 4": ("bounded", (6600, 1.2, 25_000, 0.81), None, 0),
    "bounded with floor, 7 x 4": ("bounded_floor", (5000, 1.3, 14_000, 0.85, 0.8), None, 0),
}
QUERY_SHARED, QUERY_OWN, RUN, SEED, MISFIT = 0.0087, 0.0087, 0.004, 0.0055, 0.004


def bounded_study(name: str, number: int, draws: int = DRAWS, misfit: float = MISFIT, seeds: int = 2) -> tuple | None:
    """As `study`, of a law that falls from chance, with the noises of log Rank-Entropy: of queries, a part of it shared
    by all checkpoints; of runs; of seeds, shared by all cells of one; and sizes that are off the law.

    The joint covariance of queries is known to the fit, and what seeds shift is estimated, as in a study.
    """
    law, parameters, points, ahead = BOUNDED[name]
    if points is None:
        sizes, subsets = np.geomspace(5e3, 4e5, 8), 1000 * 2.0 ** np.arange(5)
        points = grid(sizes, subsets)
        held_out = (points[:, 0] == sizes[-1]) & (points[:, 1] == subsets[-1])
        known = points[(points[:, 0] < sizes[-1]) & (points[:, 1] < subsets[-1])]
        x, new = known, points[held_out]
    else:
        x, new = points[:-ahead], points[-ahead:]
    random = np.random.default_rng([number, 2])
    cells = np.concatenate([x, new])
    off = misfit * random.standard_normal(len(cells))
    of = np.concatenate([np.repeat(np.arange(len(x)), seeds), np.arange(len(x), len(cells))])
    seed = np.concatenate([np.tile(np.arange(seeds), len(x)), np.zeros(len(new), int)])
    n = len(x) * seeds
    covariance = QUERY_SHARED**2 + QUERY_OWN**2 * np.eye(len(of))
    log_y = np.log(truth(law, parameters, cells, CHANCE))[of] + off[of]
    log_y += QUERY_SHARED * random.standard_normal() + SEED * random.standard_normal(seeds)[seed]
    log_y += np.hypot(QUERY_OWN, RUN) * random.standard_normal(len(of))
    runs = pd.DataFrame({"model": of[:n], "train_queries": 1, "seed": seed[:n]})
    # The same of all points, relative to each.
    covariance += level_covariance(runs, ["rank_entropy"], np.exp(log_y[None, :n]))[0, 0] / np.exp(2 * log_y[0])
    fit = fitting.fit(LAWS[law].for_ceiling(CHANCE), cells[of[:n]], np.exp(log_y[:n]))
    if not fit.converged:
        return None
    drawn = bootstrap.simulate(fit, covariance[:n, :n], draws, random)
    holds = [
        (low is None or low <= true) and (high is None or true <= high)
        for true, (_, low, high) in zip(parameters, bootstrap.parameters(fit, drawn).values(), strict=True)
    ]
    low, high = bootstrap.band(fit, drawn, x)
    curve = truth(law, parameters, x, CHANCE)
    holds.append(float(np.mean((low <= curve) & (curve <= high))))
    _, low, high = bootstrap.forecast(fit, new, covariance, draws, random)
    return (*holds, float(np.mean((low <= np.exp(log_y[n:])) & (np.exp(log_y[n:]) <= high))))


def several_bounded(name: str, misfit: float, seeds: int, numbers: range) -> list:
    return [bounded_study(name, number, misfit=misfit, seeds=seeds) for number in numbers]


def bounded_coverage(studies: int = 400) -> None:
    rows = []
    with ProcessPoolExecutor(2) as pool:
        for name, (law, *_) in BOUNDED.items():
            for misfit, seeds in ((0.0, 1), (0.0, 2), (0.004, 1), (0.004, 2), (0.01, 2)):
                parts = [range(i, studies, 8) for i in range(8)]
                arguments = ([name] * 8, [misfit] * 8, [seeds] * 8, parts)
                results = [one for part in pool.map(several_bounded, *arguments) for one in part]
                good = np.array([one for one in results if one is not None])
                share = dict(zip((*LAWS[law].parameters, "curve", "forecast"), good.mean(0), strict=True))
                rows.append({"law, points": name, "misfit": f"{misfit:.1%}", "seeds": seeds, **share})
                rows[-1]["no fit"] = studies - len(good)
                print(rows[-1], flush=True)
    table(f"Coverage of 95 % intervals of laws that know chance, {studies} studies, {DRAWS} draws", rows)


def several(name: str, noise: float, seeds: range) -> list:
    return [study(name, noise, seed) for seed in seeds]


def coverage() -> None:
    rows = []
    with ProcessPoolExecutor(2) as pool:
        for name, (law, parameters, *_) in designs().items():
            # 192 points take seconds a study.
            studies = {"joint, 25 x 8": 200}.get(name, 1000 if law == "floor" else 400)
            for noise in (0.01, 0.05):
                parts = [range(i, studies, 8) for i in range(8)]
                done = [one for part in pool.map(several, [name] * 8, [noise] * 8, parts) for one in part]
                good = np.array([one for one in done if one is not None])
                share = dict(zip((*LAWS[law].parameters, "forecast"), good.mean(0), strict=True))
                assert len(parameters) == len(share) - 1
                rows.append(
                    {
                        "law, points": name,
                        "noise": f"{noise:.0%}",
                        "studies": studies,
                        **share,
                        "no fit": len(done) - len(good),
                    }
                )
                print(rows[-1], flush=True)
    table(f"Coverage of 95 % intervals over simulated studies, {DRAWS} draws", rows)


def peers(studies: int = 300) -> None:
    """The floor law by scipy's curve_fit from its own start, and by ours, on the same points."""

    def floor(x: np.ndarray, a: float, alpha: float, delta: float) -> np.ndarray:
        return delta + (a / x) ** alpha

    rows = []
    for name, parameters in FLOORS.items():
        for noise in (0.0, 0.01, 0.05):
            for sizes in (SIZES, SIZES[SOME]):
                off: dict[str, list] = {"curve_fit": [], "curve_fit from (1e5, .5, 0)": [], "rankscale": []}
                for seed in range(studies if noise else 1):
                    random = np.random.default_rng(seed)
                    y = truth("floor", parameters, sizes[:, None]) * np.exp(noise * random.standard_normal(len(sizes)))
                    for who, start in (("curve_fit", None), ("curve_fit from (1e5, .5, 0)", (1e5, 0.5, 0.0))):
                        with warnings.catch_warnings():
                            warnings.simplefilter("ignore")
                            try:
                                estimates = curve_fit(floor, sizes, y, p0=start, maxfev=10_000)[0]
                            except RuntimeError:
                                estimates = np.full(3, np.nan)
                        off[who].append(estimates[1] - parameters[1])
                    fit = fitting.fit(LAWS["floor"], sizes, y)
                    off["rankscale"].append(fit.named()["alpha"] - parameters[1] if fit.converged else np.nan)
                for who, errors in off.items():
                    # An exponent off by more than half of itself is a failure too.
                    bad = ~(np.abs(errors) < parameters[1] / 2)
                    rows.append(
                        {
                            "law": name,
                            "noise": f"{noise:.0%}",
                            "sizes": len(sizes),
                            "who": who,
                            "failures": int(bad.sum()),
                            "of": len(errors),
                            "median error of alpha": float(np.median(np.abs(errors)[~bad])) if (~bad).any() else None,
                        }
                    )
    table("The floor law by scipy's curve_fit and by ours, same points", rows)


def published_grid() -> None:
    """The fit stage on 25 x 8 runs with 8 metrics: seconds, and the same bytes by one process and by two."""
    from tests.unit.synthetic import write_study

    columns = ["cross_entropy", "rank_entropy", "rank_score_alignment", "score_uncertainty"]
    columns += ["1-mrr", "1-auc", "mean_rank", "1-accuracy_1"]
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        write_study(folder, SIZES, SUBSETS, queries=1500)
        rows, contents = [], {}
        for workers in (2, 1):
            from rankscale.laws import study_fit
            from rankscale.stages import fit

            out = folder / f"by_{workers}"
            outputs = [word for name in study_fit.OUTPUTS for word in (f"--{name}", out / f"{name}.parquet")]
            options = ["--metrics", folder / "metrics.parquet", "--study", folder, "--columns", *columns]
            start = time.monotonic()
            fit.main(fit.arguments().parse_args(list(map(str, [*options, "--workers", workers, *outputs]))))
            rows.append({"processes": workers, "seconds": time.monotonic() - start})
            contents[workers] = [(out / f"{name}.parquet").read_bytes() for name in study_fit.OUTPUTS]
        title = f"The fit stage: {len(SIZES)} x {len(SUBSETS)} runs, {len(columns)} metrics, 1,000 draws; "
        table(f"{title}tables equal to the byte: {contents[1] == contents[2]}", rows)


if __name__ == "__main__":
    parts = {"coverage": coverage, "bounded": bounded_coverage, "peers": peers, "grid": published_grid}
    for name in sys.argv[1:] or parts:
        parts[name]()
