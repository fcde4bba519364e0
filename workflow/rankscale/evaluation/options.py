"""What the stages `sample` and `retrieve` are told: their part of the config's section `evaluation`.

Imported by the Snakefile, so nothing heavy here.
"""

from dataclasses import dataclass

from rankscale.core.options import option


@dataclass(frozen=True)
class SampleOptions:
    """Which queries are evaluated, and how many candidates each is scored against."""

    hard: int = option(0, help="candidates per query from its mined list")
    random: int = option(0, help="candidates per query from the pool")
    random_pool: int = option(100_000, help="documents in the pool; all that are free if there are fewer")
    seed: int = option(7, help="of the candidates and the pools")
    splits: list[str] = option(["test"], help="of the queries to evaluate")
    train_split: str | None = option(None, help="whose queries must not be among the evaluated")
    pool_sample: int = option(0, help="documents of a pooled retrieval that are neither judged nor mined")


@dataclass(frozen=True)
class RetrieveOptions:
    """How deep the run is, and how exactly the encoder computes."""

    top_k: int = option(1000, help="depth of the run")
    precision: str = option("fp32", choices=["fp32", "bf16", "fp16"], help="of the encoder's products")
    threads: int = option(1, help="of torch; another number gives other rounding")
    device: str = option("auto", help="auto, cpu or cuda", in_result=False)
