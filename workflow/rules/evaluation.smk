# Every checkpoint against the same fixed candidates, and against the whole collection.

EVALUATION = STUDY["evaluation"]
SPLITS = STUDY["collection"]["splits"]["test"]
DEPTH = EVALUATION["full_retrieval"] and EVALUATION["full_retrieval"]["top_k"]
CHECKPOINT = "{model}/{train_queries}/{seed}/{checkpoint}"


rule sample:
    input:
        collected=rules.collect.output,
        mined=rules.mine.output.negatives,
    output:
        f"{RESULTS}/candidates.parquet",
    log:
        f"{RESULTS}/logs/sample.log",
    conda:
        ENVIRONMENT
    params:
        code=code("sample"),
        options=flags(
            {
                **EVALUATION["candidates"],
                "random_pool": EVALUATION["random_pool"],
                "seed": EVALUATION["seed"],
                "splits": SPLITS,
            }
        ),
    message:
        "Fixing the candidates that every checkpoint is scored on"
    shell:
        "python -m rankscale.sample {params.options} --log {log} "
        f"--collection {SHARED} "
        "--mined {input.mined} --output {output}"


rule retrieve:
    input:
        checkpoint=f"{RESULTS}/models/{CHECKPOINT}.safetensors",
        tokens=tokens_of,
        candidates=rules.sample.output,
    output:
        **({"run": f"{RESULTS}/runs/{CHECKPOINT}.parquet"} if DEPTH else {}),
        observations=f"{RESULTS}/observations/{CHECKPOINT}.parquet",
    log:
        f"{RESULTS}/logs/retrieve/{CHECKPOINT}.log",
    benchmark:
        f"{RESULTS}/benchmarks/retrieve/{CHECKPOINT}.tsv"
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        gpu=GPU,
        device=DEVICE,
    params:
        recipe=recipes.RETRIEVE,
        options=flags({"top_k": DEPTH, **MACHINE}),
        run=f"--run {RESULTS}/runs/{CHECKPOINT}.parquet" if DEPTH else "",
    message:
        "Evaluating {wildcards.model} on {wildcards.train_queries} queries, seed {wildcards.seed}, "
        "step {wildcards.checkpoint}"
    shell:
        "python -m rankscale.retrieve {params.options} --log {log} "
        "--device {resources.device} "
        "--checkpoint {input.checkpoint} --tokens $(dirname {input.tokens[0]}) --candidates {input.candidates} "
        "--observations {output.observations} {params.run}"


rule score:
    input:
        **{k: v for k, v in rules.retrieve.output.items()},
        qrels=f"{SHARED}/qrels.parquet",
    output:
        f"{RESULTS}/scores/{CHECKPOINT}.parquet",
    log:
        f"{RESULTS}/logs/score/{CHECKPOINT}.log",
    conda:
        ENVIRONMENT
    params:
        code=code("score"),
        options=flags({"ties": EVALUATION["ties"], "correction": EVALUATION["correction"]}),
        run=f"--run {RESULTS}/runs/{CHECKPOINT}.parquet" if DEPTH else "",
    message:
        "Scoring {wildcards.model} on {wildcards.train_queries} queries, seed {wildcards.seed}, "
        "step {wildcards.checkpoint}"
    shell:
        "python -m rankscale.score {params.options} --log {log} "
        "--observations {input.observations} {params.run} --qrels {input.qrels} --output {output}"


rule gather:
    input:
        runs=expand(f"{RESULTS}/models/{{run}}/checkpoints.parquet", run=RUNS),
        scores=expand(f"{RESULTS}/scores/{{checkpoint}}.parquet", checkpoint=CHECKPOINTS),
    output:
        f"{RESULTS}/metrics.parquet",
    log:
        f"{RESULTS}/logs/gather.log",
    conda:
        ENVIRONMENT
    params:
        code=code("gather"),
    message:
        f"Gathering the scores of {len(CHECKPOINTS)} checkpoints"
    shell:
        "python -m rankscale.gather --log {log} "
        f"--study {NAME} --collection {COLLECTION} --scores {RESULTS}/scores "
        "--runs {input.runs} --output {output}"
