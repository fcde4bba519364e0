"""The queries of one checkpoint, as metrics are computed from them."""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from rankscale.evaluation.decomposition import Decomposition, decompose, pseudo_values, reciprocal_ranks


@dataclass(frozen=True)
class CheckpointQueries:
    """One value [q] per query of one test set and kind of candidates.

    `loss` in nats, `above` and `tied`: how many candidates score above and like the positive, `margin`: its score less
    the best candidate's; `retrieval`: the measures of the checkpoint's run, by name, where there is one.
    """

    loss: np.ndarray
    above: np.ndarray
    tied: np.ndarray
    margin: np.ndarray
    _: KW_ONLY
    n_candidates: int
    ties: str = "expected"
    correction: str = "jackknife"
    retrieval: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of_observations(cls, rows: pd.DataFrame, ties: str, retrieval: Iterable[str] = ()) -> "CheckpointQueries":
        """Rows of an observations table, one test set and kind of candidates, with columns of the run's measures."""
        columns = (rows[name].to_numpy() for name in ("loss", "above", "tied", "margin"))
        measures = {name: rows[name].to_numpy(float) for name in retrieval}
        return cls(*columns, n_candidates=int(rows.n_candidates.iloc[0]), ties=ties, retrieval=measures)

    @cached_property
    def decomposition(self) -> Decomposition:
        """The cross-entropy and its parts."""
        return decompose(
            self.loss,
            self.above,
            self.tied,
            n_candidates=self.n_candidates,
            ties=self.ties,
            correction=self.correction,
        )

    @cached_property
    def pseudo_values(self) -> np.ndarray:
        """Of the parts, float64 [q, 4]."""
        return pseudo_values(self.loss, self.above, self.tied, ties=self.ties)

    @cached_property
    def reciprocal_ranks(self) -> np.ndarray:
        """In expectation over the breaking of ties, or the best where ties are optimistic: float64 [q]."""
        return reciprocal_ranks(self.above, self.tied if self.ties == "expected" else 0 * self.tied)

    @staticmethod
    def quantile(values: np.ndarray, share: float) -> float:
        """A quantile over queries."""
        return float(np.quantile(values, share))
