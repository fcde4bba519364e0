"""Texts that nearly repeat others: what is trained on must not be what is tested."""

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

BLOCK = 256  # texts whose similarities to all of the others are held at a time


def largest_similarity(texts: list[str], others: list[str]) -> np.ndarray:
    """The TF-IDF cosine of each text with the most similar of the `others`, float32 [n] in 0 to 1.

    Words are those of both together, and so are their weights (scikit-learn's defaults).
    """
    vectors = TfidfVectorizer(dtype=np.float32).fit_transform([*texts, *others])
    own, against = vectors[: len(texts)], vectors[len(texts) :].T.tocsr()
    starts = range(0, len(texts), BLOCK)
    return np.concatenate([(own[i : i + BLOCK] @ against).max(axis=1).toarray().reshape(-1) for i in starts])
