"""Which of a query's mined negatives a step sees."""

import numpy as np


def uniform_picks(random: np.random.Generator, shape: tuple[int, int], count: int) -> np.ndarray:
    """Positions int64 [b, count] in lists of `shape` [b, width], each as likely, none twice."""
    return np.argsort(random.random(shape), axis=1)[:, :count]


def annealed_picks(random: np.random.Generator, scores: np.ndarray, count: int, temperature: float) -> np.ndarray:
    """Positions int64 [b, count] in lists of `scores` [b, width], drawn by softmax(scores / temperature), none twice.

    By Gumbel noise: the `count` largest of scores / temperature + noise.
    """
    noise = random.gumbel(size=scores.shape)
    return np.argsort(-(scores / temperature + noise), axis=1, kind="stable")[:, :count]


def temperature(start: float, end: float, progress: float) -> float:
    """The temperature after the share `progress` of the steps: from `start` to `end`, by equal factors.

    As for CoRNStack: High-Quality Contrastive Data for Better Code Retrieval and Reranking (arXiv 2412.01007).
    """
    return start * (end / start) ** progress
