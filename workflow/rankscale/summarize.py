"""Say what a study shows, in words and tables, and record what it was made with."""

import argparse
import json
from pathlib import Path

import pandas as pd
from markdown_it import MarkdownIt

from rankscale.core import atomic_files, cli
from rankscale.core.cli import log
from rankscale.evaluation.decomposition import ENOUGH
from rankscale.findings import (
    AXES,
    FOLLOWS,
    claim,
    findings,
    headline_of,
    headline_table,
    left_out,
    scaling_table,
    standing,
)
from rankscale.laws.axes import headline_slice
from rankscale.outlook import plan_said, plan_table, race, ranking_table
from rankscale.provenance import provenance
from rankscale.storage import tables

TABLES = ("metrics", "fits", "forecasts", "ranking", "plan")
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px/1.5 system-ui, sans-serif; margin: 1.5em; color: #111; background: #fff }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .8em 0 }}
th, td {{ padding: .2em .7em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }}
th:first-child, td:first-child {{ text-align: left }}
th {{ border-bottom: 2px solid #888; position: sticky; top: 0; background: #fff }}
td:last-child {{ white-space: normal; text-align: left; min-width: 9em }}
p, li {{ max-width: 60em }}
</style></head><body>{body}</body></html>
"""


def warnings(metrics: pd.DataFrame, fits: pd.DataFrame, forecasts: pd.DataFrame, missing: list[dict]) -> list[str]:
    """What a reader must know before believing the rest."""
    said = [left_out(missing) + "."] if missing else []
    lost = metrics[metrics.below_chance & (metrics.checkpoint == "final")]
    if len(lost):
        names = ", ".join(sorted({f"{r.model} on {r.train_queries}" for r in lost.itertuples()}))
        runs = len(lost.groupby(["model", "train_queries", "seed"]))
        said.append(
            f"{runs} runs do not rank above chance at their end ({len(lost)} rows, by kind of candidates); "
            f"their Rank-Entropy says little: {names}."
        )
    few = metrics[metrics.too_few_queries]
    if len(few):
        said.append(
            f"{len(few)} of {len(metrics)} rows have fewer than {ENOUGH} queries per observed rank; "
            "their intervals of Rank-Score-Alignment and Score-Uncertainty are too narrow."
        )
    failed = fits[~fits.converged]
    if len(failed):
        reasons = failed.note.str.split(":").str[0].value_counts()
        said.append("Fits without a result: " + "; ".join(f"{n} {reason}" for reason, n in reasons.items()) + ".")
    told = forecasts[forecasts.held_out].dropna(subset="covered")
    if len(told):
        parts = [
            f"{part.covered.astype(bool).mean():.0%} of {len(part)} by the {law} law"
            for law, part in told.groupby("law", sort=False)
        ]
        said.append(
            f"Of the held-out values of all metrics and candidates, 95 % prediction intervals hold {', '.join(parts)}; "
            "a law whose intervals hold few is not to be built on."
        )
    if (metrics.retrieval == "pooled").any():
        said.append(
            "Retrieval is pooled: runs search the judged and mined documents and a sample, not the whole collection. "
            "Its metrics come out higher than over all documents, and compare checkpoints of this study only."
        )
    if metrics.seed.nunique() == 1:
        said.append(
            "One seed: run-to-run noise is judged from the residuals of the fits alone, and another seed may turn a "
            "verdict."
        )
    return said or ["None."]


def summary(
    metrics: pd.DataFrame,
    fits: pd.DataFrame,
    forecasts: pd.DataFrame,
    ranking: pd.DataFrame,
    plan: pd.DataFrame | None,
    missing: list[dict],
) -> str:
    """The study's findings as Markdown."""
    found = findings(metrics, fits, forecasts)
    finals = headline_of(metrics[metrics.checkpoint == "final"], metrics)
    first = finals.iloc[0]
    claims = "\n".join(f"- {axis} axis ({headline_slice(axis, finals)}): {claim(found, axis)}." for axis in AXES)
    others = [name for name in metrics.split.unique() if name != first.split]
    tables_too = "their rows stand in metrics.parquet, fits.parquet and forecasts.parquet"
    also = f" Evaluated too: {', '.join(others)}; {tables_too}." if others else ""
    tested = "\n".join(f"- {line}" for line in race(ranking, metrics)) or "Nothing was held out."
    planned = ""
    if plan is not None:
        shown = plan_table(plan)
        rows = "" if shown.empty else f"\n{shown.to_markdown(index=False, disable_numparse=True)}\n"
        planned = f"\n## What to train next\n\n{plan_said(plan)}\n{rows}"
    cautions = "\n".join(f"- {line}" for line in warnings(metrics, fits, forecasts, missing))
    stands = standing(metrics, missing)
    chance = (
        "\n\n**No run ranks above chance at its end: nothing below is worth much.**"
        if finals.below_chance.all()
        else ""
    )
    return f"""# Study {first.study}: {first.collection}{f", {stands}" if stands else ""}

Models: {finals.model.nunique()}; subsets: {finals.train_queries.nunique()}; seeds: {finals.seed.nunique()}. \
{first.n_queries} {first.split} queries, each against {first.n_candidates} {first.candidates} candidates. \
Losses in nats, 95 % intervals in brackets.{also}{chance}

## On the largest subset ({finals.train_queries.max():,} training queries)

{headline_table(metrics).to_markdown(index=False, disable_numparse=True)}

## Which metric scales

A metric scales here if its slope falls beyond the interval, the law that AICc prefers follows it (R² of {FOLLOWS} \
or more), and that law, fitted to the smaller sizes, forecasts the held-out largest ones with less error than \
assuming no change. Slopes: metric ~ size^-alpha; for Score-Uncertainty, which may be negative, b nats per e-fold of \
size. Errors are means over the held-out points, relative; "covered" says how many of them the law's 95 % prediction \
intervals hold. On the compute axis nothing is held out, and its lower envelope keeps each metric's best cells, so \
it falls by construction: no claim rests on it.

{scaling_table(found).to_markdown(index=False, disable_numparse=True)}

The claim "only Rank-Entropy scales":

{claims}

## Which metric is forecast best

{tested}

Each metric by the law that AICc prefers on the points that are known, best skill first. Skill is the share of the \
error of "no change" that the law saves: 1 is a perfect forecast, below 0 no change would have been better; in \
brackets, in how many simulated studies the law was better. Errors are relative (of Score-Uncertainty, which may be \
negative, in nats). Studies are simulated around the observed values, with the noise of queries, which all metrics \
share, and of runs; they count that noise twice, so intervals are wider than need be.

{ranking_table(ranking, metrics).to_markdown(index=False, disable_numparse=True)}
{planned}
## Cautions

{cautions}
"""


def page(title: str, table: pd.DataFrame) -> str:
    """A table as an HTML page of its own."""
    shown = table.dropna(axis=1, how="all")
    body = shown.to_html(index=False, na_rep="", border=0, float_format=lambda v: f"{v:.4g}")
    return PAGE.format(title=title, body=f"<h1>{title}</h1>{body}")


def main(args: argparse.Namespace) -> None:
    """Write summary.md, the report's tables, and provenance.json."""
    log.info("saying what the study shows")
    named = [name for name in TABLES if getattr(args, name)]
    read = {name: tables.read(name, getattr(args, name)).to_pandas() for name in named}
    missing = tables.read("left_out", args.left_out).to_pylist()
    text = summary(**{"plan": None, **read}, missing=missing)
    pages = {name: page(name.capitalize(), table) for name, table in read.items()}
    pages["summary"] = PAGE.format(title="Summary", body=MarkdownIt("commonmark").enable("table").render(text))
    written = {args.tables / f"{name}.html": made for name, made in pages.items()}
    written[args.summary] = text
    made = provenance(args.config, args.manifest, missing)
    written[args.provenance] = json.dumps(made, indent=2, sort_keys=True) + "\n"
    for path, made in written.items():
        with atomic_files.whole(path) as beside:
            beside.write_text(made, encoding="utf-8")


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.stage_parser("summarize", __doc__)
    for name in TABLES:
        made.add_argument(f"--{name}", type=Path, required=name != "plan")
    made.add_argument("--left-out", type=Path, required=True, help="table of the runs that are in no other")
    made.add_argument("--manifest", type=Path, required=True, help="of the collection")
    made.add_argument("--config", type=json.loads, required=True, help="of the study, as JSON")
    made.add_argument("--tables", type=Path, required=True, help="output: folder of the report's tables")
    made.add_argument("--summary", type=Path, required=True, help="output")
    made.add_argument("--provenance", type=Path, required=True, help="output")
    return made


if __name__ == "__main__":
    cli.run_stage(main, arguments())
