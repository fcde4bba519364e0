"""What training minimises, and how fast it goes: the contrastive loss and the schedule of the learning rate."""

import torch
from torch.nn import functional


def contrastive_loss(
    queries: torch.Tensor, passages: torch.Tensor, judged: torch.Tensor | None, inverse_temperature: float
) -> torch.Tensor:
    """Mean softmax cross-entropy (nats) of each query's positive against its negatives.

    `queries` [b, d]; `passages` [b, k, d], the positive first. With `judged` bool [b, b k] every passage of the
    batch is a negative of every query, except where `judged` marks a false one; without it only its own k - 1.
    """
    b, k, d = passages.shape
    if judged is None:
        scores = torch.einsum("bd,bkd->bk", queries, passages)
        target = torch.zeros(b, dtype=torch.long, device=queries.device)
    else:
        scores = (queries @ passages.reshape(b * k, d).T).masked_fill(judged, -torch.inf)
        target = torch.arange(b, device=queries.device) * k
    return functional.cross_entropy(scores.float() * inverse_temperature, target)
