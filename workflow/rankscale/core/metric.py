"""What a metric is: the fields of an entry of `core.metrics`, and what follows from them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

COMPLEMENT = "1-"  # before a metric that rises as models get better: what it lacks to 1 falls as a loss does


class TrecMeasure(NamedTuple):
    """How pytrec_eval measures a run: by grades or what is positive, cut to `cut`, and only one of `depth` or more."""

    measure: str
    graded: bool = False
    cut: int | None = None
    depth: int = 0


@dataclass(frozen=True)
class Metric:
    """A metric: a column of the scores and metrics tables, or what such a column lacks to 1.

    `per_query` makes of one checkpoint's queries (`evaluation.query_values.CheckpointQueries`) values [q] whose mean
    the metric is, up to a constant; a metric that has none says in `not_a_mean` why, and counts as free of query noise:
    the residuals of a law alone tell its noise. `value` is how the metric is computed where that is not the mean, and
    `bounds` its 95 % interval then; an interval that may be open has missing ends.
    `chance` is its value at random scores over n candidates, ties in expectation; None where it depends on the scores.
    `origin` is what laws count it from, where the column counts from another number.
    """

    name: str
    label: str
    unit: str = ""
    falls: bool = False  # lower is better
    per_query: Callable[[Any], Any] | None = None
    not_a_mean: str = ""
    value: Callable[[Any], float] | None = None
    bounds: Callable[[Any], tuple[float | None, float | None]] | None = None
    signed: bool = False  # may be negative: no power law
    source: str = "candidates"  # or "retrieval"
    has_interval: bool = False  # the tables have its 95 % interval in `{name}_low` and `{name}_high`
    chance: Callable[[int], float] | None = None
    trec: TrecMeasure | None = None
    origin: float = 0.0
    of_scores: bool = False  # needs the scores themselves, which results that were made elsewhere may lack
    complement: bool = False  # what the column `column` lacks to 1

    def __post_init__(self) -> None:
        if (self.per_query is None) == (not self.not_a_mean):
            raise TypeError(f"metric {self.name}: has values per query, or says why not")
        if self.value is not None and self.has_interval and self.bounds is None:
            raise TypeError(f"metric {self.name}: has an interval, and no bounds to compute it")

    @property
    def column(self) -> str:
        """The column of the metrics table that it is read from."""
        return self.name.removeprefix(COMPLEMENT) if self.complement else self.name

    def of(self, values: Any) -> Any:
        """The metric of values of its column."""
        return 1 - values if self.complement else values - self.origin

    @property
    def has_ceiling(self) -> bool:
        """Whether it falls from a value at chance that is known. Quantiles have none: they take steps."""
        return self.falls and self.chance is not None and self.per_query is not None

    def ceiling(self, n_candidates: int) -> float:
        """Its value at chance as laws count it, for metrics that have such a ceiling."""
        assert self.chance is not None, f"{self.name}: has no ceiling"
        return self.chance(n_candidates) - self.origin

    def interval(self, low: Any, high: Any) -> tuple[Any, Any]:
        """The ends of the metric's interval, from those of its column."""
        return (1 - high, 1 - low) if self.complement else (low, high)
