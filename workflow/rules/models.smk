# One training run per variant, model, subset and seed.

# The variants that are trained as a whole; the others go on from the finished runs of one of these.
TRAINED = "|".join(re.escape(name) for name in VARIANTS if name not in STARTS)

RUN = LAYOUT.run(WILDCARDS)
# Several devices on one model are several processes, started and watched by torchrun (which would take --log for an
# option of its own without the dashes).
PROCESSES = STUDY["machine"]["gpus_per_run"]
LAUNCHER = RANKSCALE if PROCESSES == 1 else f"torchrun --standalone --nproc-per-node {PROCESSES} -m -- rankscale"

SCRATCH = f"{STUDY['machine']['scratch']}/{NAME}" if STUDY["machine"]["scratch"] else f"{LAYOUT.own}/scratch"


rule train:
    input:
        collected=COLLECTED,
        tokens=tokens_of,
        local=lambda wildcards: watched_files.inputs(checkpoint_files(wildcards)),
        mined=training_negatives,
        miner_scores=miner_scores,
        teacher_scores=teacher_scores,
    output:
        multiext(f"{RUN}/", *PUBLISHED),
    log:
        LAYOUT.log("train", WILDCARDS),
    wildcard_constraints:
        variant=TRAINED,
    priority: training_priority
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        gpu=GPU * STUDY["machine"]["gpus_per_run"],
        device=DEVICE,
        save_seconds=str(STUDY["machine"]["save_seconds"]),
        launcher=LAUNCHER,
        scratch=SCRATCH,
    params:
        recipe=stage_versions.TRAIN,
        options=training_arguments,
        stamps=lambda wildcards: watched_files.stamps(checkpoint_files(wildcards)),
        snapshots="",
    message:
        "Training {wildcards.model} on {wildcards.train_queries} queries, seed {wildcards.seed}"
    shell:
        "{resources.launcher} train --variant {wildcards.variant} --model {wildcards.model} --train-queries {wildcards.train_queries} "
        "--seed {wildcards.seed} {params.options} {params.snapshots} --log {log} "
        "--device {resources.device} --save-seconds {resources.save_seconds} "
        f"--collection {LAYOUT.shared} "
        "--tokens $(dirname {input.tokens[0]}) --mined {input.mined} "
        "--miner-scores {input.miner_scores} --teacher-scores {input.teacher_scores} "
        f"--scratch {{resources.scratch:q}}/{str(WILDCARDS).replace('{', '{wildcards.')} "
        f"--output {RUN.replace('{', '{wildcards.')}"


# Models that are evaluated as they are.
if grid.is_untrained(STUDY):

    rule adopt:
        input:
            tokens=tokens_of,
            local=lambda wildcards: watched_files.inputs(released_files(wildcards)),
        output:
            multiext(f"{RUN}/", *PUBLISHED),
        log:
            LAYOUT.log("adopt", WILDCARDS),
        conda:
            ENVIRONMENT
        resources:
            launcher=RANKSCALE,
        params:
            recipe=stage_versions.ADOPT,
            options=adopting_arguments,
            stamps=lambda wildcards: watched_files.stamps(released_files(wildcards)),
        message:
            "Taking {wildcards.model} as it is"
        shell:
            "{resources.launcher} adopt --variant {wildcards.variant} --model {wildcards.model} --seed {wildcards.seed} "
            "{params.options} --log {log} --tokens $(dirname {input.tokens[0]}) "
            f"--output {RUN.replace('{', '{wildcards.')}"

    ruleorder: adopt > train


# The same for the runs that are also looked at on the way.
if SNAPSHOTS:
    STEPS = next(iter(SNAPSHOTS.values()))
    OF_SNAPSHOTS = {
        "model": "|".join({re.escape(run.model) for run in SNAPSHOTS}),
        "train_queries": "|".join({run.subset for run in SNAPSHOTS}),
    }
    fleeting = temp if STUDY["training"]["keep"] == "final" else str

    use rule train as train_with_snapshots with:
        output:
            multiext(f"{RUN}/", *PUBLISHED),
            [fleeting(LAYOUT.checkpoint(WILDCARDS, step)) for step in STEPS],
        wildcard_constraints:
            **OF_SNAPSHOTS,
            variant=TRAINED,
        params:
            recipe=stage_versions.TRAIN,
            options=training_arguments,
            stamps=lambda wildcards: watched_files.stamps(checkpoint_files(wildcards)),
            snapshots=f"--snapshots {' '.join(STEPS)}",

    ruleorder: train_with_snapshots > train


# Variants with dynamic negatives: what goes on from another variant's finished runs.
if STARTS:

    rule refine:
        input:
            start=started_from,
            collected=COLLECTED,
            tokens=tokens_of,
            mined=training_negatives,
            miner_scores=miner_scores,
        output:
            multiext(f"{RUN}/", *PUBLISHED),
        log:
            LAYOUT.log("refine", WILDCARDS),
        wildcard_constraints:
            variant="|".join(map(re.escape, STARTS)),
        priority: training_priority
        conda:
            ENVIRONMENT
        threads: THREADS
        resources:
            gpu=GPU * STUDY["machine"]["gpus_per_run"],
            device=DEVICE,
            save_seconds=str(STUDY["machine"]["save_seconds"]),
            launcher=LAUNCHER,
            scratch=SCRATCH,
        params:
            recipe=stage_versions.REFINE,
            options=refining_arguments,
            snapshots="",
        message:
            "Training the queries of {wildcards.model} further, on {wildcards.train_queries} queries, seed {wildcards.seed}"
        shell:
            "{resources.launcher} refine --variant {wildcards.variant} --model {wildcards.model} --train-queries {wildcards.train_queries} "
            "--seed {wildcards.seed} {params.options} {params.snapshots} --log {log} "
            "--device {resources.device} --save-seconds {resources.save_seconds} "
            f"--collection {LAYOUT.shared} "
            "--tokens $(dirname {input.tokens[0]}) --start $(dirname {input.start[0]}) --mined {input.mined} "
            "--miner-scores {input.miner_scores} "
            f"--scratch {{resources.scratch:q}}/{str(WILDCARDS).replace('{', '{wildcards.')} "
            f"--output {RUN.replace('{', '{wildcards.')}"

    if SNAPSHOTS:

        use rule refine as refine_with_snapshots with:
            output:
                multiext(f"{RUN}/", *PUBLISHED),
                [fleeting(LAYOUT.checkpoint(WILDCARDS, step)) for step in STEPS],
            wildcard_constraints:
                **OF_SNAPSHOTS,
                variant="|".join(map(re.escape, STARTS)),
            params:
                recipe=stage_versions.REFINE,
                options=refining_arguments,
                snapshots=f"--snapshots {' '.join(STEPS)}",

        ruleorder: refine_with_snapshots > refine
