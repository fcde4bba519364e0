"""What the stages `encode`, `mine` and `teach` are told: the config's section `miner`, teachers, and what they run on.

Imported by the Snakefile, so nothing heavy here.
"""

from dataclasses import dataclass

from rankscale.core.options import option


@dataclass(frozen=True)
class EncodeOptions:
    """How texts become vectors, and which shard of them."""

    encoder: str = option("lsa", help="lsa, a hub id or a folder")
    pooling: str = option("mean", choices=["cls", "mean"], help="of a transformer's token vectors")
    normalize: bool = option(True, help="scale a transformer's vectors to length 1")
    query_prefix: str = option("", help="put before each query")
    passage_prefix: str = option("", help="put before each passage")
    query_length: int = option(64, help="tokens, special ones included")
    passage_length: int = option(256, help="tokens, special ones included")
    precision: str = option("auto", choices=["auto", "fp32", "bf16", "fp16"], help="of a transformer's products")
    shards: int = option(1, help="encode the collection in so many parts")
    threads: int = option(1, help="of torch; another number gives other rounding")
    shard: int = option(0, help="which of the parts, from 0")
    device: str = option("auto", help="auto, cpu or cuda", in_result=False)


@dataclass(frozen=True)
class MineOptions:
    """How many negatives are kept, and which documents are none."""

    top_k: int = option(200, help="kept per query after positives are removed")
    range_min: int = option(0, help="leave out each query's nearest so many")
    range_max: int | None = option(None, help="look no further than this rank; default: range-min + top-k")
    absolute_margin: float | None = option(None, help="keep what scores so much below the positive")
    relative_margin: float | None = option(None, help="the same, as a share of the positive's score")
    max_score: float | None = option(None, help="leave out what scores higher")
    short: str = option("refuse", choices=["refuse", "fill"], help="what to do with a short list")
    threads: int = option(1, help="of the search")
    seed: int = option(0, help="of what short lists are filled with")
    device: str = option("auto", help="auto, cpu or cuda", in_result=False)


@dataclass(frozen=True)
class ShortlistOptions:
    """How deep the miner's run of the evaluated queries is."""

    depth: int = option(100, help="documents a query")
    splits: list[str] = option(["test"], help="of the queries to evaluate")
    threads: int = option(1, help="of the search")
    device: str = option("auto", help="auto, cpu or cuda", in_result=False)


@dataclass(frozen=True)
class TeachOptions(EncodeOptions):
    """Who scores the training queries, and which part of them; how a model that others trained reads texts."""

    teacher: str = option("miner", choices=["miner", "checkpoint", "file", "bi_encoder", "cross_encoder"])
    split: str = option("train", help="whose queries are scored")
    top_k: int | None = option(None, help="score so many of each mined list, the nearest")
