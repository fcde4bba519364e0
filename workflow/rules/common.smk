# The study, the folders it lives in, and the arguments of each stage: exactly the part of the config it uses.
import gc
import re
import shlex
import time

from rankscale.core import stage_versions
from rankscale.core.errors import StudyError
from rankscale.core.layout import FINAL, PUBLISHED, RESULTS, WILDCARDS, Layout, RunId
from rankscale.laws.options import OF_TEST_SETS, OF_VARIANTS
from rankscale.report.figures.registry import figures_of
from rankscale.study import environment, failed_jobs, grid, run_owners
from rankscale.study import sharing, stage_arguments, teachers, variants, watched_files
from rankscale.study.code_digest import code_digest
from rankscale.study.config import check_config
from rankscale.study.config_file import load_config_file
from rankscale.study.costs.training_order import training_priorities
from rankscale.study.test_sets import arguments as test_set_arguments
from rankscale.study.test_sets import collections, references

# A DAG of 20,000 jobs is millions of objects that stay: looking for garbage among them takes an eighth of the time.
gc.set_threshold(1_000_000, 20, 100)
environment.prepare_environment()
try:
    for place in workflow.configfiles:
        load_config_file(Path(place))  # Snakemake took the last of two equal keys
    STUDY = check_config(config)
    sharing.refuse_clashes(STUDY, Layout.of(STUDY))
    environment.refuse_unwritable(Path(RESULTS))
    if workflow.is_main_process:  # the clocks of a cluster's nodes may differ
        watched_files.refuse_unusable(grid.own_files(STUDY))
except StudyError as error:
    raise WorkflowError(f"{' '.join(map(str, workflow.configfiles))}: {error}") from None

if workflow.is_main_process:
    run_owners.leave_note()
STARTED = time.time()
# A resource, which Snakemake does not compare as it does a rule's shell text: how stages are started may change, and
# nothing runs again for it.
RANKSCALE = "python -m rankscale"
NAME, COLLECTION = STUDY["study"], STUDY["collection"]["name"]
LAYOUT = Layout.of(STUDY)
# The study on each of the collections that it evaluates on, and where each lies: as a pattern, and in a shell's text.
EVALUATED = collections.each(STUDY)
REFERENCES = {name: references.references(one, name) for name, one in EVALUATED.items()}
PATTERN = LAYOUT._replace(collection="{collection}")
PLACE = LAYOUT._replace(collection="{wildcards.collection}")
MODELS = {model["name"]: model for model in STUDY["models"]}
VARIANTS = {name: variants.study_of(STUDY, name) for name in variants.names(STUDY)}
STARTS = variants.starts(STUDY)
PARTIAL = STUDY["partial"]
PLANNED = list(grid.runs(STUDY))
RUNS = grid.finished(STUDY, LAYOUT) if PARTIAL else PLANNED
if not RUNS:
    raise WorkflowError(
        f"{LAYOUT.own}: none of {len(PLANNED)} runs is trained, evaluated and scored yet: nothing to report as it stands"
    )
SNAPSHOTS = grid.snapshots(STUDY)
FINALS = [(run, FINAL) for run in RUNS]
FETCHED = grid.hub_ids(STUDY)
TEACHERS = teachers.teachers(STUDY)
TOKENIZERS = dict(grid.tokenizer_of(STUDY, model) for model in STUDY["models"])
EVERY_CHECKPOINT = grid.checkpoints(STUDY)
FINISHED = set(RUNS)
PRIORITIES = training_priorities(STUDY)
CHECKPOINTS = [(run, name) for run in RUNS for name in EVERY_CHECKPOINT[run]]
# The device and, in manifests, the study's name are resources, not params: Snakemake does not compare them, so that
# another device retrains nothing and a second study over the same collection reuses it.
DEVICE = STUDY["machine"]["device"]
# One GPU job at a time on a machine that has one (profiles/default limits the resource); none counted without.
GPU = environment.gpus_per_job(DEVICE)
if "gpu" in workflow.global_resources and STUDY["machine"]["runs_per_gpu"] > 1:
    # Several jobs on each of the GPUs that the command line or profile grants.
    workflow.register_resource("gpu", int(workflow.global_resources["gpu"].value) * STUDY["machine"]["runs_per_gpu"])
THREADS = STUDY["machine"]["threads"]
ENVIRONMENT = f"../../envs/{'gpu' if GPU else 'cpu'}.yaml"
config.update(STUDY)  # the report shows the defaults too


def code_of(stage):
    """The digest of a stage's code as a param that is read where a job needs it, as most calls plan jobs of few stages."""
    return lambda wildcards: code_digest(stage)


