"""The queries of one checkpoint, as metrics are computed from them."""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from rankscale.evaluation.calibration import uncertain
from rankscale.evaluation.decomposition import Decomposition, decompose, pseudo_values
from rankscale.evaluation.rank_statistics import log_ranks, reciprocal_ranks

# Of an observations table, what a metric is computed from.
VALUES = ("loss", "above", "tied", "margin", "calibrated_loss", "auc_global")
SCALE = ("best_inverse_temperature", "best_inverse_temperature_low", "best_inverse_temperature_high", "at_cap")


class ScoreScale(NamedTuple):
    """The inverse temperature that suits all queries best, per unit of score; `low` to `high` its 95 % interval.

    Both are None where there is no interval; `at_cap`: half of the queries or all have no best one below the cap.
    """

    best: float
    low: float | None
    high: float | None
    at_cap: bool

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """Both ends."""
        return self.low, self.high

    @property
    def uncertain(self) -> bool:
        """Whether the calibrated cross-entropy's interval is too narrow."""
        return uncertain(self.best, self.low, self.high)


@dataclass(frozen=True)
class CheckpointQueries:
    """One value [q] per query of one test set and kind of candidates.

    `loss` in nats, `above` and `tied`: how many candidates score above and like the positive, `margin`: its score less
    the best candidate's; `calibrated_loss` under another half's best inverse temperature, `auc_global`: values whose
    mean that metric is; `retrieval`: the measures of the checkpoint's run, by name, where there is one.
    """

    loss: np.ndarray
    above: np.ndarray
    tied: np.ndarray
    margin: np.ndarray
    calibrated_loss: np.ndarray
    auc_global: np.ndarray
    _: KW_ONLY
    scale: ScoreScale
    n_candidates: int
    ties: str = "expected"
    correction: str = "jackknife"
    retrieval: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of_observations(
        cls, rows: pd.DataFrame, ties: str, retrieval: Iterable[str] = (), correction: str = "jackknife"
    ) -> "CheckpointQueries":
        """Rows of an observations table, one test set and kind of candidates, with columns of the run's measures."""
        best, low, high, at_cap = (rows[name].iloc[0] for name in SCALE)
        low, high = (None if pd.isna(bound) else float(bound) for bound in (low, high))
        return cls(
            *(rows[name].to_numpy() for name in VALUES),
            scale=ScoreScale(float(best), low, high, bool(at_cap)),
            n_candidates=int(rows.n_candidates.iloc[0]),
            ties=ties,
            correction=correction,
            retrieval={name: rows[name].to_numpy(float) for name in retrieval},
        )

    @property
    def has_scores(self) -> bool:
        """Whether the scores were known, and not the losses and ranks alone."""
        return not np.isnan(self.margin.astype(float)).any()

    @cached_property
    def calibrated(self) -> "CheckpointQueries":
        """The same queries with their calibrated losses."""
        return replace(self, loss=self.calibrated_loss)

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

    @cached_property
    def log_ranks(self) -> np.ndarray:
        """In expectation over the breaking of ties: float64 [q]."""
        return log_ranks(self.above, self.tied)

    @staticmethod
    def quantile(values: np.ndarray, share: float) -> float:
        """A quantile over queries."""
        return float(np.quantile(values, share))
