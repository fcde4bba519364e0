# One training run per model, subset and seed.

RUN = f"{RESULTS}/models/{{model}}/{{train_queries}}/{{seed}}"
TRAINED = ["final.safetensors", "checkpoints.parquet", "training.parquet", "times.parquet"]
RECIPE = (
    *("subsets", "negatives", "negatives_per_query", "batch_size", "epochs", "schedule", "warmup", "weight_decay"),
    *("clip", "temperature", "query_length", "passage_length", "output_dim"),
)


def training_arguments(wildcards):
    """The model and the recipe of one run."""
    model, training = MODELS[wildcards.model], STUDY["training"]
    rate = training["learning_rate"]
    return flags(
        {
            **{k: model.get(k) for k in ("layers", "hidden", "heads", "checkpoint")},
            "split": STUDY["collection"]["splits"]["train"],
            **{k: training[k] for k in RECIPE},
            "learning_rate": rate[wildcards.model] if isinstance(rate, dict) else rate,
            **MACHINE,
        }
    )


def checkpoints(wildcards):
    """Every checkpoint that the study declares."""
    return [f"{RESULTS}/models/{checkpoint}.safetensors" for checkpoint in CHECKPOINTS]


rule train:
    input:
        collected=rules.collect.output,
        tokens=tokens_of,
        mined=[] if STUDY["training"]["negatives"] == "random" else rules.mine.output.negatives,
    output:
        multiext(f"{RUN}/", *TRAINED),
    params:
        recipe=recipes.TRAIN,
        options=training_arguments,
        snapshots="",
    log:
        f"{RESULTS}/logs/train/{{model}}/{{train_queries}}/{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{model}}/{{train_queries}}/{{seed}}.tsv"
    resources:
        gpu=GPU,
    message:
        "Training {wildcards.model} on {wildcards.train_queries} queries, seed {wildcards.seed}"
    shell:
        "python -m rankscale.train --model {wildcards.model} --train-queries {wildcards.train_queries} "
        "--seed {wildcards.seed} {params.options} {params.snapshots} --log {log} "
        "--device {config[machine][device]} "
        f"--collection {SHARED} "
        "--tokens $(dirname {input.tokens[0]}) --mined {input.mined} "
        f"--scratch {RESULTS}/scratch/{{wildcards.model}}/{{wildcards.train_queries}}/{{wildcards.seed}} "
        f"--output {RUN.replace('{', '{wildcards.')}"


# The same for the runs that are also looked at on the way.
if SNAPSHOTS:
    STEPS = next(iter(SNAPSHOTS.values()))

    use rule train as train_with_snapshots with:
        wildcard_constraints:
            model="|".join({re.escape(run.model) for run in SNAPSHOTS}),
            train_queries="|".join({run.subset for run in SNAPSHOTS}),
        output:
            multiext(f"{RUN}/", *TRAINED, *[f"{step}.safetensors" for step in STEPS]),
        params:
            recipe=recipes.TRAIN,
            options=training_arguments,
            snapshots=flags({"snapshots": STEPS}),

    ruleorder: train_with_snapshots > train
