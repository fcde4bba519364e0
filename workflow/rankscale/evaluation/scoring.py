"""The metrics of one checkpoint from its observations."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core.errors import StudyError
from rankscale.evaluation.decomposition import decompose
from rankscale.storage import schemas

KEYS = ("model", "train_queries", "seed", "step")


def score_observations(observations: pa.Table, ties: str, correction: str) -> list[dict[str, object]]:
    """One row of the scores table, without the full-retrieval metrics, per split and kind of candidates."""
    rows = []
    for key, part in groups(observations, ["split", "candidates"]):
        sizes = pc.unique(part["n_candidates"]).to_pylist()
        if len(sizes) != 1:
            raise StudyError(f"{key}: observations over {sizes} candidates are mixed; evaluate the checkpoint again")
        loss, above, tied, margin = (part[c].to_numpy() for c in ("loss", "above", "tied", "margin"))
        found = decompose(loss, above, tied, n_candidates=sizes[0], ties=ties, correction=correction)
        row = {
            **{k: part[k][0].as_py() for k in KEYS},
            **key,
            "n_candidates": sizes[0],
            "n_queries": len(part),
        }
        row |= {p: getattr(found, p) for p in (*schemas.PARTS, "mrr")}
        row |= {f"{p}_plugin": getattr(found, f"{p}_plugin") for p in schemas.PARTS[1:]}
        for name in (*schemas.PARTS, "mrr"):
            row[f"{name}_low"], row[f"{name}_high"] = found.interval(name)
        row |= rank_measures(above, tied, margin, sizes[0])
        row |= {"below_chance": found.below_chance, "too_few_queries": found.too_few_queries}
        rows.append(row)
    return rows


def rank_measures(above: np.ndarray, tied: np.ndarray, margin: np.ndarray, candidates: int) -> dict[str, float]:
    """Other measures of the same observations, ties in expectation over their breaking.

    `auc`: how often the positive scores above a candidate; `accuracy_1`: how often above all; ranks count from 1;
    `margin_10` to `margin_90`: quantiles of the positive's score less the best candidate's.
    """
    rank = 1 + above + tied / 2
    quantiles = np.quantile(margin, (0.1, 0.5, 0.9))
    return {
        "auc": float(1 - (above + tied / 2).mean() / candidates),
        "accuracy_1": float(((above == 0) / (1 + tied)).mean()),
        "mean_rank": float(rank.mean()),
        "median_rank": float(np.median(rank)),
        **{f"margin_{share}": float(value) for share, value in zip((10, 50, 90), quantiles, strict=True)},
    }


def groups(table: pa.Table, keys: list[str]) -> list[tuple[dict[str, object], pa.Table]]:
    """The parts of a table with equal `keys`, in order of first appearance."""
    parts = []
    for key in table.group_by(keys, use_threads=False).aggregate([]).to_pylist():
        part = table
        for name, value in key.items():
            part = part.filter(pc.equal(part[name], value))
        parts.append((key, part))
    return parts
