"""What training and evaluating a ranker takes, by kind, counted from a config: FLOPs before anything runs.

Sizes are those of `cost_estimates.sizes`: mean tokens of a `query` and a `passage` as they are cut, queries to `test`.
"""

from typing import Any

from rankscale.core.ranker_flops import CROSS_ENCODER, LATE_INTERACTION
from rankscale.study import grid
from rankscale.study.costs.model_shapes import Shape, forward_flops

Study = dict[str, Any]


def dimension(study: Study) -> int:
    """Numbers that a study of one variant makes of a state: a vector's, or one score."""
    kind = study["ranker"]["kind"]
    if kind == CROSS_ENCODER:
        return 1
    return int(study["ranker"]["token_dim"] if kind == LATE_INTERACTION else study["training"]["output_dim"] or 0)


def training_flops(study: Study, known: Shape, queries: float, size: dict[str, float]) -> float:
    """FLOPs of training on so many queries, with their passages."""
    training, kind = study["training"], study["ranker"]["kind"]
    size = _read(study, size)
    passages = queries * (1 + training["negatives_per_query"])
    if kind == CROSS_ENCODER:
        return 3 * forward_flops(known, {"pair": passages}, size)
    flops = 3 * forward_flops(known, {"query": queries, "passage": passages}, size)
    if kind == LATE_INTERACTION:
        compared = passages * (training["batch_size"] if training["negatives"].endswith("+in_batch") else 1)
        flops += 6 * dimension(study) * compared * size["query"] * size["passage"]
    return flops


def refining_flops(study: Study, known: Shape, queries: float, size: dict[str, float]) -> float:
    """FLOPs of training the queries of a bi-encoder further, so many, each of which searches all passages."""
    searched = 2 * queries * size["documents"] * (dimension(study) or known[1])
    encoded = forward_flops(known, {"passage": size["documents"]}, size)
    return 3 * forward_flops(known, {"query": queries}, size) + encoded + searched


def evaluation_flops(study: Study, known: Shape, passages: float, searches: bool, size: dict[str, float]) -> float:
    """FLOPs of evaluating one checkpoint, for which so many passages are read, and searched if it `searches`."""
    kind, size, queries = study["ranker"]["kind"], _read(study, size), size["test"]
    candidates = queries * sum(1 + n for n in study["evaluation"]["candidates"].values())
    if kind == CROSS_ENCODER:
        pairs = candidates + (queries * grid.rerank_depth(study) if searches else 0)
        return forward_flops(known, {"pair": pairs}, size)
    encoded = forward_flops(known, {"passage": passages, "query": queries}, size)
    if kind == LATE_INTERACTION:
        compared = candidates + (queries * passages if searches else 0)
        return encoded + 2 * dimension(study) * compared * size["query"] * size["passage"]
    return encoded + 2 * queries * passages * (dimension(study) or known[1])


def _read(study: Study, size: dict[str, float]) -> dict[str, float]:
    """Mean tokens as the ranker reads them: of pairs too, and of queries that are filled."""
    if study["ranker"].get("query_fill"):
        size = {**size, "query": study["training"]["query_length"]}
    return {**size, "pair": size["query"] + size["passage"] - 1}
