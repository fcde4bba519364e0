"""Which of several laws fitted to the same points is preferred."""

from collections.abc import Iterable, Sequence

from rankscale.laws.fitting import LawFit
from rankscale.laws.forms.base import Law

CLOSE = 2  # of AICc: less is hardly evidence (Burnham and Anderson, Model Selection, 2002)


def by_aicc(scores: Sequence[float], laws: Sequence[Law]) -> list[int]:
    """The order in which AICc prefers laws that were fitted to the same points: positions in `scores`.

    Of laws that it hardly tells apart from the first, bounded ones come first: a metric has its bound whether or not
    these points show it.
    """
    close = min(scores, default=0.0) + CLOSE
    keys = [(score > close, score <= close and not law.bounded, score) for score, law in zip(scores, laws, strict=True)]
    return sorted(range(len(keys)), key=keys.__getitem__)


def preferred(fits: Iterable[LawFit]) -> LawFit | None:
    """Of fits to the same points the one that AICc prefers, None if none converged.

    Where points are too few for any AICc, the least squares of those with the fewest parameters: the same order among
    them. Of equals the first.
    """
    good = [fit for fit in fits if fit.converged]
    scored = [(score, fit) for fit in good if (score := fit.quality()["aicc"]) is not None]
    if scored:
        return scored[by_aicc([score for score, _ in scored], [fit.law for _, fit in scored])[0]][1]
    return min(good, key=lambda fit: (len(fit.theta), fit.quality()["rmse"]), default=None)
