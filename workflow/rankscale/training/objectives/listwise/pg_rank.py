"""PG-RANK: the policy gradient of a metric under a Plackett-Luce model of rankings."""

import math
from dataclasses import dataclass

import torch

from rankscale.training.objectives.base import IMPOSSIBLE, Objective, Targets


@dataclass(frozen=True)
class PGRank(Objective):
    """-mean over sampled rankings of (utility - mean utility of the others) times the log of the ranking's probability.

    Rankings are drawn from Plackett-Luce with logits scores / temperature, by Gumbel noise; only the first `cut` places
    count, in utility (`metric` mrr: 1 / rank of the positive, ndcg: 1 / log2(1 + rank)) and in probability. Its
    gradient is unbiased for minus the expected utility; its value means nothing by itself. Gao et al., Policy-Gradient
    Training of Language Models for Ranking (arXiv 2310.04407).
    """

    samples: int = 16
    temperature: float = 1.0
    metric: str = "ndcg"
    cut: int = 10

    @property
    def draws(self) -> int:
        """One for each ranking."""
        return self.samples

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of scores float32 [b, c], with uniform numbers [b, samples, c]."""
        assert targets.uniform is not None, "it draws"
        logits = (scores / self.temperature).clamp(min=IMPOSSIBLE)[:, None, :].expand(-1, self.samples, -1)
        gumbel = -torch.log(-torch.log(targets.uniform.to(scores.dtype)))
        places = min(self.cut, scores.shape[1])
        order = (logits.detach() + gumbel).topk(places, dim=2).indices
        is_positive = order == targets.positive[:, None, None]
        rank = torch.arange(1, places + 1, device=scores.device, dtype=scores.dtype)
        gains = 1 / rank if self.metric == "mrr" else 1 / torch.log2(1 + rank)
        utility = (is_positive * gains).sum(2)  # [b, samples]
        others = (utility.sum(1, keepdim=True) - utility) / max(self.samples - 1, 1)
        return -((utility - others) * _log_probability(logits, order)).mean(1)

    def chance(self, columns: int) -> float:
        """The size that it can have, places times log c: its value at chance is 0 on the mean."""
        return min(self.cut, columns) * math.log(columns)


def _log_probability(logits: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """The log [b, n] of the probability that the first places of a ranking are taken in `order` [b, n, places]."""
    chosen = logits.gather(2, order)
    behind = logits.scatter(2, order, IMPOSSIBLE).logsumexp(2, keepdim=True)
    # What is left at each place: all behind the places, and the chosen from that place on.
    left = torch.cat([behind, chosen.flip(2)], 2).logcumsumexp(2)[:, :, 1:].flip(2)
    return torch.where(chosen > IMPOSSIBLE, chosen - left, 0.0).sum(2)
