"""What a study will take, counted from its config and its collection: FLOPs and bytes, before anything runs."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rankscale.core.errors import StudyError
from rankscale.core.layout import PUBLISHED, Layout
from rankscale.storage import tables
from rankscale.study import grid, variants
from rankscale.study.costs import ranker_work
from rankscale.study.costs.model_shapes import bert_layer_parameters, forward_flops, shape
from rankscale.study.costs.teacher_costs import teacher_work

# MS MARCO passage and its judged queries.
COUNTS = {"documents": 8_841_823, "train": 502_939, "dev": 55_578, "dev_small": 6_980, "dl_2019": 43, "dl_2020": 54}
FILLED = {"passage": 0.6, "query": 0.4}  # of the cut, where no tokens are there to be counted: MS MARCO's shares
TOKENS = 1.3  # of a word, where texts are not tokenized yet
DOWNLOADS = {"msmarco-passage": 1.1e9}
WORDS = 30522  # of BERT's vocabulary
LSA = 256  # numbers of an lsa vector
BYTES = 4
TOGETHER = 20  # group-components of profiles/slurm
STATES = 2  # that a training keeps, each with weights and Adam's two moments


class JobWork(NamedTuple):
    """One job's: its stage, the encoder's parameters, FLOPs, and one of the files it makes."""

    stage: str
    parameters: float
    flops: float
    target: str


def sizes(study: dict[str, Any], layout: Layout) -> dict[str, float]:
    """Documents, training and evaluated queries, and mean tokens of each, cut as in training and whole.

    Of the collection where it is there.

    Raises StudyError where it is not, and is not MS MARCO's.
    """
    collection, training = study["collection"], study["training"]
    shared = Path(layout.shared)
    counts = {kind: FILLED[kind] * training[f"{kind}_length"] for kind in FILLED}
    counts |= {f"{kind}_whole": counts[kind] for kind in FILLED}
    if (shared / "queries.parquet").exists():
        qrels = tables.read("qrels", shared / "qrels.parquet", ["split", "query_id"]).to_pandas()
        judged = qrels.groupby("split").query_id.nunique()
        counts["documents"] = tables.count(shared / "documents.parquet")
        counts["train"] = float(judged.get(collection["splits"]["train"], 0))
        counts["test"] = float(judged[judged.index.isin(collection["splits"]["test"])].sum())
        counts["texts"] = sum((shared / f"{name}.parquet").stat().st_size for name in ("documents", "queries", "qrels"))
        for kind, name in (("passage", "documents"), ("query", "queries")):
            texts = next(tables.scan(name, shared / f"{name}.parquet", ["text"]))["text"].to_pylist()
            words = sum(len(text.split()) for text in texts) / max(1, len(texts))
            counts[f"{kind}_whole"] = TOKENS * words + 2
            counts[kind] = min(counts[f"{kind}_whole"], float(training[f"{kind}_length"]))
            for path in sorted(shared.glob(f"tokens/*/{name}.parquet"))[:1]:
                ids = next(tables.scan("tokens", path, ["ids"]))["ids"].combine_chunks()
                lengths = np.diff(ids.offsets.to_numpy()) + 2  # the first and the last token
                counts[kind] = float(np.minimum(lengths, training[f"{kind}_length"]).mean())
                counts[f"{kind}_whole"] = float(lengths.mean())
    elif collection["source"] == "msmarco-passage":
        counts |= {"documents": COUNTS["documents"], "train": COUNTS["train"]}
        counts["test"] = sum(COUNTS[split] for split in collection["splits"]["test"])
    else:
        raise StudyError(
            f"{shared}: the collection is not there yet, so nothing can be counted; first: snakemake collection"
        )
    return counts


def job_work(study: dict[str, Any], size: dict[str, float]) -> list[JobWork]:
    """The FLOPs of each job that encodes, mines, teaches, trains or evaluates, where the model's size can be told."""
    layout = Layout.of(study)
    models = {model["name"]: model for model in study["models"]}
    jobs = mining(study, size) if grid.needs_miner(study) else []
    for of_teacher, flops, target in teacher_work(study, size):
        jobs.append(JobWork("teach", bert_layer_parameters(*of_teacher), flops, target))
    searching = set(grid.searching(study))
    of_variant = {name: variants.study_of(study, name) for name in variants.names(study)}
    cut = {name: _cut(one, study, size, layout) for name, one in of_variant.items()}
    for run, checkpoints in grid.checkpoints(study).items():
        known, training, size = shape(models[run.model]), of_variant[run.variant]["training"], cut[run.variant]
        if known is None:
            continue
        parameters = bert_layer_parameters(*known)
        subset = size["train"] if run.subset == "all" else int(run.subset)
        queries = training["steps"] * training["batch_size"] if training["steps"] else subset * training["epochs"]
        target = f"{layout.run(run)}/{PUBLISHED[-1]}"
        if variants.is_dynamic(of_variant[run.variant]):
            flops = ranker_work.refining_flops(of_variant[run.variant], known, queries, size)
            jobs.append(JobWork("refine", parameters, flops, target))
        elif not grid.is_untrained(study):
            flops = ranker_work.training_flops(of_variant[run.variant], known, queries, size)
            jobs.append(JobWork("train", parameters, flops, target))
        passages = _evaluated_passages(study, size, run in searching)
        flops = ranker_work.evaluation_flops(of_variant[run.variant], known, passages, run in searching, size)
        jobs += [JobWork("retrieve", parameters, flops, layout.table("observations", run, c)) for c in checkpoints]
    return jobs


