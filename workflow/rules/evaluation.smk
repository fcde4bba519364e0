# Every checkpoint against the same fixed candidates, and against the whole collection.

EVALUATION = STUDY["evaluation"]
SPLITS = STUDY["collection"]["splits"]["test"]
RETRIEVAL = EVALUATION["full_retrieval"] or {}
DEPTH = RETRIEVAL.get("top_k")
# The runs that search the collection, and the subsets of those that do not.
SEARCHING = set(grid.searching(STUDY))
NOT_SEARCHING = sorted({run.subset for run in PLANNED if run not in SEARCHING}) if DEPTH else []
# A pooled retrieval searches the judged and mined documents and a sample, fixed once like the candidates.
POOLED = grid.pool_sample(STUDY)
OWN_DOCUMENTS = f"{LAYOUT.shared}/own_documents.parquet"
POOL = [] if POOLED is None else LAYOUT.pool("{collection}")


rule sample:
    input:
        collected=rules.collect.output,
        mined=NEGATIVES if POOL or "hard" in EVALUATION["candidates"] else [],
    output:
        **({"pool": POOL} if POOL else {}),
        candidates=LAYOUT.candidates("{collection}"),
    log:
        LAYOUT.log("sample", "{collection}"),
    priority: 1  # evaluations wait for it
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
    params:
        code=code_of("stages.sample"),
        options=fixed(stage_arguments.sample(STUDY)),
    message:
        "Fixing the candidates that every checkpoint is scored on"
    shell:
        "{resources.launcher} sample {params.options} --log {log} "
        f"--collection {LAYOUT.shared} "
        "--output {output.candidates} --mined {input.mined}" + (" --pool {output.pool}" if POOL else "")


# What rankers rerank that cannot search.
RERANKING = grid.reranking(STUDY)
if RERANKING:

    rule shortlist:
        input:
            collected=rules.collect.output,
            documents=expand(rules.encode.output.documents, shard=SHARDS),
            queries=expand(rules.encode.output.queries, shard=SHARDS),
        output:
            LAYOUT.shortlists("{collection}"),
        log:
            LAYOUT.log("shortlist", "{collection}"),
        conda:
            ENVIRONMENT
        threads: THREADS
        resources:
            launcher=RANKSCALE,
            gpu=GPU,
            device=DEVICE,
        params:
            recipe=stage_versions.SHORTLIST,
            options=fixed(stage_arguments.shortlist(STUDY)),
        message:
            "Fixing the run that rankers rerank which cannot search"
        shell:
            "{resources.launcher} shortlist {params.options} --log {log} "
            "--device {resources.device} "
            f"--collection {LAYOUT.shared} "
            "--documents {input.documents} --queries {input.queries} --output {output}"


# Ahead of trainings that wait, so that a study can be looked at on its way.
rule retrieve:
    input:
        **({"shortlists": shortlists_of} if RERANKING else {}),
        checkpoint=LAYOUT.checkpoint(WILDCARDS, "{checkpoint}"),
        tokens=tokens_of,
        candidates=rules.sample.output.candidates,
        own_documents=OWN_DOCUMENTS if DEPTH else [],
        pool=POOL,
    output:
        **({"run": evaluated("runs")} if DEPTH else {}),
        observations=evaluated("observations"),
    log:
        evaluation_log("retrieve"),
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
        options=fixed(stage_arguments.retrieve(STUDY)),
    message:
        "Evaluating {wildcards.model} on {wildcards.train_queries} queries, seed {wildcards.seed}, "
        "step {wildcards.checkpoint}"
    shell:
        "{resources.launcher} retrieve {params.options} --log {log} "
        "--device {resources.device} "
        "--collection {wildcards.collection} --checkpoint {input.checkpoint} --tokens $(dirname {input.tokens[0]}) --candidates {input.candidates} "
        "--observations {output.observations}"
        + (" --run {output.run} --own-documents {input.own_documents}" if DEPTH else "")
        + (" --pool {input.pool}" if POOL else "")
        + (" --shortlists {input.shortlists}" if RERANKING else "")


# The same for the runs that are measured over the candidates alone.
if NOT_SEARCHING:

    use rule retrieve as retrieve_without_run with:
        output:
            run=[],
            observations=evaluated("observations"),
        wildcard_constraints:
            train_queries="|".join(NOT_SEARCHING),

    ruleorder: retrieve_without_run > retrieve


rule score:
    input:
        **{k: v for k, v in rules.retrieve.output.items()},
        qrels=f"{LAYOUT.shared}/qrels.parquet",
    output:
        **({"per_query": evaluated("per_query")} if DEPTH else {}),
        scores=evaluated("scores"),
    log:
        evaluation_log("score"),
    priority: 1
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
    params:
        code=code_of("stages.score"),
        options=score_arguments,
    message:
        "Scoring {wildcards.model} on {wildcards.train_queries} queries, seed {wildcards.seed}, "
        "step {wildcards.checkpoint}"
    shell:
        "{resources.launcher} score {params.options} --log {log} "
        "--observations {input.observations} --qrels {input.qrels} --output {output.scores}"
        + (" --run {input.run} --per-query {output.per_query}" if DEPTH else "")


if NOT_SEARCHING:

    use rule score as score_without_run with:
        input:
            run=[],
            observations=evaluated("observations"),
            qrels=f"{LAYOUT.shared}/qrels.parquet",
        output:
            per_query=[],
            scores=evaluated("scores"),
        wildcard_constraints:
            train_queries="|".join(NOT_SEARCHING),

    ruleorder: score_without_run > score


# The folder of token ids that each model reads.
READ_BY = {name: LAYOUT.tokens(grid.tokenizer_of(STUDY, model)[0]) for name, model in MODELS.items()}


rule gather:
    input:
        runs=[f"{LAYOUT.run(run)}/checkpoints.parquet" for run in RUNS],
        scores=[LAYOUT.table("scores", *checkpoint) for checkpoint in CHECKPOINTS],
        candidates=LAYOUT.candidates(),
        tokens=[f"{LAYOUT.tokens(folder)}/documents.parquet" for folder in TOKENIZERS],
        taught=[sharing.taught(LAYOUT, name) for name in TEACHERS],
    output:
        metrics=f"{LAYOUT.together}/metrics.parquet",
        left_out=f"{LAYOUT.together}/left_out.parquet",
    log:
        LAYOUT.together_log("gather"),
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
    params:
        code=code_of("stages.gather"),
        options=fixed(stage_arguments.gather(STUDY, [run for run in PLANNED if run not in FINISHED])),
        tokens=fixed(" ".join(shlex.quote(f"{name}={folder}") for name, folder in READ_BY.items())),
    message:
        f"Gathering the scores of {len(CHECKPOINTS)} checkpoints"
    shell:
        "{resources.launcher} gather {params.options} --log {log} --candidates {input.candidates} --tokens {params.tokens} "
        f"--study {LAYOUT.own} "
        "--runs {input.runs} --output {output.metrics} --left-out {output.left_out}"
