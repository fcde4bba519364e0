"""What a training step sees: which queries, which positive, which negatives; a function of (seed, pass, position)."""

import numpy as np

from rankscale.core.seeding import generator
from rankscale.training.negatives import draws
from rankscale.training.training_data import TrainingData


class ExampleSampler:
    """Draws the training examples of one run, in rows of the queries and documents tables.

    Negatives are drawn afresh in each pass: from each query's mined list or, where there are none, from the whole
    collection, but for positives, their copies and the query itself. With `annealing` (two temperatures, of the first
    and of the last step) those that the miner scores high are drawn more often, and in the end the highest.
    """

    def __init__(
        self, data: TrainingData, per_query: int, seed: int, annealing: tuple[float, float] | None = None
    ) -> None:
        self.data, self.per_query, self.seed, self.annealing = data, per_query, seed, annealing
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
        mined = [array for array in (data.mined, data.mined_scores) if array is not None]
        return [settings, data.queries, lengths, np.concatenate(data.positives), *mined, self.judged_pairs]

    def epoch(self, number: int) -> np.ndarray:
        """The order, positions int64 [n], in which pass `number` (from 0) goes through the examples."""
        return generator(self.seed, "order", number).permutation(len(self))

    def batch(
        self, epoch: int, position: int, examples: np.ndarray, progress: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Query rows [b] and document rows [b, 1 + negatives] (positive first) of one step of a pass.

        `examples` int64 [b] are positions among the queries of the subset; `progress` is the share of the steps that
        are behind it.
        """
        data, random = self.data, generator(self.seed, "draws", epoch, position)
        queries = data.queries[examples]
        positive = [data.positives[i][random.integers(len(data.positives[i]))] for i in examples]
        if data.mined is not None:
            picks = self._picks(random, data.mined.shape[1], examples, progress)
            negatives = data.mined[examples[:, None], picks]
        else:
            negatives = random.integers(data.n_documents, size=(len(examples), self.per_query))
            while (wrong := self.is_judged(queries, negatives)).any():
                negatives[wrong] = random.integers(data.n_documents, size=int(wrong.sum()))
        return queries, np.column_stack([positive, negatives])

    def _picks(self, random: np.random.Generator, width: int, examples: np.ndarray, progress: float) -> np.ndarray:
        """Positions int64 [b, negatives] in the mined lists of `examples` [b]."""
        if not self.annealing:
            return draws.uniform_picks(random, (len(examples), width), self.per_query)
        assert self.data.mined_scores is not None, "they are read where draws go by them"
        temperature = draws.temperature(*self.annealing, progress)
        return draws.annealed_picks(random, self.data.mined_scores[examples], self.per_query, temperature)

    def is_judged(self, queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
        """Whether each of `documents` [b, k] is positive for its query of `queries` [b], a copy of such, or itself."""
        pairs = queries[:, None] * self.data.n_documents + documents
        index = np.searchsorted(self.judged_pairs, pairs).clip(max=len(self.judged_pairs) - 1)
        return self.judged_pairs[index] == pairs
