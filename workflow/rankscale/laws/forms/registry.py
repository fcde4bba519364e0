"""Every law by its name, in the order of tables and legends; delta >= 0."""

from rankscale.core.errors import StudyError
from rankscale.core.metrics import metric_named
from rankscale.laws.forms.additive import ADDITIVE
from rankscale.laws.forms.base import Law
from rankscale.laws.forms.bounded import BOUNDED, BOUNDED_FLOOR
from rankscale.laws.forms.ceiling import CEILING, CEILING_FLOOR, CEILING_PLANE, CEILING_PLANE_FLOOR
from rankscale.laws.forms.floor import FLOOR
from rankscale.laws.forms.joint import JOINT
from rankscale.laws.forms.line import LINE
from rankscale.laws.forms.trend import TREND

OF_ONE = (LINE, FLOOR, CEILING, CEILING_FLOOR, TREND)
OF_TWO = (JOINT, ADDITIVE, CEILING_PLANE, CEILING_PLANE_FLOOR, BOUNDED, BOUNDED_FLOOR)
LAWS: dict[str, Law] = {law.name: law for law in (*OF_ONE, *OF_TWO)}
NO_CHANGE = "no change"  # the forecast that a law must beat: the largest size that was fitted, again


def law_named(name: str) -> Law:
    """The law of a name. Raises StudyError if there is none."""
    if name not in LAWS:
        raise StudyError(f"law: {name!r} is none of {', '.join(LAWS)}")
    return LAWS[name]


def laws_for(metric: str, variables: int, ceiling: float | None) -> tuple[Law, ...]:
    """The laws that are fitted to a metric: power laws if it cannot be negative, bounded ones if it has a ceiling.

    `ceiling` is the metric's value at chance, None where it has none.
    """
    if ceiling is None:
        return tuple(law for law in laws_of(metric, variables) if not law.bounded)
    return tuple(law.for_ceiling(ceiling) if law.bounded else law for law in laws_of(metric, variables))


def laws_of(metric: str, variables: int) -> tuple[Law, ...]:
    """The laws that some study can fit to a metric; bounded ones without their ceiling yet."""
    known = metric_named(metric)
    laws = (law for law in LAWS.values() if law.variables == variables and (law.signed or not known.signed))
    return tuple(law for law in laws if known.has_ceiling or not law.bounded)


def preferred_kind(laws: tuple[Law, ...]) -> tuple[Law, ...]:
    """Of laws of one metric those that forecast it: power laws, and a trend only where there are none."""
    return tuple(law for law in laws if not law.signed) or laws


def forecasting_laws(metric: str, variables: int = 1) -> tuple[Law, ...]:
    """The laws that may forecast a metric, the straight ones first as they are in the registry.

    Which of them a study could fit, its tables say.
    """
    return preferred_kind(laws_of(metric, variables))
