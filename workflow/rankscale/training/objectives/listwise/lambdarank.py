"""LambdaRank: pairs weighted by what exchanging their two places would change."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from rankscale.training.objectives.base import Objective, Targets, mean_over, positive_scores


@dataclass(frozen=True)
class LambdaRank(Objective):
    """Half the mean over a query's negatives of |g(r+) - g(r_j)| log(1 + e^(s_j - s+)), r the ranks by the scores.

    g is 1 / rank (`metric` mrr) or 1 / log2(1 + rank) (ndcg), and 0 below rank `cut`; equal scores are ranked by
    column, the positive behind those before it. Burges et al., Learning to Rank with Nonsmooth Cost Functions (NIPS
    2006); pairs, cut and the half as in Zhan et al., Optimizing Dense Retrieval Model Training with Hard Negatives
    (arXiv 2104.08051).
    """

    metric: str = "mrr"
    cut: int = 200

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of scores float32 [b, c]."""
        order = scores.detach().argsort(dim=1, descending=True, stable=True)
        ranks = order.argsort(1).to(scores.dtype) + 1
        gains = (1 / ranks if self.metric == "mrr" else 1 / torch.log2(1 + ranks)).masked_fill(ranks > self.cut, 0.0)
        weights = (gains - gains.gather(1, targets.positive[:, None])).abs()
        pairs = weights * functional.softplus(scores - positive_scores(scores, targets))
        return mean_over(pairs, targets.negatives(scores.shape[1])) / 2

    def chance(self, columns: int) -> float:
        """log 2 / 2, no more than that: the places decide."""
        return math.log(2) / 2
