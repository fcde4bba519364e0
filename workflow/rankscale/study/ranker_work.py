"""What training and evaluating a ranker takes, by kind, counted from a config: FLOPs before anything runs.

Sizes are those of `cost_estimates.sizes`: mean tokens of a `query` and a `passage` as they are cut, queries to `test`.
"""

from typing import Any

from rankscale.core.ranker_flops import CROSS_ENCODER, LATE_INTERACTION, Size, forward_flops
from rankscale.study import grid

Study = dict[str, Any]
Shape = tuple[int, int]  # layers and hidden size


def bert_layer_parameters(layers: int, hidden: int) -> int:
    """Parameters of a BERT's layers."""
    return layers * (12 * hidden**2 + 13 * hidden)


def forward(known: Shape, texts: dict[str, float], size: dict[str, float]) -> float:
    """FLOPs of encoding so many texts of each kind, at their mean length, with (layers, hidden size) `known`."""
    whole = Size(bert_layer_parameters(*known), 0, *known, 0)
    return float(sum(forward_flops(n * size[kind], n * size[kind] ** 2, whole) for kind, n in texts.items()))


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
        return 3 * forward(known, {"pair": passages}, size)
    flops = 3 * forward(known, {"query": queries, "passage": passages}, size)
    if kind == LATE_INTERACTION:
        compared = passages * (training["batch_size"] if training["negatives"].endswith("+in_batch") else 1)
        flops += 6 * dimension(study) * compared * size["query"] * size["passage"]
    return flops


def evaluation_flops(study: Study, known: Shape, passages: float, searches: bool, size: dict[str, float]) -> float:
    """FLOPs of evaluating one checkpoint, for which so many passages are read, and searched if it `searches`."""
    kind, size, queries = study["ranker"]["kind"], _read(study, size), size["test"]
    candidates = queries * sum(1 + n for n in study["evaluation"]["candidates"].values())
    if kind == CROSS_ENCODER:
        pairs = candidates + (queries * grid.rerank_depth(study) if searches else 0)
        return forward(known, {"pair": pairs}, size)
    encoded = forward(known, {"passage": passages, "query": queries}, size)
    if kind == LATE_INTERACTION:
        compared = candidates + (queries * passages if searches else 0)
        return encoded + 2 * dimension(study) * compared * size["query"] * size["passage"]
    return encoded + 2 * queries * passages * (dimension(study) or known[1])


def _read(study: Study, size: dict[str, float]) -> dict[str, float]:
    """Mean tokens as the ranker reads them: of pairs too, and of queries that are filled."""
    if study["ranker"].get("query_fill"):
        size = {**size, "query": study["training"]["query_length"]}
    return {**size, "pair": size["query"] + size["passage"] - 1}
