"""PG-RANK: the policy gradient of a metric under a Plackett-Luce model of rankings."""

import math
from dataclasses import dataclass
from typing import Any

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
        logits = (scores / self.temperature).clamp(min=IMPOSSIBLE)
        gumbel = -torch.log(-torch.log(targets.uniform.to(scores.dtype)))
        depth = min(self.cut, scores.shape[1])
        order = (logits.detach()[:, None, :] + gumbel).topk(depth, dim=2).indices
        is_positive = order == targets.positive[:, None, None]
        rank = torch.arange(1, depth + 1, device=scores.device, dtype=scores.dtype)
        gains = 1 / rank if self.metric == "mrr" else 1 / torch.log2(1 + rank)
        utility = (is_positive * gains).sum(2)  # [b, samples]
        others = (utility.sum(1, keepdim=True) - utility) / max(self.samples - 1, 1)
        return -((utility - others) * _LogProbability.apply(logits, order)).mean(1)

    def chance(self, columns: int) -> float:
        """The size that it can have, places times log c: its value at chance is 0 on the mean."""
        return min(self.cut, columns) * math.log(columns)


class _LogProbability(torch.autograd.Function):
    """The log [b, n] of the probability that the first places of rankings are taken in an order [b, n, places].

    Of logits [b, c], by Plackett-Luce: the sum over places p of s_p - L_p, with L_p = log sum e^s over what is left
    there. Its gradient is written out, which takes a quarter of the time of going back through the forward pass:
    1 - sum over q <= p of e^(s_p - L_q) for what place p took, -sum over all q of e^(s_j - L_q) for what took none.
    """

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """The log probabilities [b, n]."""
        every = logits[:, None, :].expand(-1, order.shape[1], -1)
        chosen, rest = every.gather(2, order), every.scatter(2, order, IMPOSSIBLE)
        # Their logsumexp in its parts: the way back needs them too, and the exponential is what takes time.
        highest = rest.amax(2, keepdim=True)
        shares = (rest - highest).exp()
        total = shares.sum(2, keepdim=True)
        behind = total.log() + highest
        # What is left at each place: all behind the places, and the chosen from that place on.
        left = torch.cat([behind, chosen.flip(2)], 2).logcumsumexp(2)[:, :, 1:].flip(2)
        ctx.save_for_backward(order, chosen, shares, total, behind, left)
        return torch.where(chosen > IMPOSSIBLE, chosen - left, 0.0).sum(2)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The gradient [b, c] with respect to the logits, of that with respect to the result [b, n]."""
        order, chosen, shares, total, behind, left = ctx.saved_tensors
        counts = chosen > IMPOSSIBLE  # those that are impossible stand behind all others
        taken = torch.where(counts, 1 - (chosen + (-left).logcumsumexp(2)).exp(), 0.0) * gradient[:, :, None]
        weights = torch.where(counts, (behind - left).exp(), 0.0).sum(2) * gradient  # [b, n]
        result = -torch.bmm((weights / total[:, :, 0])[:, None, :], shares)[:, 0]
        return result.scatter_add_(1, order.flatten(1), taken.flatten(1)), None
