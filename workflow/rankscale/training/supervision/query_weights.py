"""How much each query of a batch counts: by a curriculum, by how likely its positive was to be judged, or both."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rankscale.core.errors import StudyError
from rankscale.training.supervision.scored_pairs import ScoredPairs
from rankscale.training.training_data import TrainingData

ABSENT = 1000  # the rank of a positive that the miner's list does not reach
CHECKED = 1024  # queries whose weights are looked at before anything is trained
BLOCK = 4096  # queries at a time


class MinerLists:
    """The miner's scores of each query's mined list [n, width] and of its positives, and where these stand."""

    def __init__(self, data: TrainingData, scores: ScoredPairs) -> None:
        assert data.mined_scores is not None, "they are read where weights are asked for"
        self.lists, self.pairs = data.mined_scores, scores

    def scores(self, examples: np.ndarray, documents: np.ndarray) -> np.ndarray:
        """The miner's scores float64 [b, k], the least of the query's list where there is none."""
        scores = self.pairs.of(examples, documents).astype(np.float64)
        return np.where(np.isnan(scores), self.lists[examples].min(1, keepdims=True), scores)

    def ranks(self, examples: np.ndarray, documents: np.ndarray) -> np.ndarray:
        """Places float64 [b, k], from 1, of documents, the first of which is a positive, in list and positive together.

        A positive behind the whole list has rank 1,000.
        """
        scores, lists = self.scores(examples, documents), self.lists[examples]
        above = (lists[:, None, :] > scores[:, :, None]).sum(2).astype(np.float64)
        above[:, 1:] += scores[:, :1] >= scores[:, 1:]
        ranks = above + 1
        ranks[above[:, 0] >= lists.shape[1], 0] = ABSENT
        return ranks


def reciprocal_rank(lists: MinerLists, examples: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """1 / rank [b, k] of documents, the positive first."""
    return 1 / lists.ranks(examples, documents)


def normalized_score(lists: MinerLists, examples: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """The miner's scores [b, k], 0 for the least and 1 for the greatest of the query's list and positive."""
    scores, own = lists.scores(examples, documents), lists.lists[examples]
    low = np.minimum(own.min(1), scores[:, 0])[:, None]
    high = np.maximum(own.max(1), scores[:, 0])[:, None]
    return (scores - low) / np.where(high > low, high - low, 1)


def kde(lists: MinerLists, examples: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """The share [b, k] of a Gaussian density estimate over the query's list and positive that lies below a score.

    The bandwidth is Scott's, the standard deviation times n^(-1/5).
    """
    scores = lists.scores(examples, documents)
    run = np.concatenate([scores[:, :1], lists.lists[examples]], axis=1)
    width = run.std(1, ddof=1) * run.shape[1] ** -0.2
    apart = (scores[:, :, None] - run[:, None, :]) / np.where(width > 0, width, 1)[:, None, None]
    return torch.special.ndtr(torch.from_numpy(apart)).mean(2).numpy()


HEURISTICS: dict[str, Callable[[MinerLists, np.ndarray, np.ndarray], np.ndarray]] = {
    "reciprocal_rank": reciprocal_rank,
    "normalized_score": normalized_score,
    "kde": kde,
}


class Curriculum:
    """Easy queries first: w (1 - e/m) + e/m in pass e (from 0) of m, then 1, with w = (h+ - h- + 1) / 2.

    h is how relevant the miner finds a document, h- that of the batch's hardest own negative. `anti` takes 1 - w, the
    control. MacAvaney et al., Training Curricula for Open Domain Answer Re-Ranking (arXiv 2004.14269), for pairs.
    """

    def __init__(self, lists: MinerLists, heuristic: str, epochs: int, anti: bool) -> None:
        if heuristic not in HEURISTICS:
            raise StudyError(f"training.curriculum.heuristic: {heuristic} is none of {', '.join(HEURISTICS)}")
        self.lists, self.heuristic, self.epochs, self.anti = lists, HEURISTICS[heuristic], epochs, anti

    def weights(self, examples: np.ndarray, documents: np.ndarray, epoch: int) -> np.ndarray:
        """The weights float64 [b] of examples [b] with documents [b, k], the positive first, in a pass."""
        if epoch >= self.epochs:
            return np.ones(len(examples))
        ease = self.heuristic(self.lists, examples, documents)
        weights = (ease[:, 0] - ease[:, 1:].max(1) + 1) / 2
        share = epoch / self.epochs
        return (1 - weights if self.anti else weights) * (1 - share) + share


class Propensity:
    """Positives that the miner would not have shown count more: 1 / max(theta, floor), theta = rank^-power.

    theta stands for how likely the document was to be judged at all. Divided by its mean over all pairs of the subset,
    so that the weights are 1 on average. The clipped propensities of Saito et al., Unbiased Recommender Learning
    from Missing-Not-At-Random Implicit Feedback (arXiv 1909.03601), of positives alone.
    """

    def __init__(self, lists: MinerLists, positives: list[np.ndarray], floor: float, power: float) -> None:
        self.lists, self.floor, self.power, self.mean = lists, floor, power, 1.0
        owner = np.repeat(np.arange(len(positives)), [len(rows) for rows in positives])
        rows, zeros = np.concatenate(positives), np.zeros(len(owner), np.int64)
        blocks = [slice(start, start + BLOCK) for start in range(0, len(owner), BLOCK)]
        total = math.fsum(self.weights(owner[b], rows[b, None], zeros[b]).sum() for b in blocks)
        self.mean = total / len(owner)

    def weights(self, examples: np.ndarray, documents: np.ndarray, epoch: object) -> np.ndarray:
        """The weights float64 [b] of examples [b] with documents [b, k], the positive first; the pass tells nothing."""
        ranks = self.lists.ranks(examples, documents[:, :1])[:, 0]
        return 1 / np.maximum(ranks**-self.power, self.floor) / self.mean


class QueryWeights:
    """The product of what is asked for: deterministic, by the miner's scores and the pass."""

    def __init__(
        self,
        data: TrainingData,
        scores: ScoredPairs,
        curriculum: dict[str, Any] | None,
        propensity: dict[str, Any] | None,
    ) -> None:
        """Raises StudyError where every query would weigh nothing."""
        lists = MinerLists(data, scores)
        self.factors: list[Curriculum | Propensity] = []
        if curriculum:
            self.factors.append(Curriculum(lists, **curriculum))
        if propensity:
            self.factors.append(Propensity(lists, data.positives, **propensity))
        assert data.mined is not None, "weights go by mined lists"
        first = np.arange(min(len(data.queries), CHECKED))
        documents = np.column_stack([[data.positives[i][0] for i in first], data.mined[first]])
        if not self.of(first, documents, 0).any():
            raise StudyError(
                "training.curriculum: every query weighs nothing in the first pass; choose another heuristic"
            )

    def of(self, examples: np.ndarray, documents: np.ndarray, epoch: int) -> np.ndarray:
        """Weights float32 [b] of examples [b] with documents [b, k], the positive first, in pass `epoch` (from 0)."""
        product = np.ones(len(examples))
        for factor in self.factors:
            product = product * factor.weights(examples, documents, epoch)
        return product.astype(np.float32)
