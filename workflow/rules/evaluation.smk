# Every checkpoint against the same fixed candidates, and against the whole collection.

EVALUATION = STUDY["evaluation"]
SPLITS = STUDY["collection"]["splits"]["test"]
RETRIEVAL = EVALUATION["full_retrieval"] or {}
DEPTH = RETRIEVAL.get("top_k")
# A pooled retrieval searches the judged and mined documents and a sample, fixed once like the candidates.
POOLED = grid.pool_sample(STUDY)
POOL = [] if POOLED is None else f"{RESULTS}/pool.parquet"
CHECKPOINT = "{model}/{train_queries}/{seed}/{checkpoint}"


rule sample:
    input:
        collected=rules.collect.output,
        mined=NEGATIVES if POOL or "hard" in EVALUATION["candidates"] else [],
    output:
        **({"pool": POOL} if POOL else {}),
        candidates=f"{RESULTS}/candidates.parquet",
    log:
        f"{RESULTS}/logs/sample.log",
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
    params:
        code=code_digest("stages.sample"),
        options=flags(
            {
                **EVALUATION["candidates"],
                "random_pool": EVALUATION["random_pool"],
                "seed": EVALUATION["seed"],
                "splits": SPLITS,
                "train_split": STUDY["collection"]["splits"]["train"],
                "pool": POOL,
                "pool_sample": POOLED,
            }
        ),
    message:
        "Fixing the candidates that every checkpoint is scored on"
    shell:
        "{resources.launcher} sample {params.options} --log {log} "
        f"--collection {SHARED} "
        "--output {output.candidates} --mined {input.mined}"


# Ahead of trainings that wait, so that a study can be looked at on its way.
rule retrieve:
    input:
        checkpoint=f"{RESULTS}/models/{CHECKPOINT}.safetensors",
        tokens=tokens_of,
        candidates=rules.sample.output.candidates,
        pool=POOL,
    output:
        **({"run": f"{RESULTS}/runs/{CHECKPOINT}.parquet"} if DEPTH else {}),
        observations=f"{RESULTS}/observations/{CHECKPOINT}.parquet",
    log:
        f"{RESULTS}/logs/retrieve/{CHECKPOINT}.log",
    priority: 1
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        launcher=RANKSCALE,
        gpu=GPU,
        device=DEVICE,
    params:
        recipe=stage_versions.RETRIEVE,
        options=flags({"top_k": DEPTH, "precision": EVALUATION["precision"], **MACHINE}),
    message:
        "Evaluating {wildcards.model} on {wildcards.train_queries} queries, seed {wildcards.seed}, "
        "step {wildcards.checkpoint}"
    shell:
        "{resources.launcher} retrieve {params.options} --log {log} "
        "--device {resources.device} "
        "--checkpoint {input.checkpoint} --tokens $(dirname {input.tokens[0]}) --candidates {input.candidates} "
        "--observations {output.observations}"
        + (" --run {output.run}" if DEPTH else "")
        + (" --pool {input.pool}" if POOL else "")


rule score:
    input:
        **{k: v for k, v in rules.retrieve.output.items()},
        qrels=f"{SHARED}/qrels.parquet",
    output:
        **({"per_query": f"{RESULTS}/per_query/{CHECKPOINT}.parquet"} if DEPTH else {}),
        scores=f"{RESULTS}/scores/{CHECKPOINT}.parquet",
    log:
        f"{RESULTS}/logs/score/{CHECKPOINT}.log",
    priority: 1
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
    params:
        code=code_digest("stages.score"),
        options=flags(
            {
                "ties": EVALUATION["ties"],
                "correction": EVALUATION["correction"],
                "retrieval": "pooled" if POOL else "full",
            }
        ),
    message:
        "Scoring {wildcards.model} on {wildcards.train_queries} queries, seed {wildcards.seed}, "
        "step {wildcards.checkpoint}"
    shell:
        "{resources.launcher} score {params.options} --log {log} "
        "--observations {input.observations} --qrels {input.qrels} --output {output.scores}"
        + (" --run {input.run} --per-query {output.per_query}" if DEPTH else "")


rule gather:
    input:
        runs=expand(f"{RESULTS}/models/{{run}}/checkpoints.parquet", run=RUNS),
        scores=expand(f"{RESULTS}/scores/{{checkpoint}}.parquet", checkpoint=CHECKPOINTS),
    output:
        metrics=f"{TOGETHER}/metrics.parquet",
        left_out=f"{TOGETHER}/left_out.parquet",
    log:
        f"{TOGETHER}/logs/gather.log",
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
    params:
        code=code_digest("stages.gather"),
        unfinished=flags({"unfinished": [str(run) for run in PLANNED if run not in RUNS]}),
    message:
        f"Gathering the scores of {len(CHECKPOINTS)} checkpoints"
    shell:
        "{resources.launcher} gather {params.unfinished} --log {log} "
        f"--study {NAME} --collection {COLLECTION} --scores {RESULTS}/scores "
        "--runs {input.runs} --output {output.metrics} --left-out {output.left_out}"
