# Every checkpoint against the same fixed candidates, and against the whole collection.

# The runs that search each collection; which collections all of them search, some, or none; and on which subsets those
# are trained that do not search where some do.
SEARCHING = {name: set(grid.searching(one)) for name, one in EVALUATED.items()}
SEARCHED = [name for name, some in SEARCHING.items() if some]
UNSEARCHED = [name for name, some in SEARCHING.items() if not some]
PARTLY = [name for name in SEARCHED if len(SEARCHING[name]) < len(PLANNED)]
NOT_SEARCHING = sorted({run.subset for name in PARTLY for run in PLANNED if run not in SEARCHING[name]})
# A pooled retrieval searches the judged and mined documents and a sample, fixed once like the candidates.
POOLED = [name for name, one in EVALUATED.items() if grid.pool_sample(one) is not None]
QRELS = f"{PATTERN.shared}/qrels.parquet"


rule sample:
    input:
        collected=rules.collect.output,
        mined=mined_on,
    output:
        pool=[],
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
        options=on_collection(stage_arguments.sample),
    message:
        "Fixing the candidates of {wildcards.collection} that every checkpoint is scored on"
    shell:
        "{resources.launcher} sample {params.options} --log {log} "
        f"--collection {PLACE.shared} "
        "--output {output.candidates} --mined {input.mined} --pool {output.pool}"


if POOLED:

    use rule sample as sample_with_pool with:
        output:
            pool=LAYOUT.pool("{collection}"),
            candidates=LAYOUT.candidates("{collection}"),
        wildcard_constraints:
            collection=one_of(POOLED),

    ruleorder: sample_with_pool > sample


# What nothing is trained for, measured as checkpoints are.
rule refer:
    input:
        unpack(refer_inputs),
        collected=rules.collect.output,
        candidates=rules.sample.output.candidates,
        pool=lambda wildcards: LAYOUT.pool(wildcards.collection) if wildcards.collection in POOLED else [],
    output:
        LAYOUT.reference("{reference}", "{collection}"),
    log:
        LAYOUT.log("refer", "{collection}", "{reference}"),
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        launcher=RANKSCALE,
        gpu=GPU,
        device=DEVICE,
    params:
        code=code_of("stages.refer"),
        options=refer_arguments,
    message:
        "Measuring {wildcards.reference} on {wildcards.collection}, for which nothing is trained"
    shell:
        "{resources.launcher} refer {params.options} --log {log} "
        "--device {resources.device} --reference {wildcards.reference} "
        f"--collection {PLACE.shared} --collection-name {{wildcards.collection}} "
        "--candidates {input.candidates} --pool {input.pool} --output {output}"


# What rankers rerank that cannot search: by collection, of which variants.
RERANKING = {name: grid.reranking(one) for name, one in EVALUATED.items()}
if any(RERANKING.values()):

    rule shortlist:
        input:
            collected=rules.collect.output,
            documents=expand(rules.encode.output.documents, shard=SHARDS, allow_missing=True),
            queries=expand(rules.encode.output.queries, shard=SHARDS, allow_missing=True),
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
            options=on_collection(stage_arguments.shortlist),
        message:
            "Fixing the run of {wildcards.collection} that rankers rerank which cannot search"
        shell:
            "{resources.launcher} shortlist {params.options} --log {log} "
            "--device {resources.device} "
            f"--collection {PLACE.shared} "
            "--documents {input.documents} --queries {input.queries} --output {output}"


