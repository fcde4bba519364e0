"""What a run knows of its queries and pairs beside which is positive, as a loss is told it."""

from dataclasses import dataclass

import numpy as np

from rankscale.core.seeding import generator
from rankscale.training.negatives.mixed import draw_mixtures
from rankscale.training.supervision.query_weights import QueryWeights
from rankscale.training.supervision.scored_pairs import ScoredPairs

OPEN = np.float32(2**-24)  # a uniform number keeps so far from 0 and 1


@dataclass(frozen=True)
class Labels:
    """A teacher's scores, grades, weights, and random numbers: each where a run has it.

    `draws` random numbers a column, for rankings, and `mixtures` interpolated negatives a query are drawn by `seed`.
    """

    seed: int = 0
    teacher: ScoredPairs | None = None
    grades: ScoredPairs | None = None
    weights: QueryWeights | None = None
    draws: int = 0
    mixtures: int = 0

    def batch(
        self, examples: np.ndarray, documents: np.ndarray, columns: int, epoch: int, position: int
    ) -> dict[str, np.ndarray]:
        """Fields of `Targets` as arrays, of examples [b] with documents [b, k], the positive first, of one step.

        `columns` are those of the scores, before mixtures.
        """
        fields: dict[str, np.ndarray] = {}
        b, k = documents.shape
        if self.teacher:
            fields["teacher"] = self.teacher.of(examples, documents)
        if self.grades:
            fields["grades"] = np.nan_to_num(self.grades.of(examples, documents))
        if self.weights:
            fields["weight"] = self.weights.of(examples, documents, epoch)
        if self.mixtures:
            fields["mixture"] = draw_mixtures(generator(self.seed, "mixtures", epoch, position), b, k, self.mixtures)
        if self.draws:
            shape = b, self.draws, columns + self.mixtures
            uniform = generator(self.seed, "rankings", epoch, position).random(shape, np.float32)
            fields["uniform"] = uniform.clip(OPEN, 1 - OPEN)
        return fields

    def contents(self) -> list[object]:
        """What of it lies in files, to be hashed."""
        miner = [factor.lists.pairs for factor in self.weights.factors] if self.weights else []
        return [part for pairs in (self.teacher, self.grades, *miner) if pairs for part in pairs.contents()]
