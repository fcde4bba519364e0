# One training run per variant, model, subset and seed.

RUN = LAYOUT.run(WILDCARDS)
# Several devices on one model are several processes, started and watched by torchrun (which would take --log for an
# option of its own without the dashes).
PROCESSES = STUDY["machine"]["gpus_per_run"]
LAUNCHER = RANKSCALE if PROCESSES == 1 else f"torchrun --standalone --nproc-per-node {PROCESSES} -m -- rankscale"


rule train:
    input:
        collected=rules.collect.output,
        tokens=tokens_of,
        local=lambda wildcards: watched_files.inputs(checkpoint_files(wildcards)),
        mined=training_negatives,
        miner_scores=miner_scores,
        teacher_scores=teacher_scores,
    output:
        multiext(f"{RUN}/", *PUBLISHED),
    log:
        LAYOUT.log("train", WILDCARDS),
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        gpu=GPU * STUDY["machine"]["gpus_per_run"],
        device=DEVICE,
        save_seconds=str(STUDY["machine"]["save_seconds"]),
        launcher=LAUNCHER,
        scratch=f"{STUDY['machine']['scratch']}/{NAME}" if STUDY["machine"]["scratch"] else f"{LAYOUT.own}/scratch",
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


# The same for the runs that are also looked at on the way.
if SNAPSHOTS:
    STEPS = next(iter(SNAPSHOTS.values()))
    fleeting = temp if STUDY["training"]["keep"] == "final" else str

    use rule train as train_with_snapshots with:
        output:
            multiext(f"{RUN}/", *PUBLISHED),
            [fleeting(LAYOUT.checkpoint(WILDCARDS, step)) for step in STEPS],
        wildcard_constraints:
            model="|".join({re.escape(run.model) for run in SNAPSHOTS}),
            train_queries="|".join({run.subset for run in SNAPSHOTS}),
        params:
            recipe=stage_versions.TRAIN,
            options=training_arguments,
            stamps=lambda wildcards: watched_files.stamps(checkpoint_files(wildcards)),
            snapshots=f"--snapshots {' '.join(STEPS)}",

    ruleorder: train_with_snapshots > train
