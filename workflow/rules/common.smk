# The study, the folders it lives in, and the arguments of each stage: exactly the part of the config it uses.
import json
import re
import shlex

from rankscale import recipes
from rankscale import study as studies
from rankscale.errors import StudyError
from rankscale.sources import digest as code

try:
    STUDY = studies.check(config)
    studies.refuse_clashes(STUDY, Path("results"))
    studies.refuse_unwritable(Path("results"))
except StudyError as error:
    raise WorkflowError(f"{' '.join(map(str, workflow.configfiles))}: {error}") from None

NAME, COLLECTION = STUDY["study"], STUDY["collection"]["name"]
RESULTS = f"results/{NAME}"
SHARED = f"results/shared/{COLLECTION}"
MINED = f"{SHARED}/{STUDY['miner']['name']}"
MODELS = {model["name"]: model for model in STUDY["models"]}
RUNS = list(studies.runs(STUDY))
SNAPSHOTS = studies.snapshots(STUDY)
CHECKPOINTS = [f"{run}/{name}" for run in RUNS for name in [*SNAPSHOTS.get(run, []), "final"]]
# What every costly stage is told besides its recipe. The device is no parameter, nor is the study's name in a
# manifest: they go into commands by way of the config, which Snakemake does not compare, so that another device
# retrains nothing and a second study over the same collection reuses it.
MACHINE = {"threads": STUDY["machine"]["threads"]}
GPU = 1 if STUDY["machine"]["device"] == "cuda" else 0
config.update(STUDY)


wildcard_constraints:
    model="|".join(map(re.escape, MODELS)),
    train_queries=r"\d+|all",
    seed=r"\d+",
    checkpoint=r"\d+|final",
    shard=r"\d+",


def flags(options):
    """Options as a command line: none for null or false, a bare flag for true, several values for a list."""
    words = []
    for key, value in options.items():
        if value is None or value is False or value == []:
            continue
        values = [] if value is True else value if isinstance(value, list) else [value]
        words += [f"--{key.replace('_', '-')}", *map(str, values)]
    return shlex.join(words)


def settings(folder):
    """What the manifest of a shared folder keeps, to be compared when another study names the same folder."""
    return flags({"settings": json.dumps(studies.shared_settings(STUDY)[folder], sort_keys=True)})


def tokens_of(wildcards):
    """The token ids that a model reads."""
    folder, _ = studies.tokenizer_of(STUDY, MODELS[wildcards.model])
    return multiext(f"{SHARED}/tokens/{folder}/", "documents.parquet", "queries.parquet", "special.json")
