# The frozen miner: vectors of all texts, and each query's nearest documents that are not its positives.

ENCODER_FILES = grid.local_files(STUDY["miner"]["encoder"])
SHARDS = range(STUDY["miner"]["shards"])


rule encode:
    input:
        collected=rules.collect.output,
        local=watched_files.inputs(ENCODER_FILES),
    output:
        documents=f"{PATTERN.mined}/documents/{{shard}}.parquet",
        queries=f"{PATTERN.mined}/queries/{{shard}}.parquet",
    log:
        PATTERN.mined_log("encode", "{shard}"),
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        launcher=RANKSCALE,
        gpu=GPU,
        device=DEVICE,
    params:
        recipe=stage_versions.ENCODE,
        options=fixed(stage_arguments.encode(STUDY)),
        stamps=fixed(watched_files.stamps(ENCODER_FILES)),
    message:
        "Encoding shard {wildcards.shard} of {wildcards.collection} with the miner's encoder"
    shell:
        "{resources.launcher} encode {params.options} --shard {wildcards.shard} --log {log} "
        "--device {resources.device} "
        f"--collection {PLACE.shared} "
        "--documents {output.documents} --queries {output.queries}"


rule mine:
    input:
        collected=rules.collect.output,
        documents=expand(rules.encode.output.documents, shard=SHARDS, allow_missing=True),
        queries=rules.encode.output.queries,
    output:
        negatives=f"{PATTERN.mined}/negatives/{{shard}}.parquet",
        manifest=f"{PATTERN.mined}/negatives/{{shard}}.json",
    log:
        PATTERN.mined_log("mine", "{shard}"),
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        launcher=RANKSCALE,
        gpu=GPU,
        device=DEVICE,
        study=NAME,
    params:
        recipe=stage_versions.MINE,
        options=fixed(stage_arguments.mine(STUDY)),
    message:
        "Mining hard negatives for shard {wildcards.shard} of the queries of {wildcards.collection} by exact search"
    shell:
        "{resources.launcher} mine {params.options} --study {resources.study} --log {log} "
        "--device {resources.device} "
        f"--collection {PLACE.shared} "
        "--documents {input.documents} --queries {input.queries} --manifest {output.manifest} "
        "--output {output.negatives}"


NEGATIVES = expand(rules.mine.output.negatives, shard=SHARDS, collection=COLLECTION)


rule teach:
    input:
        unpack(teacher_inputs),
        collected=COLLECTED,
    output:
        scores=LAYOUT.teacher("{teacher}"),
        manifest=sharing.taught(LAYOUT, "{teacher}"),
    log:
        LAYOUT.mined_log("teach", "{teacher}"),
    priority: 1  # the trainings of its pupils wait for it
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        launcher=RANKSCALE,
        gpu=GPU,
        device=DEVICE,
        study=NAME,
    params:
        recipe=stage_versions.TEACH,
        options=teacher_arguments,
        stamps=teacher_stamps,
    message:
        "Scoring the training queries by the teacher {wildcards.teacher}"
    shell:
        "{resources.launcher} teach {params.options} --study {resources.study} --log {log} "
        "--device {resources.device} "
        f"--collection {LAYOUT.shared} "
        "--manifest {output.manifest} --output {output.scores}"
