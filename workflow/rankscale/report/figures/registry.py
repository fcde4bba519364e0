"""Every figure of a study by its name."""

from rankscale.report.figures import diagnostics, plan, query_count
from rankscale.report.figures.curves import metric_vs_mrr, shares, training
from rankscale.report.figures.scaling import compute_scale, data_scale, forecast, model_scale

FIGURES = {
    figure.__name__: figure
    for figure in (
        *(model_scale, data_scale, compute_scale, metric_vs_mrr, training, shares, forecast),
        *(diagnostics.roll_forward, diagnostics.residuals, query_count.queries, plan.plan),
    )
}
