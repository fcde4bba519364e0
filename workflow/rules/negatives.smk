# The frozen miner: vectors of all texts, and each query's nearest documents that are not its positives.

SHARDS = range(STUDY["miner"]["shards"])
ENCODING = ("encoder", "pooling", "normalize", "query_prefix", "passage_prefix", "query_length", "passage_length")


rule encode:
    input:
        collected=rules.collect.output,
        local=studies.local_files(STUDY["miner"]["encoder"]),
    output:
        documents=f"{MINED}/documents/{{shard}}.parquet",
        queries=f"{MINED}/queries/{{shard}}.parquet",
    log:
        f"{MINED}/logs/encode/{{shard}}.log",
    benchmark:
        f"{MINED}/benchmarks/encode/{{shard}}.tsv"
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        gpu=GPU,
        device=DEVICE,
    params:
        recipe=recipes.ENCODE,
        options=flags({**{k: STUDY["miner"][k] for k in (*ENCODING, "shards")}, **MACHINE}),
    message:
        f"Encoding shard {{wildcards.shard}} of the collection with the miner {STUDY['miner']['encoder']}"
    shell:
        "python -m rankscale.encode {params.options} --shard {wildcards.shard} --log {log} "
        "--device {resources.device} "
        f"--collection {SHARED} "
        "--documents {output.documents} --queries {output.queries}"


rule mine:
    input:
        collected=rules.collect.output,
        documents=expand(rules.encode.output.documents, shard=SHARDS),
        queries=expand(rules.encode.output.queries, shard=SHARDS),
    output:
        negatives=f"{MINED}/negatives.parquet",
        manifest=f"{MINED}/manifest.json",
    log:
        f"{MINED}/logs/mine.log",
    benchmark:
        f"{MINED}/benchmarks/mine.tsv"
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        study=NAME,
    params:
        recipe=recipes.MINE,
        options=flags({"top_k": STUDY["miner"]["top_k"], **MACHINE}),
        settings=settings(f"{COLLECTION}/{STUDY['miner']['name']}"),
    message:
        "Mining {params.options} hard negatives per query by exact search"
    shell:
        "python -m rankscale.mine {params.options} {params.settings} --study {resources.study} --log {log} "
        f"--collection {SHARED} "
        "--documents {input.documents} --queries {input.queries} --output {output.negatives}"
