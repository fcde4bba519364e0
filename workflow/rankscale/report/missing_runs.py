"""Which runs a study still lacks, in words. Imports no law, as the stage `gather` says it too."""

import pandas as pd

from rankscale.core.layout import BASE
from rankscale.storage.schemas import UNFINISHED

NAMED = 8  # runs left out that are named one by one


def describe_missing_runs(runs: list[dict[str, object]]) -> str:
    """The runs that no table or figure counts, in words; empty if there are none."""
    named = []
    for run in runs:
        why = "not finished yet" if run["status"] == UNFINISHED else f"{run['status']} after step {run['step']}"
        way = "" if run["variant"] == BASE else f"{run['variant']}: "
        named.append(f"{way}{run['model']} on {run['subset']}, seed {run['seed']} ({why})")
    more = [f"and {len(named) - NAMED} more (left_out.parquet)"] if len(named) > NAMED + 1 else []
    named = named[:NAMED] + more if more else named
    return f"Left out of all metrics, fits and figures: {'; '.join(named)}" if named else ""


def progress_phrase(metrics: pd.DataFrame, missing: list[dict[str, object]]) -> str:
    """How much of a study that is not finished is there, in words; empty if all of it is."""
    to_come = sum(run["status"] == UNFINISHED for run in missing)
    done = len(metrics.groupby(["variant", "model", "train_queries", "seed"])) + len(missing) - to_come
    return f"as it stands: {done} of {done + to_come} runs" if to_come else ""
