"""Cross-entropy split exactly into Rank-Entropy, Rank-Score-Alignment and Score-Uncertainty, with intervals.

The three parts are those of "A Rank-oriented and Scalable Metric for Scaling Ranking Models". What is added here:
ties are spread over the ranks a query could hold, and the parts' sampling bias is taken off by the delete-one
jackknife, whose pseudo-values also give every standard error and covariance. docs/method.md derives it all.
"""

from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import ArrayLike

from rankscale.core.errors import StudyError
from rankscale.core.metrics import CORRECTIONS, TIES
from rankscale.evaluation.local_uncertainty import WINDOW, local_with_errors
from rankscale.evaluation.rank_statistics import grassberger_entropy, reciprocal_ranks

# Of a normal distribution: 95 % of it lies this many standard deviations around its mean.
NORMAL = 1.959963984540054
# A rank whose weight is below this holds no query; weights are sums of 1 / (tied + 1), far above it.
NOTHING = 1e-9
MOST = 10**7  # candidates; beyond it a number is a mistake, and would fill the memory
THIN = 5  # queries at a rank, below which the jackknife leaves a bias of second order in Score-Uncertainty
MOST_THIN = 0.02  # of q at such ranks: with more its interval is off centre


@dataclass(frozen=True)
class Decomposition:
    """A decomposed cross-entropy, in nats; `*_se` are standard errors over queries.

    The parts sum to `cross_entropy`; so do the `*_plugin` ones, which carry the sampling bias. `thin_share` is the
    share of q, plug-in, at ranks of fewer than 5 queries; `chance` is the MRR of random scores, None where the number
    of candidates is not known.
    """

    cross_entropy: float
    rank_entropy: float
    rank_score_alignment: float
    score_uncertainty: float
    rank_entropy_plugin: float
    rank_score_alignment_plugin: float
    score_uncertainty_plugin: float
    mrr: float
    cross_entropy_se: float
    rank_entropy_se: float
    rank_score_alignment_se: float
    score_uncertainty_se: float
    mrr_se: float
    _: KW_ONLY
    n_queries: int
    observed_ranks: int
    thin_share: float
    chance: float | None

    def interval(self, name: str) -> tuple[float, float]:
        """The 95 % interval of a part or of `mrr`."""
        value, error = getattr(self, name), getattr(self, f"{name}_se")
        return value - NORMAL * error, value + NORMAL * error

    @property
    def below_chance(self) -> bool | None:
        """Whether the interval of MRR reaches down to that of random scores."""
        return None if self.chance is None else bool(self.interval("mrr")[0] <= self.chance)

    @property
    def too_few_queries(self) -> bool:
        """Whether over .02 of q (`thin_share`) lie at ranks of fewer than 5 queries: too much for the jackknife."""
        return self.thin_share > MOST_THIN


