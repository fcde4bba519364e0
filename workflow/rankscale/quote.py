"""What a study will cost before anything is launched: jobs, device hours, disk, and what is already there.

Jobs are those of Snakemake's own dry run. FLOPs are counted from the config and the collection, if it is there already;
hours follow from a device's rate: a named one at a share of its peak, or the measured one of a finished study.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tabulate import tabulate

from rankscale import config as configs
from rankscale import study as studies
from rankscale import tables
from rankscale.errors import StudyError
from rankscale.planning import Prices, throughput

# Dense 16-bit matrix products a second, by the makers' data sheets.
PEAKS = {"v100": 1.25e14, "a100": 3.12e14, "l40s": 3.62e14, "rtx4090": 1.65e14, "h100": 9.89e14, "h200": 9.89e14}
# MS MARCO passage and its judged queries.
COUNTS = {"documents": 8_841_823, "train": 502_939, "dev": 55_578, "dev_small": 6_980, "dl_2019": 43, "dl_2020": 54}
FILLED = {"passage": 0.6, "query": 0.4}  # of the cut, where no tokens are there to be counted: MS MARCO's shares
BYTES = 4


def dry_run(arguments: list[str], everything: bool = False) -> dict[str, int]:
    """How many jobs of each stage Snakemake would run. Raises StudyError with its message if it cannot say."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", *(["--forceall"] if everything else [])]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr + done.stdout).splitlines()
        lines = [line for line in said if line.strip() and not line.startswith("Using ")]
        raise StudyError(lines[-1] if lines else "the dry run failed")
    block = re.search(r"job +count\n[- ]+\n(.*?)\ntotal", done.stdout + done.stderr, re.DOTALL)
    rows = [line.split() for line in block[1].splitlines()] if block else []
    counts: dict[str, int] = {}
    for name, count in rows:
        if name != "all":
            stage = name.removesuffix("_with_snapshots")
            counts[stage] = counts.get(stage, 0) + int(count)
    return counts


def shape(model: dict[str, Any]) -> tuple[int, int] | None:
    """Layers and hidden size of a model, None where they cannot be told without fetching it."""
    if "layers" in model:
        return model["layers"], model["hidden"]
    for text in (model["checkpoint"], model["name"]):
        found = re.search(r"L-?(\d+)[_-]?H-?(\d+)", text)
        if found:
            return int(found[1]), int(found[2])
    return None


def sizes(study: dict[str, Any], results: Path) -> dict[str, float]:
    """Documents, training and evaluated queries, and mean tokens of each: of the collection where it is there."""
    collection, training = study["collection"], study["training"]
    shared = results / "shared" / collection["name"]
    found = {kind: FILLED[kind] * training[f"{kind}_length"] for kind in FILLED}
    if (shared / "queries.parquet").exists():
        qrels = tables.read("qrels", shared / "qrels.parquet", ["split", "query_id"]).to_pandas()
        asked = qrels.groupby("split").query_id.nunique()
        found["documents"] = tables.count(shared / "documents.parquet")
        found["train"] = float(asked.get(collection["splits"]["train"], 0))
        found["test"] = float(asked[asked.index.isin(collection["splits"]["test"])].sum())
        for kind, name in (("passage", "documents"), ("query", "queries")):
            for path in sorted(shared.glob(f"tokens/*/{name}.parquet"))[:1]:
                part = next(tables.scan("tokens", path, ["ids"]))["ids"].combine_chunks()
                lengths = np.diff(part.offsets.to_numpy()) + 2  # the first and the last token
                found[kind] = float(np.minimum(lengths, training[f"{kind}_length"]).mean())
    elif collection["source"] == "msmarco-passage":
        found |= {"documents": COUNTS["documents"], "train": COUNTS["train"]}
        found["test"] = sum(COUNTS[split] for split in collection["splits"]["test"])
    else:
        raise StudyError(
            f"{shared}: the collection is not there yet, so nothing can be counted; first: snakemake collection"
        )
    return found


def flops(study: dict[str, Any], size: dict[str, float]) -> list[tuple[str, float, float]]:
    """Stage, encoder parameters and FLOPs of each training run and each evaluated checkpoint that can be told."""
    training, retrieval = study["training"], study["evaluation"]["full_retrieval"]
    models = {model["name"]: model for model in study["models"]}
    kinds = study["evaluation"]["candidates"].values()
    needed = min(size["documents"], size["test"] * (1 + sum(kinds)))
    if retrieval:
        pool = studies.pool_sample(study)
        mined = size["test"] * study["miner"]["top_k"]
        needed = size["documents"] if pool is None else min(size["documents"], pool + mined)
    snapshots, found = studies.snapshots(study), []
    for run in studies.runs(study):
        told = shape(models[run.model])
        if told is None:
            continue
        layers, hidden = told
        parameters = layers * (12 * hidden**2 + 13 * hidden)

        def token(length: float, layers: int = layers, hidden: int = hidden, parameters: int = parameters) -> float:
            return 2 * parameters + 4 * layers * hidden * length

        queries = (size["train"] if run.subset == "all" else int(run.subset)) * training["epochs"]
        texts = {"query": 1, "passage": 1 + training["negatives_per_query"]}
        work = sum(n * size[kind] * token(size[kind]) for kind, n in texts.items())
        found.append(("train", parameters, 3 * queries * work))
        once = needed * size["passage"] * token(size["passage"]) + size["test"] * size["query"] * token(size["query"])
        once += 2 * size["test"] * needed * (training["output_dim"] or hidden)
        found += [("retrieve", parameters, once)] * (1 + len(snapshots.get(run, [])))
    return found


