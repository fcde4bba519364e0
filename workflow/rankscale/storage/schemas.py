"""The Arrow schema of every table that passes between stages.

A `row` column holds 0-based positions in the collection's `documents.parquet`; ids are the collection's own strings.
"""

import pyarrow as pa

from rankscale.core.metrics import metrics_of
from rankscale.storage.test_set_schemas import test_set_tables


def schema(key: str, nullable: str = "", **columns: pa.DataType) -> pa.Schema:
    """A schema whose `key` columns identify a row and whose columns refuse nulls unless named in `nullable`."""
    free = nullable.split()
    fields = [pa.field(name, kind, nullable=name in free) for name, kind in columns.items()]
    return pa.schema(fields, metadata={"key": key})


text, i32, i64, f32, f64, flag = pa.string(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.bool_()
cell = {"model": text, "train_queries": i64, "seed": i64}  # of the grid
run = {"variant": text, **cell}
checkpoint = {**run, "step": i64}
evaluated = {"collection": text, **checkpoint}
RUN_KEY, CHECKPOINT_KEY, EVALUATED_KEY = tuple(run), tuple(checkpoint), tuple(evaluated)
fitted = dict.fromkeys(("collection", "variant", "metric", "split", "candidates", "axis", "fixed", "law"), text)
FIT_KEY = tuple(fitted)
BOUNDS = ("low", "high")
# In the order of the registry: what has intervals and what is given without its correction first.
over_candidates = metrics_of("candidates")
first = [m for m in over_candidates if m.has_interval or m.name.endswith("_plugin")]
RETRIEVAL = tuple(metric.name for metric in metrics_of("retrieval"))
# Missing where no interval can be given: at the cap, and for constant scores.
CALIBRATION = "best_inverse_temperature_low best_inverse_temperature_high"
measured = {
    "n_candidates": i32,
    "n_queries": i64,
    **{metric.name: f64 for metric in first},
    **{f"{metric.name}_{bound}": f64 for metric in over_candidates if metric.has_interval for bound in BOUNDS},
    **{metric.name: f64 for metric in over_candidates if metric not in first},
    **dict.fromkeys(("calibration_uncertain", "calibration_at_cap", "below_chance", "too_few_queries"), flag),
    "retrieval": text,
    **dict.fromkeys(RETRIEVAL, f64),
}
trained = {
    "subset": text,
    "checkpoint": text,
    "layers": i32,
    "hidden": i32,
    **dict.fromkeys(("encoder_parameters", "head_parameters", "embedding_parameters"), i64),
    "epoch": f64,
    "train_tokens": i64,
    "train_flops": f64,
    "status": text,
}
# Of verdicts, null where nothing can be told: gains in the metric's unit, shares of the forecast gain, and the rest.
VERDICT_NUMBERS = (
    "freedom predicted_gain realised_gain gain_low gain_high share share_low share_high p_improving p_forecast "
    "smallest_gain smallest_share lack_of_fit_f lack_of_fit_p misfit bend bend_low bend_high "
    "same improving_if_law_holds improving_if_it_stopped"
)
VERDICT_COUNTS = "seeds_needed cells_needed queries_needed seeds_agreeing cells_left_out cells_left_out_agreeing"
CONTRAST_NUMBERS = "share_first share_second difference low high p p_holm smallest_difference"
# Null where no law is there to tell, and where it is infinite: the first variant's law never gets there.
MULTIPLIER_NUMBERS = (
    "own needed multiplier low high teacher_flops with_teacher with_teacher_low with_teacher_high reach out_of_reach"
)
COMPARED = ("collection", "variant", "first", "split", "candidates", "metric", "law")
ARCHITECTURE = "layers hidden"  # unknown for encoders that do not say
SCHEMAS = {
    "documents": schema("doc_id", doc_id=text, title=text, text=text),
    "queries": schema("query_id", query_id=text, text=text),
    "qrels": schema("split query_id doc_id", split=text, query_id=text, doc_id=text, row=i32, grade=i32, positive=flag),
    # Documents whose normalised text another has too, and the first with it; queries that are documents themselves.
    "copies": schema("row", row=i32, first=i32),
    "own_documents": schema("query_id", query_id=text, row=i32),
    "tokens": schema("id", id=text, ids=pa.list_(pa.field("item", i32, nullable=False))),
    "negatives": schema("query_id", query_id=text, rows=pa.list_(i32), scores=pa.list_(f32), mined=i32),
    "teacher": schema("query_id", query_id=text, rows=pa.list_(i32), scores=pa.list_(f32)),
    "shortlists": schema("query_id", query_id=text, rows=pa.list_(i32), scores=pa.list_(f32)),
    "pool": schema("row", row=i32),
    "candidates": schema(
        "split candidates query_id", split=text, candidates=text, query_id=text, positive=i32, rows=pa.list_(i32)
    ),
    "checkpoints": schema(" ".join(CHECKPOINT_KEY), ARCHITECTURE, **checkpoint, **trained),
    "training": schema(
        " ".join(CHECKPOINT_KEY),
        "gradient_norm",  # missing where half precision left the step out
        **checkpoint,
        epoch=f64,
        **dict.fromkeys(("loss", "gradient_norm", "learning_rate", "inverse_temperature"), f64),
        tokens=i64,
    ),
    "training_times": schema("step", **checkpoint, seconds=f64, memory_mb=f64),
    "observations": schema(
        "split query_id candidates",
        CALIBRATION,
        **evaluated,
        split=text,
        query_id=text,
        candidates=text,
        n_candidates=i32,
        loss=f64,
        above=i32,
        tied=i32,
        margin=f64,
        # At the best inverse temperature of the other half of the queries, which is per unit of raw score.
        calibrated_loss=f64,
        inverse_temperature=f64,
        auc_global=f64,
        # Of the checkpoint, the same in each row of a test set and kind of candidates.
        best_inverse_temperature=f64,
        best_inverse_temperature_low=f64,
        best_inverse_temperature_high=f64,
        at_cap=flag,
    ),
    "runs": schema("split query_id rank", **evaluated, split=text, query_id=text, doc_id=text, score=f32, rank=i32),
    "scores": schema(
        "split candidates", f"{CALIBRATION} {' '.join(RETRIEVAL)}", **evaluated, split=text, candidates=text, **measured
    ),
    "per_query": schema(
        "split query_id", " ".join(RETRIEVAL), **evaluated, split=text, query_id=text, **dict.fromkeys(RETRIEVAL, f64)
    ),
    "metrics": schema(
        " ".join((*EVALUATED_KEY, "split", "candidates")),
        " ".join((ARCHITECTURE, CALIBRATION, *RETRIEVAL)),
        study=text,
        **evaluated,
        split=text,
        candidates=text,
        **trained,
        ranker=text,
        **dict.fromkeys(("teacher_flops", "inference_flops"), f64),  # the last a query's, over these candidates
        **measured,
    ),
    "left_out": schema("variant model subset seed", "train_queries step", **checkpoint, subset=text, status=text),
    "subsamples": schema(
        " ".join((*EVALUATED_KEY, "split", "candidates", "n_queries", "correction", "part")),
        "spread",
        **evaluated,
        split=text,
        candidates=text,
        n_queries=i64,
        correction=text,
        part=text,
        draws=i32,
        mean=f64,
        spread=f64,
    ),
    "fits": schema(
        " ".join((*FIT_KEY, "parameter")),
        "r2 rmse aicc parameter estimate low high hc3_low hc3_high",
        **fitted,
        n_points=i32,
        converged=flag,
        note=text,
        r2=f64,
        rmse=f64,
        aicc=f64,
        parameter=text,
        **dict.fromkeys(("estimate", "low", "high", "hc3_low", "hc3_high"), f64),
    ),
    "forecasts": schema(
        " ".join((*FIT_KEY, "known", *cell)),
        "predicted low high relative_error covered aicc rmse",
        **fitted,
        known=i32,
        held_out=flag,
        **cell,
        **dict.fromkeys(("x", "observed", "predicted", "low", "high", "relative_error"), f64),
        covered=flag,
        aicc=f64,
        rmse=f64,
    ),
    "influence": schema(
        " ".join((*FIT_KEY, *cell)),
        **fitted,
        **cell,
        **dict.fromkeys(("x", "observed", "fitted", "residual", "alpha_without", "shift", "largest_without"), f64),
    ),
    "ranking": schema(
        " ".join(FIT_KEY[:-1]),
        " ".join(
            (
                "error no_change skill beats_no_change p_no_change difference significant",
                *(f"{n}_{e}" for n in ("error", "difference") for e in BOUNDS),
            )
        ),
        **fitted,
        position=i32,
        held_out=i32,
        **dict.fromkeys(("error", "no_change", "skill", "beats_no_change", "p_no_change", "difference"), f64),
        **{f"{name}_{end}": f64 for name in ("error", "difference") for end in BOUNDS},
        significant=flag,
    ),
    "verdicts": schema(
        " ".join(FIT_KEY[:-1]),
        f"law {VERDICT_NUMBERS} {VERDICT_COUNTS} turned_by",
        **fitted,
        **dict.fromkeys(("verdict", "forecast"), text),
        **dict.fromkeys(("as_forecast", "bounded", "provisional"), flag),
        reason=text,
        **dict.fromkeys(("cells_known", "cells_held_out", "seeds", *VERDICT_COUNTS.split()), i64),
        **dict.fromkeys(VERDICT_NUMBERS.split(), f64),
        turned_by=text,
    ),
    "contrasts": schema(
        "collection variant split candidates axis fixed kind metric first second",
        CONTRAST_NUMBERS,
        **dict.fromkeys(("collection", "variant", "split", "candidates", "axis", "fixed"), text),
        **dict.fromkeys(("kind", "metric", "first", "second", "answer"), text),
        **dict.fromkeys(("bounded", "provisional"), flag),
        reason=text,
        **dict.fromkeys(CONTRAST_NUMBERS.split(), f64),
    ),
    "multipliers": schema(
        "collection variant split candidates metric kind",
        f"quality {MULTIPLIER_NUMBERS} extrapolated",
        **dict.fromkeys((*COMPARED, "kind", "model", "note"), text),
        train_queries=i64,
        **dict.fromkeys(("encoder_parameters", "quality", *MULTIPLIER_NUMBERS.split()), f64),
        extrapolated=flag,
    ),
    "exponents": schema(
        "collection variant split candidates metric parameter",
        "difference difference_low difference_high",  # of the first, which the others are compared with
        **dict.fromkeys((*COMPARED, "parameter"), text),
        **dict.fromkeys(("estimate", "low", "high", "difference", "difference_low", "difference_high"), f64),
    ),
    "plan": schema(
        "chosen model",
        "model budget target encoder_parameters train_queries device_hours cost_training cost_judging cost_serving "
        "cost predicted low high extrapolation parameters_low parameters_high queries_low queries_high",
        **{name: text for name in ("collection", "variant", "metric", "split", "candidates", "law")},
        **dict.fromkeys(("budget", "target", "encoder_parameters", "train_queries"), f64),
        chosen=flag,
        model=text,
        **dict.fromkeys(("device_hours", "cost_training", "cost_judging", "cost_serving", "cost"), f64),
        **dict.fromkeys(("predicted", "low", "high", "extrapolation"), f64),
        **{f"{name}_{end}": f64 for name in ("parameters", "queries") for end in BOUNDS},
        note=text,
    ),
    "plan_grid": schema(
        "encoder_parameters train_queries", encoder_parameters=f64, train_queries=f64, cost=f64, predicted=f64
    ),
    "curves": schema(" ".join((*FIT_KEY, "x")), "low high", **fitted, x=f64, y=f64, low=f64, high=f64),
    **test_set_tables(schema, evaluated, RETRIEVAL),
}
# The status of a run in `left_out` that is still to come.
UNFINISHED = "unfinished"