# Ahead of trainings that wait, so that a study can be looked at on its way.
rule retrieve:
    input:
        **({"shortlists": shortlists_of} if any(RERANKING.values()) else {}),
        checkpoint=LAYOUT.checkpoint(WILDCARDS, "{checkpoint}"),
        tokens=tokens_of,
        candidates=rules.sample.output.candidates,
        own_documents=lambda wildcards: own_documents_on(wildcards.collection),
        pool=lambda wildcards: LAYOUT.pool(wildcards.collection) if wildcards.collection in POOLED else [],
    output:
        **({"run": evaluated("runs")} if SEARCHED else {}),
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
        options=on_collection(stage_arguments.retrieve),
    message:
        "Evaluating {wildcards.model} on {wildcards.train_queries} queries, seed {wildcards.seed}, "
        "step {wildcards.checkpoint}"
    shell:
        "{resources.launcher} retrieve {params.options} --log {log} "
        "--device {resources.device} "
        "--collection {wildcards.collection} --checkpoint {input.checkpoint} --tokens $(dirname {input.tokens[0]}) --candidates {input.candidates} "
        "--observations {output.observations}"
        + (" --run {output.run} --own-documents {input.own_documents}" if SEARCHED else "")
        + (" --pool {input.pool}" if POOLED else "")
        + (" --shortlists {input.shortlists}" if any(RERANKING.values()) else "")


# The same for the runs, and on the collections, that are measured over the candidates alone.
if NOT_SEARCHING:

    use rule retrieve as retrieve_without_run with:
        output:
            run=[],
            observations=evaluated("observations"),
        wildcard_constraints:
            train_queries="|".join(NOT_SEARCHING),
            collection=one_of(PARTLY),

    ruleorder: retrieve_without_run > retrieve


if SEARCHED and UNSEARCHED:

    use rule retrieve as retrieve_candidates with:
        output:
            run=[],
            observations=evaluated("observations"),
        wildcard_constraints:
            collection=one_of(UNSEARCHED),

    ruleorder: retrieve_candidates > retrieve


rule score:
    input:
        **{k: v for k, v in rules.retrieve.output.items()},
        qrels=QRELS,
    output:
        **({"per_query": evaluated("per_query")} if SEARCHED else {}),
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
        + (" --run {input.run} --per-query {output.per_query}" if SEARCHED else "")


if NOT_SEARCHING:

    use rule score as score_without_run with:
        input:
            run=[],
            observations=evaluated("observations"),
            qrels=QRELS,
        output:
            per_query=[],
            scores=evaluated("scores"),
        wildcard_constraints:
            train_queries="|".join(NOT_SEARCHING),
            collection=one_of(PARTLY),

    ruleorder: score_without_run > score


if SEARCHED and UNSEARCHED:

    use rule score as score_candidates with:
        input:
            run=[],
            observations=evaluated("observations"),
            qrels=QRELS,
        output:
            per_query=[],
            scores=evaluated("scores"),
        wildcard_constraints:
            collection=one_of(UNSEARCHED),

    ruleorder: score_candidates > score


# The folder of token ids that each model reads on each collection.
READ_BY = {
    (collection, name): place.tokens(collections.vocabulary_on(STUDY, collection, grid.tokenizer_of(STUDY, model)[0]))
    for collection, place in collections.layouts(STUDY, LAYOUT).items()
    for name, model in MODELS.items()
}


rule gather:
    input:
        runs=[f"{LAYOUT.run(run)}/checkpoints.parquet" for run in RUNS],
        scores=[LAYOUT.table("scores", *checkpoint, name) for checkpoint in CHECKPOINTS for name in EVALUATED],
        candidates=[LAYOUT.candidates(name) for name in EVALUATED],
        tokens=[f"{folder}/documents.parquet" for folder in dict.fromkeys(READ_BY.values())],
        taught=[sharing.taught(LAYOUT, name) for name in TEACHERS],
        references=[LAYOUT.reference(name, collection) for collection, some in REFERENCES.items() for name in some],
    output:
        references=f"{LAYOUT.together}/references.parquet",
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
        tokens=fixed(" ".join(f"{collection}={name}={folder}" for (collection, name), folder in READ_BY.items())),
    message:
        f"Gathering the scores of {len(CHECKPOINTS)} checkpoints"
    shell:
        "{resources.launcher} gather {params.options} --log {log} --candidates {input.candidates} --tokens {params.tokens} "
        f"--study {LAYOUT.own} "
        "--runs {input.runs} --output {output.metrics} --left-out {output.left_out} "
        "--references {input.references} --references-table {output.references}"