def disk(study: dict[str, Any], size: dict[str, float]) -> dict[str, float]:
    """Bytes of what is large, once all is done."""
    training, retrieval = study["training"], study["evaluation"]["full_retrieval"]
    checkpoints = sum(1 + len(studies.snapshots(study).get(run, [])) for run in studies.runs(study))
    weights = 0.0
    models = {model["name"]: model for model in study["models"]}
    for run in studies.runs(study):
        told = shape(models[run.model])
        if told:
            layers, hidden = told
            inside = layers * (12 * hidden**2 + 13 * hidden) + hidden * (training["output_dim"] or 0)
            words = study["tokenizer"]["vocabulary"] if "layers" in models[run.model] else 30522
            weights += BYTES * (inside + words * hidden) * (1 + len(studies.snapshots(study).get(run, [])))
    mined = study["miner"]["top_k"] * 8 * (size["train"] + size["test"])
    kinds = len(study["evaluation"]["candidates"])
    return {
        "token ids": 2 * (size["documents"] * size["passage"] + size["train"] * size["query"]),
        "negatives": 0.0 if training["negatives"] == "random" else mined,
        "checkpoints": weights,
        # Scores and ids of strings, as zstd leaves them.
        "runs": checkpoints * size["test"] * (retrieval["top_k"] if retrieval else 0) * 9,
        "observations": checkpoints * size["test"] * kinds * 40,
    }


def rate_of(args: argparse.Namespace, parameters: np.ndarray) -> np.ndarray:
    """FLOP/s at each size: of the device, or as measured in a finished study. Raises StudyError without either."""
    if args.like:
        metrics = tables.read("metrics", args.like / "metrics.parquet").to_pandas()
        finals = metrics[(metrics.checkpoint == "final") & (metrics.status == "finished")]
        split = finals[(finals.split == finals.split.iloc[0]) & (finals.candidates == finals.candidates.iloc[0])]
        made = throughput(split, args.like, Prices(0, 0, 0, 0))
        return np.exp(np.interp(np.log(parameters), np.log(made.sizes), np.log(made.rates)))
    if args.device:
        return np.full(len(parameters), PEAKS[args.device] * args.share)
    raise StudyError("hours need a rate: give --device and --share, or --like with the folder of a finished study")


def main(args: argparse.Namespace) -> None:
    """Print the quote."""
    files = args.configfile or Path("config.yaml")
    try:
        text = files.read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{files}: cannot be read ({error.strerror})") from None
    study = configs.check(yaml.safe_load(text))
    asked = [*args.targets, *(["--configfile", str(args.configfile)] if args.configfile else [])]
    whole, left = dry_run(asked, everything=True), dry_run(asked)
    size = sizes(study, Path("results"))
    work = flops(study, size)
    hours: dict[str, float] = {}
    if work and (args.device or args.like):
        rates = rate_of(args, np.array([parameters for _, parameters, _ in work], float))
        for (stage, _, count), rate in zip(work, rates, strict=True):
            hours[stage] = hours.get(stage, 0) + count / rate / 3600
    rows = []
    for stage, jobs in whole.items():
        each = sum(1 for name, *_ in work if name == stage)
        row = {"stage": stage, "jobs": jobs, "to run": left.get(stage, 0)}
        row["FLOPs"] = f"{sum(c for name, _, c in work if name == stage):.2g}" if each else ""
        row["device hours"] = f"{hours[stage]:.3g}" if stage in hours else ""
        row["of them left"] = f"{hours[stage] * left.get(stage, 0) / jobs:.3g}" if stage in hours else ""
        rows.append(row)
    print(f"Study {study['study']}: {sum(whole.values())} jobs, {sum(left.values())} to run\n")
    print(tabulate(rows, headers="keys", disable_numparse=True))
    unknown = sorted({m["name"] for m in study["models"] if shape(m) is None})
    if unknown:
        print(f"\nNot counted, their size is unknown before they are fetched: {', '.join(unknown)}")
    if hours:
        how = f"as measured in {args.like}" if args.like else f"{args.device} at {args.share:.0%} of its peak, assumed"
        print(f"\nDevice hours of training and evaluation: {sum(hours.values()):.3g} ({how}).")
        print("Encoding the collection and mining come on top (docs/scale.md); pools are counted at their most.")
    used = disk(study, size)
    print("\nDisk once all is done: " + ", ".join(f"{name} {_bytes(value)}" for name, value in used.items()))
    there = sum(f.stat().st_size for f in Path("results").rglob("*") if f.is_file())
    print("(and the collection's files, its downloads and the miner's vectors: docs/scale.md)")
    print(f"In all {_bytes(sum(used.values()))}; in results/ now: {_bytes(there)}")


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m rankscale.quote", description=__doc__)
    made.add_argument("targets", nargs="*", help="as for snakemake; without any, the whole study")
    made.add_argument("--configfile", type=Path, help="the study's; without it config.yaml")
    made.add_argument("--device", choices=PEAKS, help="whose peak the rate is a share of")
    made.add_argument("--share", type=float, default=0.2, help="of the peak that training reaches (0.2)")
    made.add_argument("--like", type=Path, help="a finished study's folder, whose measured rates are taken")
    return made


if __name__ == "__main__":
    try:
        main(arguments().parse_args())
    except StudyError as error:
        sys.exit(f"quote: {error}")
