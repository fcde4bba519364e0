"""Scores of vectors that are there already, as an evaluation asks for them."""

from rankscale.search.exact_search import PairScores, TopK


class ArrayScorer:
    """Inner products of `queries` float32 [q, d] with what is added."""

    def __init__(self, queries):
        self.queries = queries

    def pairs(self, queries, rows):
        return PairScores(self.queries, queries, rows)

    def best(self, depth):
        return TopK(self.queries, depth)
