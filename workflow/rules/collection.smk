# From a source to tables of documents, queries and judgments, and to token ids.


SOURCE_FILES = grid.source_files(STUDY)


rule collect:
    input:
        watched_files.inputs(SOURCE_FILES),
    output:
        multiext(
            f"{LAYOUT.shared}/",
            "documents.parquet",
            "queries.parquet",
            "qrels.parquet",
            "copies.parquet",
            "own_documents.parquet",
            "manifest.json",
        ),
    log:
        LAYOUT.shared_log("collect"),
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
        study=NAME,
    params:
        recipe=stage_versions.COLLECT,
        options=fixed(stage_arguments.collect(STUDY)),
        stamps=fixed(watched_files.stamps(SOURCE_FILES)),
    message:
        f"Collecting {COLLECTION}: documents, queries and judgments for every later stage"
    shell:
        "{resources.launcher} collect {params.options} --study {resources.study} --log {log} "
        f"--output {LAYOUT.shared}"


rule tokenize:
    input:
        collected=rules.collect.output,
        local=lambda wildcards: watched_files.inputs(tokenizer_files(wildcards)),
    output:
        multiext(
            f"{LAYOUT.tokens('{tokenizer}')}/", "documents.parquet", "queries.parquet", "special.json", "manifest.json"
        ),
    log:
        LAYOUT.shared_log("tokenize", "{tokenizer}"),
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
        study=NAME,
    params:
        recipe=stage_versions.TOKENIZE,
        options=tokenizer_arguments,
        stamps=lambda wildcards: watched_files.stamps(tokenizer_files(wildcards)),
    message:
        "Tokenizing every text once with {wildcards.tokenizer}"
    shell:
        "{resources.launcher} tokenize {params.options} --study {resources.study} --log {log} "
        f"--collection {LAYOUT.shared} --output {LAYOUT.tokens('{wildcards.tokenizer}')}"


rule fetch:
    output:
        f"{LAYOUT.hub}/{{place}}.json",
    log:
        LAYOUT.hub_log("{place}"),
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
    params:
        model=lambda wildcards: FETCHED[wildcards.place],
    message:
        "Fetching {params.model} from the hub, so that later stages need no internet"
    shell:
        "{resources.launcher} fetch --model {params.model:q} --log {log} --output {output}"
