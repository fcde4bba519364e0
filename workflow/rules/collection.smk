# From a source to tables of documents, queries and judgments, and to token ids.


rule collect:
    input:
        lambda wildcards: watched_files.inputs(source_files(wildcards)),
    output:
        multiext(
            f"{PATTERN.shared}/",
            "documents.parquet",
            "queries.parquet",
            "qrels.parquet",
            "copies.parquet",
            "own_documents.parquet",
            "manifest.json",
        ),
    log:
        PATTERN.shared_log("collect"),
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
        study=NAME,
    params:
        recipe=stage_versions.COLLECT,
        options=on_collection(stage_arguments.collect),
        stamps=lambda wildcards: watched_files.stamps(source_files(wildcards)),
    message:
        "Collecting {wildcards.collection}: documents, queries and judgments for every later stage"
    shell:
        "{resources.launcher} collect {params.options} --study {resources.study} --log {log} "
        f"--output {PLACE.shared}"


COLLECTED = expand(rules.collect.output, collection=COLLECTION)  # what is trained on


rule tokenize:
    input:
        collected=rules.collect.output,
        local=tokenizer_inputs,
    output:
        multiext(
            f"{PATTERN.tokens('{tokenizer}')}/",
            "documents.parquet",
            "queries.parquet",
            "special.json",
            "manifest.json",
        ),
    log:
        PATTERN.shared_log("tokenize", "{tokenizer}"),
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
        "Tokenizing every text of {wildcards.collection} once with {wildcards.tokenizer}"
    shell:
        "{resources.launcher} tokenize {params.options} --study {resources.study} --log {log} "
        f"--collection {PLACE.shared} --output {PLACE.tokens('{wildcards.tokenizer}')}"


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
