"""Floating-point operations of rankers, by kind: what encoding takes, and what an answer to a query takes.

Arithmetic on numbers or arrays; the models, the tables and the quote all count by it. Imported by what the Snakefile
reads, so nothing heavy here.
"""

from typing import Any, NamedTuple

BI_ENCODER, LATE_INTERACTION, CROSS_ENCODER = "bi_encoder", "late_interaction", "cross_encoder"


class Size(NamedTuple):
    """What of a ranker counts: its parameters by part, layers (0: unknown), hidden size, numbers of a vector.

    `hidden` is the encoder's; a cross-encoder has no `dimension`.
    """

    encoder_parameters: float
    head_parameters: float
    layers: float
    hidden: float
    dimension: float


class Load(NamedTuple):
    """What a query asks of a ranker, on average over queries: tokens of the query, their square (the mean of squares);
    candidates; the sums over them of a pair's tokens, of their squares, and of query tokens times passage tokens."""

    query: float
    query_squared: float
    candidates: float
    pairs: float
    pairs_squared: float
    compared: float


def forward_flops(tokens: Any, squared: Any, size: Size) -> Any:
    """FLOPs of encoding texts of so many `tokens` together, with `squared` the sum of the squares of their lengths.

    2 a parameter and token, 4 a layer, hidden number and pair of a text's tokens.
    """
    return 2 * size.encoder_parameters * tokens + 4 * size.layers * size.hidden * squared


def answer_flops(kind: str, load: Load, size: Size) -> float:
    """FLOPs of scoring a query's candidates when it comes: what of them can be computed before is there already.

    Passages' vectors are, of one vector a text and of one a token; a cross-encoder reads each pair anew.
    """
    if kind == CROSS_ENCODER:
        pairs = forward_flops(load.pairs, load.pairs_squared, size)
        return float(pairs + 2 * size.head_parameters * load.candidates)
    query = forward_flops(load.query, load.query_squared, size)
    if kind == LATE_INTERACTION:
        return float(query + 2 * size.head_parameters * load.query + 2 * size.dimension * load.compared)
    return float(query + 2 * size.head_parameters + 2 * size.dimension * load.candidates)
