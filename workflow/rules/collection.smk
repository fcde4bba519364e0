# From a source to tables of documents, queries and judgments, and to token ids.


rule collect:
    input:
        grid.source_files(STUDY),
    output:
        multiext(f"{SHARED}/", "documents.parquet", "queries.parquet", "qrels.parquet", "manifest.json"),
    log:
        f"{SHARED}/logs/collect.log",
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
        study=NAME,
    params:
        recipe=stage_versions.COLLECT,
        options=collection_arguments(),
        settings=settings(f"{COLLECTION}/manifest.json"),
    message:
        f"Collecting {COLLECTION}: documents, queries and judgments for every later stage"
    shell:
        "{resources.launcher} collect {params.options} {params.settings} --study {resources.study} --log {log} "
        f"--output {SHARED}"


rule tokenize:
    input:
        collected=rules.collect.output,
        local=tokenizer_files,
    output:
        multiext(
            f"{SHARED}/tokens/{{tokenizer}}/", "documents.parquet", "queries.parquet", "special.json", "manifest.json"
        ),
    log:
        f"{SHARED}/logs/tokenize/{{tokenizer}}.log",
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
        study=NAME,
    params:
        recipe=stage_versions.TOKENIZE,
        options=tokenizer_arguments,
    message:
        "Tokenizing every text once with {wildcards.tokenizer}"
    shell:
        "{resources.launcher} tokenize {params.options} --study {resources.study} --log {log} "
        f"--collection {SHARED} --output {SHARED}/tokens/{{wildcards.tokenizer}}"


rule fetch:
    output:
        "results/shared/hub/{place}.json",
    log:
        "results/shared/hub/logs/{place}.log",
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
    params:
        model=lambda wildcards: FETCHED[wildcards.place],
    message:
        "Fetching {params.model} from the hub, so that later stages need no internet"
    shell:
        "{resources.launcher} fetch --model {params.model} --log {log} --output {output}"