def _cut(variant: dict[str, Any], study: dict[str, Any], size: dict[str, float], layout: Layout) -> dict[str, float]:
    """`size` for a variant of the study, which may cut texts elsewhere."""
    lengths = [f"{kind}_length" for kind in FILLED]
    alike = all(variant["training"][name] == study["training"][name] for name in lengths)
    return size if alike else sizes(variant, layout)


def _evaluated_passages(study: dict[str, Any], size: dict[str, float], searches: bool) -> float:
    """How many passages a checkpoint encodes: the candidates, or what it searches."""
    evaluation = study["evaluation"]
    if not searches:
        return min(size["documents"], size["test"] * (1 + sum(evaluation["candidates"].values())))
    pool = grid.pool_sample(study)
    mined = size["test"] * study["miner"]["top_k"]
    return size["documents"] if pool is None else min(size["documents"], pool + mined)


def mining(study: dict[str, Any], size: dict[str, float]) -> list[JobWork]:
    """The same of the miner's shards: encoding all texts, and each query against each document."""
    miner, shards, folder = study["miner"], study["miner"]["shards"], Layout.of(study).mined
    known = None if miner["encoder"] == "lsa" else shape({"checkpoint": miner["encoder"]})
    queries = size["train"] + size["test"]
    parameters, jobs = 1.0, []
    if known:
        parameters = bert_layer_parameters(*known)
        flops = forward_flops(known, {"passage": size["documents"], "query": queries}, size) / shards
        jobs += [JobWork("encode", parameters, flops, f"{folder}/documents/{n}.parquet") for n in range(shards)]
    width = dimension(study)
    if width:
        flops = 2 * queries * size["documents"] * width / shards
        jobs += [JobWork("mine", parameters, flops, f"{folder}/negatives/{n}.parquet") for n in range(shards)]
    return jobs


def dimension(study: dict[str, Any]) -> int | None:
    """Numbers of a miner's vector, where it can be known."""
    if study["miner"]["encoder"] == "lsa":
        return LSA
    known = shape({"checkpoint": study["miner"]["encoder"]})
    return known[1] if known else None


def weights(study: dict[str, Any], model: dict[str, Any]) -> float:
    """Bytes of one checkpoint; 0 where its size cannot be known."""
    known = shape(model)
    if known is None:
        return 0.0
    words = study["tokenizer"]["vocabulary"] if "hidden" in model else WORDS
    return BYTES * (bert_layer_parameters(*known) + known[1] * (ranker_work.dimension(study) + words))


def disk(study: dict[str, Any], size: dict[str, float], at_once: int) -> tuple[dict[str, float], dict[str, float]]:
    """Bytes of what is large: what stays, and what comes on top while `at_once` trainings run."""
    training, retrieval = study["training"], study["evaluation"]["full_retrieval"]
    models = {model["name"]: model for model in study["models"]}
    names = grid.checkpoints(study)
    checkpoints = sum(map(len, names.values()))
    searched = sum(len(names[run]) for run in grid.searching(study))
    of_variant = {name: variants.study_of(study, name) for name in variants.names(study)}
    each = {run: weights(of_variant[run.variant], models[run.model]) for run in names}
    finals = sum(each.values())
    between = {run: value * (len(names[run]) - 1) for run, value in each.items()}
    keeps = training["keep"] == "all"
    queries = size["train"] + size["test"]
    tokens = size["documents"] * size["passage_whole"] + queries * size["query_whole"]
    stays = {
        "texts": size.get("texts", 1.8 * tokens),  # as zstd leaves MS MARCO's
        "token ids": 2 * tokens,
        "vectors": 2 * (dimension(study) or 0) * (size["documents"] + queries) if grid.needs_miner(study) else 0.0,
        "negatives": study["miner"]["top_k"] * 8.0 * queries if grid.needs_miner(study) else 0.0,
        "checkpoints": finals + (sum(between.values()) if keeps else 0),
        # Scores and ids of strings, as zstd leaves them.
        "runs": searched * size["test"] * (retrieval["top_k"] if retrieval else 0) * 9,
        "observations": checkpoints * size["test"] * len(study["evaluation"]["candidates"]) * 40,
    }
    running = sorted((STATES * 3 * each[run] + (0 if keeps else between[run]) for run in each), reverse=True)
    passes = {
        "downloads": DOWNLOADS.get(study["collection"]["source"], 0.0),
        "states of training": sum(running[:at_once]),
    }
    return stays, passes


def submissions(study: dict[str, Any]) -> int:
    """How many times SLURM is asked to evaluate checkpoints: once for up to TOGETHER of a run, on any collections."""
    collections = len(grid.collections(study))
    return sum(math.ceil(len(names) * collections / TOGETHER) for names in grid.checkpoints(study).values())