def decompose(
    loss: ArrayLike,
    above: ArrayLike,
    tied: ArrayLike | None = None,
    *,
    n_candidates: int | None = None,
    ties: str = "expected",
    correction: str = "jackknife",
) -> Decomposition:
    """Decompose the contrastive cross-entropy of queries.

    `loss` (nats), `above` and `tied` hold one value per query: the loss, and how many candidates score strictly
    higher than and exactly like the positive. `ties="expected"` spreads a query evenly over the ranks it could
    hold, `"optimistic"` gives it the best; `correction` is `jackknife`, `local` (the same, with Score-Uncertainty from
    a smooth course of the loss over all `n_candidates` + 1 ranks: for few queries a rank), `none`, `miller-madow` or
    `grassberger` (the last two correct Rank-Entropy and take the difference off Rank-Score-Alignment). Raises
    StudyError (a ValueError) for fewer than two queries or values that cannot be.
    """
    counts = _Counts(loss, above, tied, n_candidates, ties)
    pseudo = counts.pseudo_values()
    reciprocal = counts.reciprocal_ranks()
    errors = np.append(pseudo.std(0, ddof=1), reciprocal.std(ddof=1)) / np.sqrt(len(counts.loss))
    entropy, uncertainty, alignment = counts.plugin()
    if abs(counts.loss.mean() - entropy - uncertainty - alignment) > 1e-9 * max(1.0, abs(counts.loss.mean())):
        raise StudyError("the parts do not sum to the cross-entropy; the losses are too large to add exactly")
    plugin = np.array([counts.loss.mean(), entropy, alignment, uncertainty])
    if correction in ("jackknife", "local"):
        corrected = pseudo.mean(0)
        if correction == "local":
            if n_candidates is None:
                raise StudyError("correction: local sums over all ranks; give n_candidates")
            # Of a model that puts its positives at a few ranks only, nothing is known of the others.
            if (counts.weight > NOTHING).sum() >= WINDOW:
                corrected[3], errors[2:4] = local_with_errors(
                    counts.query, counts.rank, counts.share, counts.loss, n_candidates + 1
                )
        # The sum of means and the mean of sums may differ in the last digit; the parts decide.
        corrected[2] = corrected[0] - corrected[1] - corrected[3]
    elif correction in CORRECTIONS:
        bias = {
            "none": 0.0,
            "miller-madow": counts.miller_madow(),
            "grassberger": grassberger_entropy(counts.weight) - entropy,
        }
        corrected = plugin + np.array([0, bias[correction], -bias[correction], 0])
    else:
        raise StudyError(f"correction: {correction!r} is none of {', '.join(CORRECTIONS)}")
    return Decomposition(
        *map(float, [*corrected, *plugin[1:], reciprocal.mean(), *errors]),
        n_queries=len(counts.loss),
        observed_ranks=int((counts.weight > NOTHING).sum()),
        thin_share=counts.thin_share(),
        chance=None if n_candidates is None else float(harmonic(n_candidates + 1) / (n_candidates + 1)),
    )


def pseudo_values(
    loss: ArrayLike, above: ArrayLike, tied: ArrayLike | None = None, *, ties: str = "expected"
) -> np.ndarray:
    """Jackknife pseudo-values float64 [q, 4], in the order of `core.metrics.PARTS`, and the columns sum query by query.

    Their mean is the part that the jackknife corrected, their covariance over q that of the parts: of one checkpoint,
    or, paired by query, of several (Efron and Stein 1981).
    """
    return _Counts(loss, above, tied, None, ties).pseudo_values()


def harmonic(n: int) -> float:
    """1 + 1/2 + ... + 1/n."""
    return float((1 / np.arange(1, n + 1)).sum())


