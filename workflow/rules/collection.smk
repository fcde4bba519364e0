# From a source to tables of documents, queries and judgments, and to token ids.

TOKENIZERS = dict(studies.tokenizer_of(STUDY, model) for model in STUDY["models"])


def tokenizer_arguments(wildcards):
    """A tokenizer's source, or the size of the vocabulary to train, and what its manifest keeps."""
    source = TOKENIZERS.get(wildcards.tokenizer)
    if source:
        kept = json.dumps({"tokenizer": source})
        return flags({"tokenizer": source, "settings": kept})
    chosen = flags({"vocabulary": STUDY["tokenizer"]["vocabulary"]})
    return f"{chosen} {settings(f'{COLLECTION}/tokens/{wildcards.tokenizer}')}"


rule collect:
    output:
        multiext(f"{SHARED}/", "documents.parquet", "queries.parquet", "qrels.parquet", "manifest.json"),
    params:
        recipe=recipes.COLLECT,
        options=flags(
            {k: STUDY["collection"][k] for k in ("source", "seed", "test_queries", "dev_queries", "sample")}
        ),
        settings=settings(COLLECTION),
    log:
        f"{SHARED}/logs/collect.log",
    benchmark:
        f"{SHARED}/benchmarks/collect.tsv"
    message:
        f"Collecting {COLLECTION}: documents, queries and judgments for every later stage"
    shell:
        "python -m rankscale.collect {params.options} {params.settings} --study {config[study]} --log {log} "
        f"--output {SHARED}"


rule tokenize:
    input:
        rules.collect.output,
    output:
        multiext(
            f"{SHARED}/tokens/{{tokenizer}}/", "documents.parquet", "queries.parquet", "special.json", "manifest.json"
        ),
    params:
        recipe=recipes.TOKENIZE,
        options=tokenizer_arguments,
    log:
        f"{SHARED}/logs/tokenize/{{tokenizer}}.log",
    benchmark:
        f"{SHARED}/benchmarks/tokenize/{{tokenizer}}.tsv"
    message:
        "Tokenizing every text once with {wildcards.tokenizer}"
    shell:
        "python -m rankscale.tokenize {params.options} --study {config[study]} --log {log} "
        f"--collection {SHARED} --output {SHARED}/tokens/{{wildcards.tokenizer}}"