def one_of(names):
    """Names as a wildcard's constraint; of none it holds for nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    collection=one_of(EVALUATED),
    variant="|".join(map(re.escape, VARIANTS)),
    model="|".join(map(re.escape, MODELS)),
    train_queries=r"\d+|all",
    seed=r"\d+",
    checkpoint=r"\d+|final",
    shard=r"\d+",
    reference=one_of(dict.fromkeys(name for of_one in REFERENCES.values() for name in of_one)),
    teacher="|".join(map(re.escape, TEACHERS)) or "none",
    place="|".join(map(re.escape, FETCHED)) or "none",


def fixed(value):
    """A parameter that Snakemake takes as it is: in plain text it would fill in what stands in braces."""
    return lambda wildcards: value


def on_collection(arguments):
    """A stage's words as a param that depends on the collection."""
    return lambda wildcards: arguments(EVALUATED[wildcards.collection])


def source_files(wildcards):
    """The local files that a collection is read from."""
    return grid.source_files(EVALUATED[wildcards.collection]["collection"])


def tokens_of(wildcards):
    """The token ids that a model reads: in training of the study's own collection, else of the one it is evaluated on."""
    folder, _ = grid.tokenizer_of(STUDY, MODELS[wildcards.model])
    collection = wildcards.get("collection", COLLECTION)
    place = LAYOUT._replace(collection=collection).tokens(collections.vocabulary_on(STUDY, collection, folder))
    return multiext(f"{place}/", "documents.parquet", "queries.parquet", "special.json")


def is_borrowed(wildcards):
    """Whether the token ids are by the vocabulary that the study trains on its own collection, on another one."""
    return wildcards.collection != COLLECTION and wildcards.tokenizer == grid.borrowed_vocabulary(STUDY)


def tokenizer_arguments(wildcards):
    """A tokenizer's source, or the size of the vocabulary to train, and what its manifest keeps."""
    if is_borrowed(wildcards):
        return test_set_arguments.borrow_vocabulary(STUDY, wildcards.collection)
    return stage_arguments.tokenize(STUDY, wildcards.tokenizer, TOKENIZERS.get(wildcards.tokenizer))


def tokenizer_files(wildcards):
    """What a tokenizer is read from, if that is a local folder."""
    return grid.local_files(TOKENIZERS.get(wildcards.tokenizer) or "")


def tokenizer_inputs(wildcards):
    """The same as Snakemake takes it; a borrowed vocabulary is made before it is read."""
    if is_borrowed(wildcards):
        return [f"{LAYOUT.tokens(STUDY['tokenizer']['name'])}/manifest.json"]
    return watched_files.inputs(tokenizer_files(wildcards))


def own_documents_on(collection):
    """Which queries of a collection are documents themselves, if any run searches it."""
    searched = EVALUATED[collection]["evaluation"]["full_retrieval"]
    return f"{LAYOUT._replace(collection=collection).shared}/own_documents.parquet" if searched else []


def mined_on(wildcards):
    """The miner's lists of a collection, if evaluation on it asks for them."""
    asked = collections.asks_for_mined(EVALUATED[wildcards.collection])
    return expand(rules.mine.output.negatives, shard=SHARDS, collection=wildcards.collection) if asked else []


def checkpoint_files(wildcards):
    """What a model starts from, if that is a local folder."""
    return grid.local_files(MODELS[wildcards.model].get("checkpoint", ""))


def training_arguments(wildcards):
    """The model and the recipe of one run, as its variant has it."""
    return stage_arguments.train(VARIANTS[wildcards.variant], wildcards.model)


def released_files(wildcards):
    """What a model that is evaluated as it is is read from, if that is a local folder."""
    return grid.released_files(MODELS[wildcards.model].get("checkpoint", ""))


def adopting_arguments(wildcards):
    """A model that is evaluated as it is."""
    return stage_arguments.adopt(VARIANTS[wildcards.variant], wildcards.model)


def refining_arguments(wildcards):
    """The recipe of one run that goes on from another."""
    return stage_arguments.refine(VARIANTS[wildcards.variant], wildcards.model)


def training_priority(wildcards):
    """The longest trainings go first."""
    run = RunId(wildcards.variant, wildcards.model, wildcards.train_queries, int(wildcards.seed))
    return PRIORITIES.get(run, 0)  # a run that was asked for by its file need not be of the grid


def started_from(wildcards):
    """What the run published that another one goes on from."""
    run = RunId(STARTS[wildcards.variant], wildcards.model, wildcards.train_queries, wildcards.seed)
    return [f"{LAYOUT.run(run)}/{name}" for name in PUBLISHED]


def training_negatives(wildcards):
    """The miner's lists, if the run's negatives come from them."""
    return NEGATIVES if grid.trains_on_mined(VARIANTS[wildcards.variant]) else []


