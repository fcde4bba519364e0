"""Every figure of a study by its name: where its function is, and which tables it needs that not every study has.

The workflow reads this, so the functions are only named here; stages/plot imports their modules. A figure's caption is
`workflow/report/{name}.rst`.
"""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple


class Figure(NamedTuple):
    """A figure; `function` is `module:name`, of one that takes the study's tables."""

    function: str
    needs: tuple[str, ...] = ()

    def load(self) -> Callable:
        """The function."""
        module, name = self.function.split(":")
        return getattr(import_module(module), name)


HERE = "rankscale.report.figures"
BETWEEN = ("multipliers", "exponents")  # what a study of several variants has
FIGURES = {
    "model_scale": Figure(f"{HERE}.scaling:model_scale"),
    "data_scale": Figure(f"{HERE}.scaling:data_scale"),
    "compute_scale": Figure(f"{HERE}.scaling:compute_scale"),
    "other_metrics": Figure(f"{HERE}.other_metrics:other_metrics"),
    "metric_vs_mrr": Figure(f"{HERE}.curves:metric_vs_mrr"),
    "training": Figure(f"{HERE}.curves:training"),
    "shares": Figure(f"{HERE}.curves:shares"),
    "forecast": Figure(f"{HERE}.scaling:forecast"),
    "roll_forward": Figure(f"{HERE}.diagnostics:roll_forward"),
    "residuals": Figure(f"{HERE}.diagnostics:residuals"),
    "queries": Figure(f"{HERE}.query_count:queries"),
    "variants_rank_entropy": Figure(f"{HERE}.variants:variants_rank_entropy", needs=BETWEEN),
    "variants_calibrated": Figure(f"{HERE}.variants:variants_calibrated", needs=BETWEEN),
    "variants_inference": Figure(f"{HERE}.variants:variants_inference", needs=BETWEEN),
    "variants_mrr": Figure(f"{HERE}.variants:variants_mrr", needs=BETWEEN),
    "plan": Figure(f"{HERE}.plan:plan", needs=("plan", "plan_grid")),
}


def figures_of(tables: set[str]) -> list[str]:
    """The figures that some tables serve for, in order."""
    return [name for name, figure in FIGURES.items() if tables.issuperset(figure.needs)]
