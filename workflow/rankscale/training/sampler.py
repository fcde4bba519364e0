"""What a training step sees: which queries, which positive, which negatives; a function of (seed, pass, position)."""

import numpy as np

from rankscale.core.seeding import generator
from rankscale.training.training_data import TrainingData


class ExampleSampler:
    """Draws the training examples of one run, in rows of the queries and documents tables.

    Negatives are drawn afresh in each pass: from each query's mined list or, where there are none, from the whole
    collection, but for positives, their copies and the query itself.
    """

    def __init__(self, data: TrainingData, per_query: int, seed: int) -> None:
        self.data, self.per_query, self.seed = data, per_query, seed
        # Judged pairs as one number each, so that a batch's false negatives are found in one look-up.
        pairs = zip(data.queries, data.wrong, strict=True)
        self.judged_pairs = np.sort(np.concatenate([query * data.n_documents + rows for query, rows in pairs]))

    def __len__(self) -> int:
        return len(self.data.queries)

    def contents(self) -> list[object]:
        """Everything that its batches are made of beside the code, to be hashed."""
        data = self.data
        settings = [self.per_query, self.seed, data.n_documents]
        lengths = np.array([len(rows) for rows in data.positives])
        mined = [] if data.mined is None else [data.mined]
        return [settings, data.queries, lengths, np.concatenate(data.positives), self.judged_pairs, *mined]

    def epoch(self, number: int) -> np.ndarray:
        """The order, positions int64 [n], in which pass `number` (from 0) goes through the examples."""
        return generator(self.seed, "order", number).permutation(len(self))

    def batch(self, epoch: int, position: int, examples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Query rows [b] and document rows [b, 1 + negatives] (positive first) of one step of a pass.

        `examples` int64 [b] are positions among the queries of the subset.
        """
        data, random = self.data, generator(self.seed, "draws", epoch, position)
        queries = data.queries[examples]
        positive = [data.positives[i][random.integers(len(data.positives[i]))] for i in examples]
        if data.mined is not None:
            width = data.mined.shape[1]
            picks = np.argsort(random.random((len(examples), width)), axis=1)[:, : self.per_query]
            negatives = data.mined[examples[:, None], picks]
        else:
            negatives = random.integers(data.n_documents, size=(len(examples), self.per_query))
            while (wrong := self.is_judged(queries, negatives)).any():
                negatives[wrong] = random.integers(data.n_documents, size=int(wrong.sum()))
        return queries, np.column_stack([positive, negatives])

    def is_judged(self, queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
        """Whether each of `documents` [b, k] is positive for its query of `queries` [b], a copy of such, or itself."""
        pairs = queries[:, None] * self.data.n_documents + documents
        index = np.searchsorted(self.judged_pairs, pairs).clip(max=len(self.judged_pairs) - 1)
        return self.judged_pairs[index] == pairs
