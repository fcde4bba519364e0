"""Every figure of a study by its name: where its function is, and which tables it needs that not every study has.

The workflow reads this, so the functions are only named here; stages/plot imports their modules. A figure's caption is
`workflow/report/{name}.rst`.
"""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple


class Figure(NamedTuple):
    """A figure; `function` is `module:name`, of one that takes the study's tables.

    `title` says what it shows; `section` is how the heading in the summary begins under which it stands on the page,
    empty for those that stand at its end.
    """

    function: str
    title: str
    section: str = ""
    needs: tuple[str, ...] = ()

    def load(self) -> Callable:
        """The function."""
        module, name = self.function.split(":")
        return getattr(import_module(module), name)


HERE = "rankscale.report.figures"
BETWEEN = ("multipliers", "exponents")  # what a study of several variants has
FIGURES = {
    "model_scale": Figure(
        f"{HERE}.scaling:model_scale", "Cross-entropy and its parts over model size, with their laws", "Verdicts"
    ),
    "data_scale": Figure(
        f"{HERE}.scaling:data_scale", "Cross-entropy and its parts over training queries, with their laws", "Verdicts"
    ),
    "compute_scale": Figure(
        f"{HERE}.scaling:compute_scale",
        "Cross-entropy and its parts over training compute, with the laws of the lower envelope",
        "The laws",
    ),
    "other_metrics": Figure(
        f"{HERE}.other_metrics:other_metrics",
        "The other metrics that laws were fitted to, over model size and training queries",
        "The laws",
    ),
    "metric_vs_mrr": Figure(f"{HERE}.curves:metric_vs_mrr", "Losses and their parts against MRR and nDCG@10"),
    "training": Figure(f"{HERE}.curves:training", "Cross-entropy and its parts over training steps"),
    "shares": Figure(f"{HERE}.curves:shares", "The parts as signed shares of the cross-entropy, by model"),
    "forecast": Figure(
        f"{HERE}.scaling:forecast", "What was forecast of the cells held out, and what came", "Which metric"
    ),
    "roll_forward": Figure(
        f"{HERE}.diagnostics:roll_forward", "Errors of forecasts from ever more known sizes", "Which metric"
    ),
    "residuals": Figure(
        f"{HERE}.diagnostics:residuals", "What each law leaves unexplained, point by point", "The laws"
    ),
    "queries": Figure(f"{HERE}.query_count:queries", "The parts on ever fewer test queries"),
    "variants_rank_entropy": Figure(
        f"{HERE}.variants:variants_rank_entropy",
        "Rank-Entropy of every way to train, with its law",
        "Which way",
        needs=BETWEEN,
    ),
    "variants_calibrated": Figure(
        f"{HERE}.variants:variants_calibrated",
        "Calibrated cross-entropy of every way to train, with its law",
        "Which way",
        needs=BETWEEN,
    ),
    "variants_inference": Figure(
        f"{HERE}.variants:variants_inference",
        "Every way to train by the FLOPs of an answer to a query, with its law",
        "Which way",
        needs=BETWEEN,
    ),
    "variants_mrr": Figure(
        f"{HERE}.variants:variants_mrr",
        "What the MRR of every way to train lacks to 1, with its law",
        "Which way",
        needs=BETWEEN,
    ),
    "plan": Figure(
        f"{HERE}.plan:plan",
        "What to train next: equal quality and equal cost by size and training queries",
        "What to train",
        needs=("plan", "plan_grid"),
    ),
}


def figures_of(tables: set[str]) -> list[str]:
    """The figures that some tables serve for, in order."""
    return [name for name, figure in FIGURES.items() if tables.issuperset(figure.needs)]
