"""The options of a training run: its command line, its defaults, what the rule passes, what a saved state is bound to.

Imported by the Snakefile, so nothing heavy here.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rankscale.core.cli import count, expanded_path, positive, within
from rankscale.core.errors import StudyError
from rankscale.core.options import option, result_settings
from rankscale.models.options import ModelOptions

MINED = ("mined", "annealed", "mixed")
NEGATIVES = (*MINED, *(f"{source}+in_batch" for source in MINED), "random")


# Options that tell the runs of a variant apart, or change the last bits only.
OF_ONE_RUN = ("train_queries", "learning_rate", "snapshots", "threads", "micro_batch")


def subset(text: str) -> int | None:
    """A number of queries, or all."""
    return None if text == "all" else int(count(text))


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ModelOptions):
    """One training run: model and seed, examples, loss, steps; the folders and the machine, which change no result.

    The result depends on what lies in the folders, not on their names: the fingerprint holds the contents.
    """

    collection: Path = option(in_result=False, help="folder of queries, documents, qrels")
    tokens: Path = option(in_result=False, help="folder of token ids")
    mined: list[Path] = option([], in_result=False, help="tables of mined negatives, if needed")
    split: str = option("train")
    train_queries: int | None = option(None, read=subset, help="so many, or all")
    subsets: str = option("nested", choices=["nested", "first"])
    miner_scores: list[Path] = option([], in_result=False, help="the miner's scores of positives too, if needed")
    teacher_scores: list[Path] = option([], in_result=False, help="a teacher's scores, if needed")
    consistency_filter: int | None = option(
        None, read=count, help="train on positives only that the miner finds within so many"
    )
    negatives: str = option("mined", choices=NEGATIVES)
    negatives_per_query: int = option(1, read=count)
    annealing_start: float = option(0.05, read=positive, help="temperature of the first draws of annealed negatives")
    annealing_end: float = option(0.001, read=positive, help="and of the last")
    objective: str = option("infonce", help="the loss, of training.objectives")
    objective_parameters: str | None = option(None, help="the loss's own parameters, a JSON object")
    curriculum: dict | None = option(None, read=json.loads, help="weights by pass and miner, a JSON object")
    propensity: dict | None = option(None, read=json.loads, help="weights by the miner's rank, a JSON object")
    loss_reweighting: float | None = option(None, read=float, help="temperature of weights by a query's own loss")
    batch_size: int = option(32, read=count, help="queries a step")
    micro_batch: int | None = option(None, read=count, help="queries a forward pass; fewer need less memory")
    epochs: int = option(3, read=count, help="passes over the subset, unless --steps is given")
    steps: int | None = option(None, read=count, help="so many steps, in as many passes as they take")
    average: float | None = option(
        None, read=within(0, 1, above=True), help="publish the mean of the weights over this last share of the steps"
    )
    learning_rate: float = option(read=positive)
    schedule: str = option("constant", choices=["constant", "linear", "cosine"])
    warmup: float = option(0.0, read=within(0, 1), help="share of the steps")
    weight_decay: float = option(0.0, read=within(0, 1e6))
    clip: float | None = option(None, read=positive, help="largest norm of a step's gradient")
    inverse_temperature: float = option(1.0, read=positive, help="multiplies the scores in the loss")
    learned_temperature: bool = option(False, help="train it, from the inverse temperature given")
    divergence: float = option(
        5.0, read=within(1, 1e30, above=True), help="stop at a loss so many times the first ones"
    )
    precision: str = option("fp32", choices=["fp32", "bf16", "fp16"], help="of matrix products")
    snapshots: list[int] = option([], read=count, help="steps to save besides the end")
    threads: int = option(1, read=within(1, 1024, int), help="of torch; another number gives other rounding")
    device: str = option("auto", in_result=False, choices=["auto", "cpu", "cuda"])
    save_seconds: float = option(120.0, read=within(0, 1e9), in_result=False, help="keep the state every so often")
    save_steps: int | None = option(None, read=count, in_result=False, help="or every so many steps")
    scratch: Path = option(
        read=expanded_path, in_result=False, help="folder for what is not finished yet; $NAME is taken from the job"
    )
    output: Path = option(in_result=False, help="folder of the run")

    @property
    def recipe(self) -> dict[str, Any]:
        """What all runs of a variant share: not the model and its learning rate, the subset and the seed."""
        own = {name for name in TrainOptions.__annotations__ if name not in OF_ONE_RUN}
        return {name: value for name, value in result_settings(self).items() if name in own}

    @property
    def in_batch(self) -> bool:
        """Whether the passages of the whole batch are each query's negatives."""
        return self.negatives.endswith("+in_batch")

    @property
    def source(self) -> str:
        """Where a query's own negatives come from: mined, annealed, mixed or random."""
        return self.negatives.removesuffix("+in_batch")

    @property
    def reads_mined(self) -> bool:
        """Whether it reads the miner's lists."""
        return self.source != "random"

    @property
    def drawn(self) -> int:
        """How many negatives of a query are drawn before its step."""
        return self.negatives_per_query

    @property
    def mixtures(self) -> int:
        """How many interpolated negatives a query has."""
        return self.negatives_per_query if self.source == "mixed" else 0

    @property
    def subset_name(self) -> str:
        """The training subset as paths and tables name it."""
        return "all" if self.train_queries is None else str(self.train_queries)

    def refuse_folders(self) -> None:
        """Raise StudyError for folders that are one, and OSError for such as cannot be written."""
        output, scratch = self.output.resolve(), self.scratch.resolve()
        if output == scratch or scratch in output.parents or output in scratch.parents:
            raise StudyError(f"--scratch: {self.scratch} and --output {self.output} must lie apart; scratch is emptied")
        for folder in (self.output, self.scratch):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        files = (path for path in self.output.iterdir() if path.suffix in (".safetensors", ".parquet"))
        blocked = next((path for path in files if path.is_dir()), None)
        if blocked:
            raise StudyError(f"{blocked}: is a folder, where a file of this run is to be; move it away")
