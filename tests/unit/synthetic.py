"""A study that was never run: metrics and observations whose laws are known."""

import json
from itertools import product

import numpy as np
import pyarrow as pa

from rankscale.core.layout import RunId, table_path
from rankscale.evaluation.observations import calibration_columns
from rankscale.evaluation.scoring import score_observations
from rankscale.storage import schemas, tables

CANDIDATES = 64
ELSEWHERE = 1000  # queries that what is not trained here was trained on


def observed(size: float, data: float, queries: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Queries of one checkpoint: a positive that stands out the more, the larger the model and its data."""
    known = 0.35 * np.log(size * data**1.5) - 5
    length = np.exp(0.2 * random.standard_normal((queries, 1)))
    others = random.standard_normal((queries, CANDIDATES))
    own = known + random.standard_normal((queries, 1)) * np.sqrt(2)
    scores = np.hstack([own, others]) * length
    return {
        "loss": np.log1p(np.exp(length * (others - own)).sum(1)),
        "above": (others > own).sum(1),
        "tied": np.zeros(queries, int),
        "margin": (own - others.max(1, keepdims=True))[:, 0],
        **calibration_columns(scores, np.full(queries, "test"), query_ids(queries), "hard"),
    }


def query_ids(queries: int) -> np.ndarray:
    """Of a test set."""
    return np.array([f"q{i:05}" for i in range(queries)])


def checkpoint_of(size, data, seed, variant="base"):
    """A row of the checkpoints table."""
    return {
        "variant": variant,
        "model": f"N{int(size)}",
        "train_queries": int(data),
        "seed": seed,
        "step": int(data) // 5,
        "subset": str(int(data)),
        "checkpoint": "final",
        "layers": None,
        "hidden": None,
        "encoder_parameters": int(size),
        "head_parameters": 1000,
        "embedding_parameters": 0,
        "epoch": 1.0,
        "train_tokens": int(50 * data),
        "train_flops": 300.0 * size * data,
        "status": "finished",
    }


def texts_of(folder, models, queries=300):
    """The words that tell the stage gather of texts that it reads: all of four tokens, written below `folder`."""
    for unit, ids in (("queries", query_ids(queries)), ("documents", [f"d{i}" for i in range(CANDIDATES + 1)])):
        tables.write("tokens", {"id": ids, "ids": [[5, 6]] * len(ids)}, folder / f"tokens/{unit}.parquet")
    (folder / "tokens/special.json").write_text('{"before": [2], "after": [3], "pad": 0, "vocabulary": 9}')
    rows = [list(range(1, CANDIDATES + 1))] * queries
    columns = {"split": "test", "candidates": "hard", "query_id": query_ids(queries), "positive": 0, "rows": rows}
    tables.write("candidates", columns, folder / "candidates.parquet")
    reading = {"kind": "bi_encoder", "dimension": 8, "query_length": 16, "passage_length": 16, "fills": False}
    folders = [f"synthetic={model}={folder / 'tokens'}" for model in models]
    readings = json.dumps({"base": reading})
    return ["--readings", readings, "--candidates", folder / "candidates.parquet", "--tokens", *folders]


def write_study(
    folder,
    sizes,
    subsets,
    queries=300,
    seeds=(42,),
    ties="expected",
    cells=None,
    searching=(),
    variants=None,
    collection="synthetic",
):
    """metrics.parquet and observations of every size on every subset, in `folder`; or of the `cells` (size, subset).

    The runs on the subsets `searching` have measures of retrieval too. `variants` says by name how many times the data
    those of a variant seem to have had; their queries are the same.
    """
    rows = []
    grid = product((variants or {"base": 1.0}).items(), sizes, subsets)
    for (variant, better), size, data in grid:
        for seed in seeds if cells is None or (size, data) in cells else ():
            random = np.random.default_rng([int(size), int(data), seed])
            known = better * (data or ELSEWHERE)
            row = checkpoint_of(size, data, seed, variant)
            keys = {"collection": collection, **{name: row[name] for name in schemas.CHECKPOINT_KEY}}
            fixed = {"split": "test", "candidates": "hard", "n_candidates": CANDIDATES}
            observations = tables.checked(
                "observations",
                {
                    **keys,
                    **fixed,
                    "query_id": query_ids(queries),
                    **observed(size, known, queries, random),
                },
                "synthetic",
            )
            run = RunId(*(row[name] for name in RunId._fields))
            tables.write("observations", observations, table_path(folder, "observations", collection, run, "final"))
            retrieval = {"retrieval": "none", **dict.fromkeys(schemas.RETRIEVAL)}
            if data in searching:
                ndcg = 1 / np.log2(2 + observations["above"].to_numpy())
                each = dict.fromkeys(schemas.RETRIEVAL, ndcg)
                path = table_path(folder, "per_query", collection, run, "final")
                tables.write("per_query", {**keys, "split": "test", "query_id": query_ids(queries), **each}, path)
                retrieval = {"retrieval": "full", **dict.fromkeys(schemas.RETRIEVAL, float(ndcg.mean()))}
            study = {"study": "synthetic", "teacher_flops": 0.0, **row, "ranker": "bi_encoder"}
            study["inference_flops"] = 40.0 * size
            rows += [{**study, **scores, **retrieval} for scores in score_observations(observations, ties, "jackknife")]
    tables.write("metrics", pa.Table.from_pylist(rows, schema=schemas.SCHEMAS["metrics"]), folder / "metrics.parquet")
