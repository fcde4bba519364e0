"""What a checked config says: the runs of the grid, their files, and what is shared with other studies.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rankscale.collection.archives import split_member
from rankscale.collection.registry import source_kind
from rankscale.core.layout import FINAL, Layout, RunId
from rankscale.core.ranker_flops import CROSS_ENCODER
from rankscale.study import teachers, variants

RERANK_DEPTH = 100  # where the config says none, as the schema has it
EVERYTHING = {"models": "every", "train_queries": "every"}  # a block of cells: all models on all subsets


def runs(study: dict[str, Any]) -> Iterator[RunId]:
    """Every run of the grid, once, in the order of the config: by variant, model, subset, seed."""
    training, chosen = study["training"], cells(study)
    for variant in variants.names(study):
        for model in study["models"]:
            for size in training["train_queries"]:
                for seed in training["seeds"] if (model["name"], size) in chosen else ():
                    yield RunId(variant, model["name"], subset_name(size), seed)


def cells(study: dict[str, Any]) -> set[tuple[str, int | None]]:
    """The models and subsets that are trained together: the union of the blocks of `training.cells`, or all."""
    models, sizes = [model["name"] for model in study["models"]], study["training"]["train_queries"]
    return {
        (model, size)
        for block in study["training"]["cells"] or [EVERYTHING]
        for model in (models if block["models"] == "every" else block["models"])
        for size in (sizes if block["train_queries"] == "every" else block["train_queries"])
    }


def snapshots(study: dict[str, Any]) -> dict[RunId, list[str]]:
    """The runs that publish checkpoints before their end, and which: the named models on one subset or on every one."""
    training = study["training"]
    steps = [str(s) for s in sorted(training["snapshots"]["steps"])]
    subsets = {subset_name(size) for size in snapshot_sizes(training)}
    chosen = training["snapshots"]["models"] if steps else []
    return {run: steps for run in runs(study) if run.model in chosen and run.subset in subsets}


def checkpoints(study: dict[str, Any]) -> dict[RunId, list[str]]:
    """Every run of the grid and the names of its checkpoints, the end of training last."""
    between = snapshots(study)
    return {run: [*between.get(run, []), FINAL] for run in runs(study)}


def collections(study: dict[str, Any]) -> list[str]:
    """The collections that checkpoints are evaluated on, the study's own first."""
    return [study["collection"]["name"], *(further["name"] for further in study["evaluation"]["collections"])]


def finished(study: dict[str, Any], layout: Layout) -> list[RunId]:
    """The runs of the grid whose checkpoints are all scored, on every collection."""
    return [
        run
        for run, names in checkpoints(study).items()
        if Path(layout.run(run), "checkpoints.parquet").exists()
        and all(
            Path(layout.table("scores", run, name, collection)).exists()
            for name in names
            for collection in collections(study)
        )
    ]


def is_untrained(study: dict[str, Any]) -> bool:
    """Whether models are evaluated as they are: trained on no query."""
    return study["training"]["train_queries"] == [0]


def subset_name(size: int | None) -> str:
    """How a subset is called in paths."""
    return "all" if size is None else str(size)


def tokenizer_of(study: dict[str, Any], model: dict[str, Any]) -> tuple[str, str | None]:
    """The folder name of a model's tokenizer, and its hub id or path (None: trained on the collection)."""
    if "checkpoint" not in model:
        return study["tokenizer"]["name"], None
    source = model.get("tokenizer", model["checkpoint"])
    if not is_folder(source):
        return source.replace("/", "--"), source
    # Folders of one name at two places are two tokenizers. Their names go into paths of ours, and command lines.
    folder = str(Path(source).expanduser().resolve())
    name = re.sub(r"[^\w.,+-]", "_", Path(folder).name)
    return f"{name}-{hashlib.sha256(folder.encode()).hexdigest()[:8]}", source


def borrowed_vocabulary(study: dict[str, Any]) -> str:
    """The folder name of the study's own vocabulary on other collections, which may have one of its name themselves."""
    return f"{study['collection']['name']}--{study['tokenizer']['name']}"


def is_folder(place: str) -> bool:
    """Whether an encoder or tokenizer is a folder, by its form or because there is one; else it is a hub id."""
    if place in ("", "lsa"):
        return False
    try:
        return place.startswith((".", "/", "~")) or Path(place).is_dir()
    except OSError:  # a name longer than any folder's
        return False


def needs_miner(study: dict[str, Any]) -> bool:
    """Whether anything asks for the miner's lists: training, teachers, hard candidates, or a pool."""
    candidates = study["evaluation"]["candidates"]
    if "hard" in candidates or pool_sample(study) is not None or reranking(study):
        return True
    return any(trains_on_mined(one) for one in variants.each(study)) or bool(teachers.teachers(study))


def reranks(study: dict[str, Any]) -> bool:
    """Whether the ranker, of a study of one variant, cannot search, and its full retrieval is a reranking."""
    return bool(study["evaluation"]["full_retrieval"]) and study["ranker"]["kind"] == CROSS_ENCODER


