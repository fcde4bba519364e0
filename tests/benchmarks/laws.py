"""Laws on simulated studies: recovery, coverage, a plain curve_fit, and the fit stage at the published grid's size.

python -m tests.benchmarks.laws             all of it, some 35 minutes on two cores
python -m tests.benchmarks.laws coverage    or: peers, grid
"""

import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit

from rankscale.laws import bootstrap, fitting
from rankscale.laws.forms.registry import LAWS
from tests.benchmarks.measure import table

DRAWS = 400
LAYERS, HIDDEN = (2, 4, 6, 8, 10, 12), (128, 256, 512, 768)
SIZES = np.sort([float(L * (12 * H * H + 13 * H)) for L in LAYERS for H in HIDDEN] + [302_309_376.0])
SUBSETS = np.array([1000.0, 3000, 6000, 10000, 30000, 60000, 100000, 502939])
# Published: the floor laws in N of MS MARCO and T2Ranking, the joint law of MS MARCO.
FLOORS = {"MS MARCO": (3.22e4, 0.53, 0.04), "T2Ranking": (9.89e6, 0.53, 0.14)}
JOINT = (3.6e4, 0.56, 7.1e3, 1.31, 0.03)
SOME, FEW = [0, 5, 10, 14, 19, 23], [0, 2, 4, 6, 7]


def truth(law: str, parameters: tuple, x: np.ndarray) -> np.ndarray:
    """The law as it is written in papers."""
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
    found = {}
    for name, parameters in FLOORS.items():
        found[f"floor, {name}, 25 sizes"] = ("floor", parameters, SIZES[:-2, None], SIZES[-2:, None])
        found[f"floor, {name}, 6 sizes"] = ("floor", parameters, SIZES[SOME, None], SIZES[-1:, None])
    top = np.array([[SIZES[-1], SUBSETS[-1]]])
    found["joint, 25 x 8"] = ("joint", JOINT, grid(SIZES[:-1], SUBSETS), top)
    found["joint, 6 x 5"] = ("joint", JOINT, grid(SIZES[SOME], SUBSETS[FEW]), top)
    found["joint, 4 x 4"] = ("joint", JOINT, grid(SIZES[[0, 8, 16, 22]], SUBSETS[[0, 2, 4, 7]]), top)
    return found


def study(name: str, noise: float, seed: int) -> tuple | None:
    """Of one simulated study: which parameters' intervals hold the truth, whether the forecast's do; None if no fit."""
    law, parameters, x, ahead = designs()[name]
    random = np.random.default_rng([seed, 1])
    both = np.concatenate([x, ahead])
    y = truth(law, parameters, both) * np.exp(noise * random.standard_normal(len(both)))
    made = fitting.fit(LAWS[law], x, y[: len(x)])
    if not made.converged:
        return None
    drawn = bootstrap.simulate(made, None, DRAWS, random)
    held = [
        (low is None or low <= true) and (high is None or true <= high)
        for true, (_, low, high) in zip(parameters, bootstrap.parameters(made, drawn).values(), strict=True)
    ]
    _, low, high = bootstrap.forecast(made, ahead, None, DRAWS, random)
    return (*held, float(np.mean((low <= y[len(x) :]) & (y[len(x) :] <= high))))


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
                                found = curve_fit(floor, sizes, y, p0=start, maxfev=10_000)[0]
                            except RuntimeError:
                                found = np.full(3, np.nan)
                        off[who].append(found[1] - parameters[1])
                    made = fitting.fit(LAWS["floor"], sizes, y)
                    off["rankscale"].append(made.named()["alpha"] - parameters[1] if made.converged else np.nan)
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
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_study(folder, SIZES, SUBSETS, queries=1500)
        rows, made = [], {}
        for workers in (2, 1):
            from rankscale.laws import study_fit
            from rankscale.stages import fit

            out = folder / f"by_{workers}"
            outputs = [word for name in study_fit.OUTPUTS for word in (f"--{name}", out / f"{name}.parquet")]
            asked = ["--metrics", folder / "metrics.parquet", "--study", folder, "--columns", *columns]
            start = time.monotonic()
            fit.main(fit.arguments().parse_args(list(map(str, [*asked, "--workers", workers, *outputs]))))
            rows.append({"processes": workers, "seconds": time.monotonic() - start})
            made[workers] = [(out / f"{name}.parquet").read_bytes() for name in study_fit.OUTPUTS]
        title = f"The fit stage: {len(SIZES)} x {len(SUBSETS)} runs, {len(columns)} metrics, 1,000 draws; "
        table(f"{title}tables equal to the byte: {made[1] == made[2]}", rows)


if __name__ == "__main__":
    parts = {"coverage": coverage, "peers": peers, "grid": published_grid}
    for name in sys.argv[1:] or parts:
        parts[name]()
