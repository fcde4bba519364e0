"""Weights of queries by their own losses."""

import torch


def reweighted(losses: torch.Tensor, temperature: float) -> torch.Tensor:
    """Losses [b] of a whole batch times b softmax(losses / temperature), which has no gradient.

    Above 0 hard queries count more, below 0 less, as where labels are noisy. Qi et al., Attentional-Biased Stochastic
    Gradient Descent (arXiv 2012.06951), without its moving average.
    """
    return losses * (losses.detach() / temperature).softmax(0) * len(losses)