class _Counts:
    """The queries of one checkpoint spread over ranks: weights and weighted losses summed by rank."""

    def __init__(
        self, loss: ArrayLike, above: ArrayLike, tied: ArrayLike | None, n_candidates: int | None, ties: str
    ) -> None:
        try:
            self.loss, above = np.asarray(loss, np.float64), np.asarray(above, np.float64)
            tied = np.zeros(above.shape) if tied is None else np.asarray(tied, np.float64)
        except (TypeError, ValueError) as error:
            raise StudyError(f"loss, above and tied must be arrays of numbers ({error})") from error
        if ties not in TIES:
            raise StudyError(f"ties: {ties!r} is none of {', '.join(TIES)}")
        if not (self.loss.ndim == above.ndim == tied.ndim == 1 and len(self.loss) == len(above) == len(tied)):
            raise StudyError("loss, above and tied must be arrays of one value per query and of equal length")
        if len(self.loss) < 2:
            raise StudyError(f"a decomposition needs two queries or more, there are {len(self.loss)}")
        for name, values in (("loss", self.loss), ("above", above), ("tied", tied)):
            # A loss may come out a rounding below 0.
            bad = ~np.isfinite(values) | (values < (-1e-6 if name == "loss" else 0))
            if name != "loss":
                bad |= values != np.floor(values)
            if bad.any():
                row = int(bad.argmax())
                raise StudyError(f"{name} of query number {row} is {values[row]}")
            if name != "loss" and values.max() > MOST:
                row = int(values.argmax())
                raise StudyError(f"{name} of query number {row} is {values[row]}, more candidates than there can be")
        self.above = above.astype(np.int64)
        self.tied = tied.astype(np.int64)
        if ties == "optimistic":
            self.tied = np.zeros_like(self.tied)
        last = self.above + self.tied
        if n_candidates is not None and last.max() > n_candidates:
            row = int(last.argmax())
            raise StudyError(f"above + tied of query number {row} is {last[row]}, of {n_candidates} candidates")
        # One entry for each rank that each query could hold.
        span = self.tied + 1
        self.query = np.repeat(np.arange(len(span)), span)
        self.rank = np.arange(len(self.query)) - np.repeat(np.cumsum(span) - span, span) + self.above[self.query]
        self.share = 1 / span[self.query]
        size = int(last.max()) + 1
        self.weight = np.bincount(self.rank, self.share, size)
        self.weighted_loss = np.bincount(self.rank, self.share * self.loss[self.query], size)

    def plugin(self) -> tuple[float, float, float]:
        """Rank-Entropy, Score-Uncertainty and Rank-Score-Alignment of the counts as they are."""
        on = self.weight > NOTHING
        p, c = self.weight[on] / len(self.loss), self.weighted_loss[on] / self.weight[on]
        log_z = _log_sum(-c)
        return float(-(p * np.log(p)).sum()), -log_z, float((p * (np.log(p) + c + log_z)).sum())

    def pseudo_values(self) -> np.ndarray:
        """[q, 4]: for each part, q times it minus (q - 1) times it without the query; O(queries + ranks)."""
        q = len(self.loss)
        entropy, uncertainty, _ = self.plugin()
        own_weight, without = self.weight[self.rank], self.weight[self.rank] - self.share
        empty = without <= NOTHING
        without = np.where(empty, 0, without)
        rest = np.where(empty, 1, without)
        # Rank-Entropy is log q - sum(w log w) / q, and a query leaves only the ranks that it could hold.
        change = np.where(empty, 0, without * np.log(rest)) - own_weight * np.log(own_weight)
        own = np.bincount(self.query, change, q)
        on = self.weight > NOTHING
        total = (self.weight[on] * np.log(self.weight[on])).sum()
        entropy_without = np.log(q - 1) - (total + own) / (q - 1)
        # Z is a sum over ranks too; relative to its own size, so that large losses do not vanish.
        mean = np.where(on, self.weighted_loss / np.where(on, self.weight, 1), np.inf)
        terms = np.exp(-mean - (-uncertainty))
        mean_without = (self.weighted_loss[self.rank] - self.share * self.loss[self.query]) / rest
        new = np.where(empty, 0, np.exp(np.minimum(-mean_without + uncertainty, 700)))
        z = 1 + np.bincount(self.query, new - terms[self.rank], q)
        # Where the only query of a rank that made up most of Z leaves, the difference has no digits left.
        for i in np.unique(self.query[empty & (terms[self.rank] > 0.5)]):
            mine = self.query == i
            others = np.delete(terms, self.rank[mine])
            z[i] = others.sum() + new[mine].sum()
        if (z <= 0).any():
            raise StudyError("all queries but one have losses too large for Score-Uncertainty to be told")
        uncertainty_without = uncertainty - np.log(z)
        out = np.empty((q, 4))
        out[:, 0] = self.loss
        out[:, 1] = q * entropy - (q - 1) * entropy_without
        out[:, 3] = q * uncertainty - (q - 1) * uncertainty_without
        out[:, 2] = out[:, 0] - out[:, 1] - out[:, 3]
        return out

    def reciprocal_ranks(self) -> np.ndarray:
        return reciprocal_ranks(self.above, self.tied)

    def thin_share(self) -> float:
        """How much of q lies at ranks of fewer than 5 queries."""
        on = self.weight > NOTHING
        c = self.weighted_loss[on] / self.weight[on]
        q = np.exp(-c - _log_sum(-c))
        return float(q[self.weight[on] < THIN - NOTHING].sum())

    def miller_madow(self) -> float:
        """What the plug-in entropy lacks to first order (Miller 1955), for weights spread over ties."""
        q, on = len(self.loss), self.weight > NOTHING
        squares = np.bincount(self.rank, self.share**2, len(self.weight))[on] / q
        return float(((squares / (self.weight[on] / q)).sum() - 1) / (2 * q))


def _log_sum(values: np.ndarray) -> float:
    top = values.max()
    return float(top + np.log(np.exp(values - top).sum()))
