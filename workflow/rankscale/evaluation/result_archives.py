"""Result archives of the metric's published code: NumPy files of `rank`, `loss` and `qids`, one value per query."""

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np

from rankscale.core.errors import StudyError
from rankscale.core.metrics import PARTS
from rankscale.evaluation.decomposition import NORMAL, THIN, decompose
from rankscale.evaluation.rank_statistics import log_ranks

KEYS = ("rank", "loss", "qids")
LARGEST = 1 << 30  # bytes of an array, unpacked: a hundred million queries
# The default rule with its correction, and what the published code computes.
RULES = {"expected": "jackknife", "optimistic": "none"}


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Losses float64 (nats) and ranks int64 (0-based, as they are) of the queries of an archive.

    Raises StudyError if the file is none, lacks an array, or names a query twice.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            large = next((each for each in packed.infolist() if each.file_size > LARGEST), None)
        if large:
            raise StudyError(f"{path}: {large.filename} holds {large.file_size:,} bytes, more than a value per query")
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in KEYS if key not in getattr(file, "files", ())]
            if missing:
                raise StudyError(f"{path}: has no array {missing[0]}; such an archive holds {', '.join(KEYS)}")
            rank, loss, ids = (np.asarray(file[key]).reshape(-1) for key in KEYS)
    except FileNotFoundError:
        raise StudyError(f"{path}: there is no such file") from None
    except StudyError:
        raise
    except Exception as error:  # NumPy, zipfile and zlib each raise what they like for a damaged file
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise StudyError(f"{path}: cannot be read as a NumPy archive ({first})") from error
    if not len(rank) == len(loss) == len(ids):
        raise StudyError(f"{path}: rank, loss and qids hold {len(rank)}, {len(loss)} and {len(ids)} values")
    names, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise StudyError(f"{path}: query {names[counts.argmax()]} stands in qids {counts.max()} times")
    for name, values in (("rank", rank), ("loss", loss)):
        if values.dtype.kind not in "iuf":
            raise StudyError(f"{path}: {name} is not an array of numbers")
    try:
        decompose(loss, rank)
    except StudyError as error:
        raise StudyError(f"{path}: {str(error).replace('above', 'rank')}") from error
    return loss.astype(np.float64), rank.astype(np.int64)


def decomposed(path: Path, n_candidates: int | None) -> dict[str, dict[str, object]]:
    """The decomposition of an archive under both rules, by rule: every value, interval and flag."""
    loss, rank = read(path)
    out = {}
    for rule, correction in RULES.items():
        result = decompose(loss, rank, n_candidates=n_candidates, ties=rule, correction=correction)
        intervals = {
            f"{name}_{bound}": value
            for name in (*PARTS, "mrr")
            for bound, value in zip(("low", "high"), result.interval(name), strict=True)
        }
        logs = log_ranks(rank, np.zeros_like(rank))
        error = NORMAL * logs.std(ddof=1) / np.sqrt(len(logs))
        mean = float(logs.mean())
        intervals |= {"mean_log_rank": mean, "mean_log_rank_low": mean - error, "mean_log_rank_high": mean + error}
        flags = {"below_chance": result.below_chance, "too_few_queries": result.too_few_queries}
        out[rule] = {**dataclasses.asdict(result), **intervals, **flags, "correction": correction}
    return out


def format_decomposition(path: Path, n_candidates: int | None, as_json: bool) -> str:
    """What the command prints: a table, or one JSON object with a key for each rule."""
    results = decomposed(path, n_candidates)
    if as_json:
        return json.dumps(results)
    rows = [f"{path}: {results['expected']['n_queries']} queries"]
    if read(path)[1].min() > 0:
        rows.append("No query has rank 0: ranks count from 0, the best; subtract 1 if yours count from 1.")
    for rule, values in results.items():
        rows.append(f"\n{rule}: correction {values['correction']} (archives hold no ties)")
        for name in (*PARTS, "mrr", "mean_log_rank"):
            low, high = values[f"{name}_low"], values[f"{name}_high"]
            rows.append(f"  {name.replace('_', ' '):<22}{values[name]:10.6f}   95 % {low:.6f} to {high:.6f}")
    if results["expected"]["too_few_queries"]:
        rows.append(
            f"\n{results['expected']['thin_share']:.0%} of q lies at ranks of fewer than {THIN} queries: intervals of "
            'alignment and uncertainty are off centre; decompose(..., correction="local") mends them.'
        )
    return "\n".join(rows)
