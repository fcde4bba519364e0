"""A model's card, written from its study's tables: data, recipe, metrics, where the laws place it, licence."""

import json
from typing import Any

import pandas as pd

from rankscale.core.layout import BASE, FINAL, RunId
from rankscale.core.metrics import CALIBRATED, PARTS, metric_named, metrics_of
from rankscale.export.finished_run import FinishedStudy
from rankscale.export.licences import licence_of
from rankscale.export.registry import Exporter
from rankscale.laws.forms.registry import LAWS
from rankscale.report.html import without_tags
from rankscale.report.labels import name_of
from rankscale.report.verdicts import headline_of, preferred_law, slice_words, verdict_words
from rankscale.study.variants import COMMON

# Keys of the config's training that say where a study trains, and not how this model was.
ELSEWHERE = {*COMMON, "micro_batch", "gradient_checkpointing", "divergence"} - {"subsets"}
JUDGED = (*PARTS, CALIBRATED)
AXES = ("model", "data", "grid")


def model_card(
    study: FinishedStudy, run: RunId, checkpoint: str, facts: dict[str, Any], exporter: Exporter, name: str
) -> str:
    """The card of one checkpoint as Markdown with the hub's front matter; `name` stands in its code example."""
    rows = study.metrics_of(run, checkpoint)
    started_from = study.model_of(run).get("checkpoint")
    licence = licence_of(started_from) if started_from else None
    parts = [
        _front_matter(exporter, started_from, licence),
        _introduction(study, run, rows.iloc[0], checkpoint, started_from),
        f"## Use\n\n```python\n{exporter.use.format(folder=name)}\n```\n\n{_lengths(facts, exporter)}",
        f"## Data\n\n{_data(study, run, rows.iloc[0])}",
        f"## Recipe\n\n{_recipe(study, run, facts)}",
        f"## Metrics\n\n{_metrics(rows)}",
        f"## Where the laws place it\n\n{_laws(study, run, checkpoint)}",
        f"## Licence\n\n{_licence(study, started_from, licence)}",
        f"## Made with\n\n{_made_with(study)}",
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(exporter: Exporter, started_from: str | None, licence: str | None) -> str:
    lines = [f"library_name: {exporter.library}", f"pipeline_tag: {exporter.pipeline}", "tags:"]
    lines += [f"- {tag}" for tag in (*exporter.tags, "rankscale")]
    if started_from and "/" in started_from and not started_from.startswith((".", "/", "~")):
        lines.append(f"base_model: {json.dumps(started_from)}")
    if licence:
        lines.append(f"license: {licence}")
    return "\n".join(["---", *lines, "---"])


def _introduction(study: FinishedStudy, run: RunId, row: Any, checkpoint: str, started_from: str | None) -> str:
    way = "" if run.variant == BASE else f", trained as {run.variant}"
    layers = "" if pd.isna(row.layers) else f"layers: {int(row.layers)}, "
    start = f"from {started_from}" if started_from else "from scratch"
    step = "" if checkpoint == FINAL else f" The weights are those after step {row.step:,}, not the last ones."
    return without_tags(
        f"# {run.model} on {row.train_queries:,} training queries, seed {run.seed}{way}\n\n"
        f"One model of the scaling study {study.config['study']}, trained {start} to rank passages for queries: "
        f"{row.encoder_parameters:,} encoder parameters ({layers}hidden size {int(row.hidden)}), "
        f"{row.head_parameters:,} in the head, {row.embedding_parameters:,} in embeddings.{step} It is a point of a "
        "ladder, trained to be compared with its neighbours and not to be the best of its size."
    )


def _lengths(facts: dict[str, Any], exporter: Exporter) -> str:
    return (
        f"A score is {exporter.scores}. Queries are cut to {facts['query_length']} tokens and passages to "
        f"{facts['passage_length']}, special ones included. In the loss scores were multiplied by "
        f"{facts['inverse_temperature']:.6g}."
    )


def _data(study: FinishedStudy, run: RunId, row: Any) -> str:
    collection, about = study.config["collection"], study.record["collection"]
    path = f" ({collection['path']})" if isinstance(collection["path"], str) else ""
    documents = about["files"]["documents.parquet"].get("rows")
    counts = ", ".join(f"{n:,} {split}" for split, n in about.get("queries", {}).items())
    titles = "a document's title and text, joined" if collection["titles"] == "join" else "a document's text"
    return without_tags(
        f"The collection {collection['name']}, source {collection['source']}{path}: "
        f"{'' if documents is None else f'{documents:,} documents; '}queries: {counts or 'not counted'}. A passage is "
        f"{titles}. Trained on {row.train_queries:,} queries ({row.train_tokens:,} tokens, {row.train_flops:.3g} "
        f"FLOPs), the subset {run.subset} of the ladder ({study.config['training']['subsets']}). "
        f"SHA-256 of the documents: `{study.record['checksums']['documents.parquet']}`."
    )


def _recipe(study: FinishedStudy, run: RunId, facts: dict[str, Any]) -> str:
    training = {key: value for key, value in study.training_of(run).items() if key not in ELSEWHERE}
    lines = [f"| {key} | `{json.dumps(value)}` |" for key, value in training.items() if value is not None]
    return without_tags("\n".join(["| option | value |", "| --- | --- |", *lines]))


def _metrics(rows: pd.DataFrame) -> str:
    """A row per test set, kind of candidates and metric; 95 % intervals over queries where there are any."""
    lines = ["| collection | test set | against | metric | value |", "| --- | --- | --- | --- | --- |"]
    for row in rows.to_dict("records"):
        where = f"| {row['collection']} | {row['split']}, {row['n_queries']:,} queries |"
        for metric in metrics_of("candidates"):
            if metric.complement or metric.name.endswith("_plugin") or pd.isna(row.get(metric.name)):
                continue
            bounds = [row.get(f"{metric.name}_{bound}") for bound in ("low", "high")]
            interval = "" if any(map(pd.isna, bounds)) else f" [{bounds[0]:.4g}, {bounds[1]:.4g}]"
            against = f"{row['n_candidates']} {row['candidates']} candidates"
            lines.append(f"{where} {against} | {metric.label} | {row[metric.name]:.4g}{interval} |")
    searched = rows[rows.retrieval != "none"].drop_duplicates(["collection", "split"])
    for row in searched.to_dict("records"):
        for metric in metrics_of("retrieval"):
            if not metric.complement and pd.notna(row.get(metric.name)):
                where = f"| {row['collection']} | {row['split']} | {row['retrieval']} retrieval"
                lines.append(f"{where} | {metric.label} | {row[metric.name]:.4g} |")
    return without_tags("\n".join(lines)) + "\n\nLosses are in nats; 95 % intervals, over queries, in brackets."


def _laws(study: FinishedStudy, run: RunId, checkpoint: str) -> str:
    """What each law says of this run beside what was observed; and what was forecast of it, if it was held out."""
    if checkpoint != FINAL:
        return "Laws are fitted to the ends of trainings; this checkpoint lies before the end."
    read, metrics = study.tables, study.tables["metrics"]
    ends = metrics[metrics.checkpoint == FINAL]
    fitted, ahead, fits, verdicts = (
        headline_of(read[name], metrics) for name in ("influence", "forecasts", "fits", "verdicts")
    )
    queries = ends[(ends.model == run.model) & (ends.subset == run.subset)].train_queries.iloc[0]
    mine = (fitted.variant == run.variant, fitted.model == run.model, fitted.train_queries == queries)
    fitted = fitted[mine[0] & mine[1] & mine[2] & (fitted.seed == int(run.seed)) & fitted.metric.isin(JUDGED)]
    lines = []
    for (axis, fixed, metric), rows in fitted[fitted.axis.isin(AXES)].groupby(["axis", "fixed", "metric"], sort=False):
        judged = verdicts[(verdicts.axis == axis) & (verdicts.fixed == fixed) & (verdicts.metric == metric)]
        law = _law(judged, fits[(fits.axis == axis) & (fits.fixed == fixed) & (fits.metric == metric)], metric)
        point = rows[rows.law == law]
        if point.empty:
            continue
        held = ahead[(ahead.axis == axis) & (ahead.fixed == fixed) & (ahead.metric == metric) & (ahead.law == law)]
        held = held[held.held_out & (held.model == run.model) & (held.train_queries == queries)]
        held = held[held.seed == int(run.seed)]
        forecast = "not held out"
        if len(held) and pd.notna(held.predicted.iloc[0]):
            one = held.iloc[0]
            forecast = f"{one.predicted:.4g}"
            forecast += "" if pd.isna(one.low) or pd.isna(one.high) else f" [{one.low:.4g}, {one.high:.4g}]"
        on = f"{axis} ({slice_words(fixed)})" if "=" in fixed else f"{axis} ({fixed})"
        said = verdict_words(judged.iloc[0]) if len(judged) else "not judged"
        lines.append(
            f"| {on} | {name_of(metric)} | {law} | {point.observed.iloc[0]:.4g} | {point.fitted.iloc[0]:.4g} | "
            f"{forecast} | {said} |"
        )
    if not lines:
        return "No law was fitted to a set of points with this model in the study's headline."
    head = "| axis | metric | law | observed | the law fitted to all | forecast, held out | the metric there |"
    return without_tags("\n".join([head, "| --- " * 7 + "|", *lines]))


def _law(judged: pd.DataFrame, fits: pd.DataFrame, metric: str) -> str | None:
    """The law that a metric is judged by on an axis, or else the one that AICc prefers of those that were fitted."""
    if len(judged) and pd.notna(judged.law.iloc[0]):
        return str(judged.law.iloc[0])
    signed = metric_named(metric).signed
    return preferred_law(fits, tuple(law for law in LAWS.values() if law.signed == signed))


def _licence(study: FinishedStudy, started_from: str | None, licence: str | None) -> str:
    collection = study.config["collection"]["name"]
    if not started_from:
        start = "The weights began at random: they inherit no licence"
    elif licence:
        start = f"The weights began as {started_from}, whose card gives the licence {licence}; it goes on to apply"
    else:
        start = f"The weights began as {started_from}; look up its licence before you pass them on, it was not at hand"
    return without_tags(f"{start}. The terms of the collection {collection} apply to what was trained on it.")


def _made_with(study: FinishedStudy) -> str:
    record = study.record
    versions = ", ".join(f"{name} {record['versions'][name]}" for name in ("torch", "transformers", "tokenizers"))
    commit = f", commit {record['commit'][:12]}" if record.get("commit") else ""
    return (
        f"rankscale {record['rankscale']}{commit}; {versions}; Python {record['python']}. "
        f"SHA-256 of the config: `{record['config_sha256']}`."
    )
