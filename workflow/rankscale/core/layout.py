"""Where everything of a study lies: the only module that knows how paths are made of keys.

A path's parts are the values of keys, or Snakemake's wildcards for them: `layout.checkpoint(WILDCARDS, "{checkpoint}")`
is the pattern of all checkpoints. Tables hold the keys as columns; from a path they are read back only to be compared.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

from pathlib import Path
from typing import Any, NamedTuple

RESULTS = "results"
BASE = "base"  # the variant of a study that trains in one way
FINAL = "final"  # the checkpoint at the end of a training
# What a training publishes, and which of it comes last: where that is, all is.
PUBLISHED = ("final.safetensors", "training.parquet", "times.parquet", "checkpoints.parquet")

# The kinds of tables of a checkpoint on a collection, each a folder of the study.
EVALUATED = ("observations", "runs", "scores", "per_query")


class RunId(NamedTuple):
    """One training run, by the names that stand in its paths."""

    variant: str
    model: str
    subset: str
    seed: int | str

    def __str__(self) -> str:
        return "/".join(map(str, self))


def run_of(row: Any) -> RunId:
    """The run of a row of the metrics table."""
    return RunId(row.variant, row.model, row.subset, row.seed)


def run_folder(study: str | Path, run: RunId) -> str:
    """The folder of one training run below a study's folder."""
    return f"{study}/models/{run}"


def table_path(study: str | Path, kind: str, collection: str, run: RunId, checkpoint: str) -> str:
    """A checkpoint's table of one kind, of EVALUATED, on a collection."""
    return f"{study}/{kind}/{collection}/{run}/{checkpoint}.parquet"


def promised_keys(path: str | Path) -> dict[str, str | int]:
    """What the path of a run's or a checkpoint's file says of its content, by the names of key columns.

    With `study` the name of the folder that it lies in; `subset` and `checkpoint` say `train_queries` and `step` where
    they are numbers. Nothing for any other path.
    """
    *folders, name = Path(path).parts
    stem, _, suffix = name.rpartition(".")
    if len(folders) > 6 and folders[-6] in EVALUATED and suffix == "parquet":
        study, _, collection, *run = folders[-7:]
        keys: dict[str, str | int] = {"collection": collection, "checkpoint": stem}
    elif len(folders) > 5 and folders[-5] == "models" and (suffix == "safetensors" or name in PUBLISHED):
        study, _, *run = folders[-6:]
        keys = {} if name in PUBLISHED[1:] else {"checkpoint": stem}
    else:
        return {}
    keys |= {"study": study, **RunId(*run)._asdict()}
    if not (run[-1].isdecimal() and (run[-2] == "all" or run[-2].isdecimal())):
        return {}
    for number, named in (("train_queries", run[-2]), ("step", str(keys.get("checkpoint")))):
        keys |= {number: int(named)} if named.isdecimal() else {}
    return {**keys, "seed": int(run[-1])}


WILDCARDS = RunId("{variant}", "{model}", "{train_queries}", "{seed}")


class Layout(NamedTuple):
    """The folders of one study: its own, its training collection's, and its miner's; all below `root`."""

    study: str
    collection: str
    miner: str
    partial: bool = False
    root: str = RESULTS

    @classmethod
    def of(cls, config: dict[str, Any], root: str = RESULTS) -> "Layout":
        """That of a checked config."""
        return cls(config["study"], config["collection"]["name"], config["miner"]["name"], config["partial"], root)

    @property
    def own(self) -> str:
        """The study's folder."""
        return f"{self.root}/{self.study}"

    @property
    def together(self) -> str:
        """Where lies what is made of all runs together; of the finished ones alone it lies apart."""
        return f"{self.own}/partial" if self.partial else self.own

    @property
    def shared(self) -> str:
        """The folder of the training collection, which other studies may share."""
        return f"{self.root}/shared/{self.collection}"

    @property
    def mined(self) -> str:
        """The folder of the miner's vectors and negatives."""
        return f"{self.shared}/{self.miner}"

    def teacher(self, name: str) -> str:
        """A teacher's scores of the training queries."""
        return f"{self.mined}/teachers/{name}.parquet"

    def tokens(self, tokenizer: str) -> str:
        """The folder of the collection's token ids by one tokenizer."""
        return f"{self.shared}/tokens/{tokenizer}"

    def run(self, run: RunId) -> str:
        """The folder of one training run."""
        return run_folder(self.own, run)

    def checkpoint(self, run: RunId, checkpoint: str) -> str:
        """The weights of one checkpoint."""
        return f"{self.run(run)}/{checkpoint}.safetensors"

    def table(self, kind: str, run: RunId, checkpoint: str, collection: str | None = None) -> str:
        """A checkpoint's table of one kind on a collection; the training one unless it is named."""
        return table_path(self.own, kind, collection or self.collection, run, checkpoint)

    def candidates(self, collection: str | None = None) -> str:
        """What every checkpoint is scored against on a collection."""
        return f"{self.own}/candidates/{collection or self.collection}.parquet"

    def pool(self, collection: str | None = None) -> str:
        """The rows of a collection that a pooled retrieval searches."""
        return f"{self.own}/pool/{collection or self.collection}.parquet"

    def reference(self, name: str, collection: str | None = None) -> str:
        """How a ranking that nothing was trained for does on a collection."""
        return f"{self.own}/references/{collection or self.collection}/{name}.parquet"

    def shortlists(self, collection: str | None = None) -> str:
        """The miner's run of a collection's evaluated queries, which rankers rerank that cannot search."""
        return f"{self.own}/shortlists/{collection or self.collection}.parquet"

    def job_of(self, file: str) -> str:
        """What tells the jobs of a checkpoint's evaluation apart by a table that one makes."""
        return file.removeprefix(f"{self.own}/").partition("/")[2]

    def log(self, stage: str, *keys: object) -> str:
        """The log of one of the study's jobs."""
        return f"{self.own}/logs/{'/'.join(map(str, (stage, *keys)))}.log"

    def evaluation_log(self, stage: str, run: RunId, checkpoint: str, collection: str | None = None) -> str:
        """The log of the evaluation of one checkpoint on a collection."""
        return self.log(stage, collection or self.collection, run, checkpoint)

    def together_log(self, stage: str) -> str:
        """The log of a stage that takes all runs together."""
        return f"{self.together}/logs/{stage}.log"

    def shared_log(self, stage: str, *keys: object) -> str:
        """The log of a job that others may share, of the collection."""
        return f"{self.shared}/logs/{'/'.join(map(str, (stage, *keys)))}.log"

    def mined_log(self, stage: str, shard: object) -> str:
        """The log of a shard of the miner's."""
        return f"{self.mined}/logs/{stage}/{shard}.log"

    @property
    def hub(self) -> str:
        """The folder that records what was fetched ahead, for all studies."""
        return f"{self.root}/shared/hub"

    def hub_log(self, name: str) -> str:
        """The log of a model fetched ahead."""
        return f"{self.hub}/logs/{name}.log"
