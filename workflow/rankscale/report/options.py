"""What the stages of the report are told; imported by the workflow, so nothing heavy here."""

import json
from dataclasses import dataclass

from rankscale.core.options import option
from rankscale.report.figures.registry import FIGURES


@dataclass(frozen=True)
class PlotOptions:
    """Which figures are drawn."""

    figures: list[str] | None = option(None, choices=FIGURES, help="all that the tables serve for")


@dataclass(frozen=True)
class SummarizeOptions:
    """What is recorded beside the findings."""

    config: dict = option(help="of the study, as JSON", read=json.loads)
