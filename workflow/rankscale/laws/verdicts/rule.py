"""The verdict of a metric on an axis: does it keep improving beyond the known cells, and as its law forecast?

    keeps improving   the realised gain R is above 0, one-sided at 5 %
    as forecast       the interval of the realised share rho excludes 0 and holds 1: confirmed where it lies within
                      [1/2, 2], too uncertain elsewhere
    no longer         the interval of rho lies below 1/2, and R is not shown to be above 0
    undecided         all else

The interval is Fieller's at 95 %, by t as `realised_gain` says. Where it is unbounded nothing is said of the forecast;
R needs no forecast, so *keeps improving* may still be. With one seed a verdict is provisional: nothing in the study
tells the noise of the held-out cells, and where it grows with size false alarms come to 14 %.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from rankscale.laws.verdicts.realised_gain import Gains

LEVEL = 0.05
POWER = 0.8  # with which the smallest difference would have been seen
CONFIRMED = (0.5, 2.0)  # realised shares that are as good as forecast
NO_LONGER = 0.5
KEEPS_IMPROVING, NO_MORE, UNDECIDED = "keeps improving", "no longer", "undecided"
PROVISIONAL = "one seed: nothing tells the noise of the held-out cells"


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on `b` studies; numbers are NaN where nothing can be told.

    `forecast` is one of confirmed, too uncertain (the interval holds 0 and 1, or is wider than [1/2, 2]), more and less
    than forecast, unbounded, and none (the law forecasts no gain, or there is no law).
    """

    gains: Gains
    verdict: np.ndarray  # [b] str
    forecast: np.ndarray  # [b] str
    keeps_improving: np.ndarray  # [b] bool
    as_forecast: np.ndarray  # [b] bool: the interval excludes 0 and holds 1
    share: np.ndarray  # [b] rho
    low: np.ndarray  # [b] its interval; infinite where it is unbounded
    high: np.ndarray
    gain_low: np.ndarray  # [b] 95 % interval of R, metric's unit
    gain_high: np.ndarray
    p_improving: np.ndarray  # [b] one-sided, of R <= 0
    p_forecast: np.ndarray  # [b] two-sided, of rho = 1
    smallest_gain: np.ndarray  # [b] R that would have been seen in 80 % of such studies, metric's unit
    smallest_share: np.ndarray  # [b] the same over G

    @property
    def provisional(self) -> bool:
        return self.gains.seeds == 1

    def reason(self, i: int = 0) -> str:
        """Why study `i` is undecided or provisional; empty where there is nothing to explain."""
        if self.gains.note:
            return self.gains.note
        if not np.isfinite(self.p_improving[i]):
            return "the law could not be fitted to the known cells"
        text = PROVISIONAL if self.provisional else ""
        if self.verdict[i] == UNDECIDED:
            text += "; " if text else ""
            if self.forecast[i] == "none":
                return text + "the law forecasts no gain"
            if self.forecast[i] == "unbounded":
                return text + "the forecast gain cannot be told from 0, so neither can the share realised"
            interval = f"{self.low[i]:.2f} to {self.high[i]:.2f}"
            text += f"the share realised may be {interval}, a gain of {self.smallest_share[i]:.2f} of the forecast "
            text += f"would have been seen in {POWER:.0%} of such studies"
        return text


def judge(gains: Gains) -> Verdicts:
    """The verdict on each study."""
    freedom = gains.effective_freedom
    realised, predicted = gains.realised, gains.predicted
    variance, covariance, predicted_variance = gains.variances
    two_sided = stats.t.ppf(1 - LEVEL / 2, freedom)
    with np.errstate(all="ignore"):
        error = np.sqrt(variance)
        p_improving = stats.t.sf(realised / error, freedom)
        away = np.abs(realised - predicted) / np.sqrt(variance - 2 * covariance + predicted_variance)
        share = np.where(predicted > 0, realised / predicted, np.nan)
        smallest = smallest_effect(freedom, one_sided=True) * error
        smallest_share = np.where(predicted > 0, smallest / predicted, np.nan)
    interval = gains.share()
    low = np.where(interval.bounded, interval.low, -np.inf)
    high = np.where(interval.bounded, interval.high, np.inf)
    improving = p_improving <= LEVEL
    # Without a forecast gain a share of it means nothing, and one that is negative would count a loss as kept.
    gaining = predicted > 0
    bounded = interval.bounded & gaining
    as_forecast = bounded & (low > 0) & (low <= 1) & (high >= 1)
    within = as_forecast & (low >= CONFIRMED[0]) & (high <= CONFIRMED[1])
    no_more = bounded & (high < NO_LONGER) & ~improving
    forecast = np.select(
        [~gaining, ~bounded, within, high < 1, low > 1],
        ["none", "unbounded", "confirmed", "less", "more"],
        "too uncertain",
    )
    unknown = ~np.isfinite(p_improving) | ~gaining
    return Verdicts(
        gains,
        np.select([improving, no_more], [KEEPS_IMPROVING, NO_MORE], UNDECIDED),
        forecast,
        improving,
        as_forecast,
        share,
        np.where(unknown, np.nan, low),
        np.where(unknown, np.nan, high),
        realised - two_sided * error,
        realised + two_sided * error,
        p_improving,
        2 * stats.t.sf(away, freedom),
        smallest,
        smallest_share,
    )


def smallest_effect(freedom: np.ndarray, *, one_sided: bool) -> np.ndarray:
    """Standard errors that an effect must have for a t test at 5 % to show it in 80 % of studies.

    The sum of t's two quantiles, within 2 % of the noncentral t's from three degrees of freedom on.
    """
    return stats.t.ppf(1 - LEVEL / (1 if one_sided else 2), freedom) + stats.t.ppf(POWER, freedom)