def teacher_inputs(wildcards):
    """What a teacher's scores are made of."""
    teacher = TEACHERS[wildcards.teacher]
    kind, files = teachers.teacher_kind(teacher), {}
    if teacher.get("model"):
        return {"mined": NEGATIVES, "local": watched_files.inputs(grid.local_files(teacher["model"]))}
    if kind != "file":
        files["mined"] = NEGATIVES
    if kind == "miner":
        files["documents"] = expand(rules.encode.output.documents, shard=SHARDS, collection=COLLECTION)
        files["queries"] = expand(rules.encode.output.queries, shard=SHARDS, collection=COLLECTION)
    else:
        files["scores"] = watched_files.inputs(teachers.own_files(teacher))
    if kind == "checkpoint":
        files["tokens"] = f"{LAYOUT.tokens(teachers.tokenizer_folder(STUDY, teacher))}/queries.parquet"
    return files


def teacher_stamps(wildcards):
    """The dates of what a teacher is read from, where Snakemake cannot take it as an input."""
    teacher = TEACHERS[wildcards.teacher]
    return watched_files.stamps([*teachers.own_files(teacher), *grid.local_files(teacher.get("model") or "")])


def teacher_arguments(wildcards, input):
    """What a teacher is, and the files that it has, each by the option that takes it."""
    words = [stage_arguments.teach(STUDY, wildcards.teacher)]
    files = {name: input[name] for name in ("mined", "documents", "queries") if name in input.keys()}
    files["scores"] = teachers.own_files(TEACHERS[wildcards.teacher])
    for name, paths in files.items():
        if paths:
            words += [f"--{name}", *map(shlex.quote, [paths] if isinstance(paths, str) else paths)]
    if "tokens" in input.keys():
        words += ["--tokens", str(Path(input["tokens"]).parent)]
    return " ".join(words)


def teacher_scores(wildcards):
    """The scores of a run's teacher, if its loss is told any."""
    teacher = VARIANTS[wildcards.variant]["training"]["teacher"]
    return [LAYOUT.teacher(name) for name in teachers.tables_of(teacher)] if teacher else []


def miner_scores(wildcards):
    """The miner's scores of the positives too, if a run goes by them."""
    training = VARIANTS[wildcards.variant]["training"]
    return [LAYOUT.teacher(teachers.MINER)] if teachers.needs_miner_scores(training) else []


def score_arguments(wildcards):
    """How a checkpoint's observations and run are measured, as its variant's ranker and the collection have it."""
    return stage_arguments.score(variants.study_of(EVALUATED[wildcards.collection], wildcards.variant))


def shortlists_of(wildcards):
    """What a run's ranker reranks, if it cannot search."""
    reranks = wildcards.variant in RERANKING[wildcards.collection]
    return LAYOUT.shortlists(wildcards.collection) if reranks else []


def checkpoints(wildcards):
    """Every checkpoint that the study keeps."""
    kept = CHECKPOINTS if STUDY["training"]["keep"] == "all" else FINALS
    return [LAYOUT.checkpoint(run, name) for run, name in kept]


def refer_inputs(wildcards):
    """What a reference ranks by, each file under the option of the stage that takes it."""
    collection, kind = wildcards.collection, REFERENCES[wildcards.collection][wildcards.reference]
    if kind == references.MINER:
        vectors = {"documents": rules.encode.output.documents, "queries": rules.encode.output.queries}
        return {name: expand(path, shard=SHARDS, collection=collection) for name, path in vectors.items()}
    if kind == references.UNTRAINED:
        folder, _ = grid.tokenizer_of(STUDY, STUDY["models"][-1])
        place = LAYOUT._replace(collection=collection).tokens(collections.vocabulary_on(STUDY, collection, folder))
        return {"tokens": multiext(f"{place}/", "documents.parquet", "queries.parquet", "special.json")}
    return {"run": watched_files.inputs([external_path(wildcards)])} if kind == references.RUN else {}


def external_path(wildcards):
    """The file of a run that was made elsewhere."""
    return str(Path(references.external_run(STUDY, wildcards.reference)["path"]).expanduser())


def refer_arguments(wildcards, input):
    """What a reference is, and the files that it ranks by."""
    words = [test_set_arguments.refer(EVALUATED[wildcards.collection], wildcards.reference)]
    for name in ("documents", "queries"):
        words += [f"--{name}", *input[name]] if name in input.keys() else []
    if "tokens" in input.keys():
        words += ["--tokens", str(Path(input["tokens"][0]).parent)]
    if REFERENCES[wildcards.collection][wildcards.reference] == references.RUN:
        words += ["--run", shlex.quote(external_path(wildcards))]
    return " ".join(words)


def evaluated(kind):
    """The pattern of a checkpoint's table of one kind, on any collection."""
    return LAYOUT.table(kind, WILDCARDS, "{checkpoint}", "{collection}")


def evaluation_log(stage):
    """The pattern of the log of a checkpoint's evaluation."""
    return LAYOUT.evaluation_log(stage, WILDCARDS, "{checkpoint}", "{collection}")