def rerank_depth(study: dict[str, Any]) -> int:
    """How many documents a ranker reranks that cannot search."""
    return int((study["evaluation"]["full_retrieval"] or {}).get("rerank", RERANK_DEPTH))


def reranking(study: dict[str, Any]) -> list[str]:
    """The variants whose full retrieval is a reranking of the miner's run."""
    return [name for name in variants.names(study) if reranks(variants.study_of(study, name))]


def trains_on_mined(study: dict[str, Any]) -> bool:
    """Whether training, of a study of one variant, reads the miner's lists: for negatives, or for weights."""
    training = study["training"]
    if variants.is_dynamic(study):
        return bool(training["curriculum"] or training["propensity"])
    return training["negatives"] != "random"


def hub_ids(study: dict[str, Any]) -> dict[str, str]:
    """What the study takes from the hub, by names for files."""
    return {name: hub_id for hub_id, name in hub_places(study).items()}


def hub_places(study: dict[str, Any]) -> dict[str, str]:
    """A name for files of each hub id that the study takes: encoders and tokenizers neither folders nor made here."""
    sources = [study["miner"]["encoder"], *(model.get("checkpoint", "") for model in study["models"])]
    sources += [source or "" for _, source in (tokenizer_of(study, model) for model in study["models"])]
    sources += [teacher.get("model") or "" for teacher in teachers.teachers(study).values()]
    ids = {source for source in sources if source not in ("", "lsa") and not is_folder(source)}
    return {source: source.replace("/", "--") for source in sorted(ids)}


def pool_sample(study: dict[str, Any]) -> int | None:
    """How many documents a pooled retrieval draws besides the judged and mined; None if retrieval is not pooled."""
    pool = (study["evaluation"]["full_retrieval"] or {}).get("pool")
    return None if pool is None else int(pool.rpartition("+")[2])


def source_files(collection: dict[str, Any]) -> list[str]:
    """The local files that a collection is read from: a change in one makes it anew."""
    files = source_kind(collection["source"]).files(collection["path"])
    return sorted({split_member(file)[0] for _, file in files})


def local_files(source: str) -> list[str]:
    """The files of a checkpoint folder; none for a hub id, which has versions of its own."""
    if not is_folder(source):
        return []
    kinds = (".json", ".txt", ".safetensors", ".bin", ".model")
    return sorted(str(file) for file in Path(source).expanduser().iterdir() if file.suffix in kinds)


def released_files(place: str) -> list[str]:
    """The same, and the settings of the steps that modules.json names, which lie in folders of their own."""
    files = local_files(place)
    return sorted([*files, *map(str, Path(place).expanduser().glob("*_*/config.json"))]) if files else []


def own_files(study: dict[str, Any]) -> list[str]:
    """All files of the user that the study reads."""
    encoders = [study["miner"]["encoder"], *(model.get("checkpoint", "") for model in study["models"])]
    encoders += [source or "" for _, source in (tokenizer_of(study, model) for model in study["models"])]
    encoders += [teacher.get("model") or "" for teacher in teachers.teachers(study).values()]
    taught = [file for teacher in teachers.teachers(study).values() for file in teachers.own_files(teacher)]
    read = [file for one in (study["collection"], *study["evaluation"]["collections"]) for file in source_files(one)]
    runs = [run["path"] for run in study["evaluation"]["references"]["runs"]]
    return sorted({*read, *taught, *runs, *(file for place in encoders for file in local_files(place))})


def snapshot_sizes(training: dict[str, Any]) -> list[int | None]:
    """The subsets whose runs publish snapshots."""
    wanted = training["snapshots"]["train_queries"]
    if wanted == "every":
        return training["train_queries"]
    return [largest_size(training) if wanted == "largest" else wanted]


def largest_subset(chosen: Iterable[RunId]) -> str:
    """The name of the largest subset that any of the runs has; all is larger than any number."""
    return max((run.subset for run in chosen), key=lambda name: float("inf") if name == "all" else int(name))


def on_own_largest(chosen: list[RunId]) -> list[RunId]:
    """Of each model the runs on the largest subset that it has."""
    largest = {
        model: largest_subset(run for run in chosen if run.model == model) for model in {r.model for r in chosen}
    }
    return [run for run in chosen if run.subset == largest[run.model]]


def searching(study: dict[str, Any]) -> list[RunId]:
    """The runs whose checkpoints search the whole collection: all, those on the largest subset, or none."""
    retrieval = study["evaluation"]["full_retrieval"]
    largest = subset_name(largest_size(study["training"]))
    every = retrieval and retrieval.get("runs", "all") == "all"
    return [run for run in runs(study) if every or run.subset == largest] if retrieval else []


def largest_size(training: dict[str, Any]) -> int | None:
    """The largest subset; null, all, is larger than any number."""
    return max(training["train_queries"], key=lambda size: float("inf") if size is None else size)
