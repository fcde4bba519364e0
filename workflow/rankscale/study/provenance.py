"""What a study was made with: versions, commit, config, collection, checksums, machines, hours, what was reused."""

import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

from rankscale.core import resource_usage
from rankscale.core.layout import Layout
from rankscale.core.paths import PROJECT
from rankscale.storage.digests import file_hash
from rankscale.storage.manifests import COLLECTED, refuse_changed
from rankscale.storage.schemas import UNFINISHED
from rankscale.study import grid, sharing, variants
from rankscale.study.teachers import teachers
from rankscale.study.test_sets.collections import asks_for_mined, each, further, vocabulary_on
from rankscale.study.test_sets.references import references

PACKAGES = (
    *("bm25s", "faiss-cpu", "faiss-gpu", "matplotlib", "numpy", "pandas", "pyarrow", "pytrec_eval-terrier"),
    *("safetensors", "scikit-learn", "scipy", "snakemake", "statsmodels", "tokenizers", "torch", "transformers"),
)
CODE = ("Snakefile", "workflow", "profiles")  # a study's own config file is no change of these
RUN = ("variant", "model", "subset", "seed")


def provenance(config: dict, manifest: Path, missing: list[dict]) -> dict[str, object]:
    """All of it, ready for JSON; `manifest` is the collection's, `missing` the runs that are in no table."""
    layout = Layout.of(config, str(manifest.parents[2]))
    refuse_changed(manifest, *COLLECTED)
    return {
        "rankscale": importlib.metadata.version("rankscale"),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": code_changed(),
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
        "config": config,
        "config_sha256": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
        "collection": json.loads(manifest.read_text(encoding="utf-8")),
        "further_collections": further_collections(config, layout),
        "checksums": {name: file_hash(manifest.parent / name) for name in COLLECTED},
        "teachers": taught(config, layout),
        "reused": reused(config, layout),
        "hardware": {
            "host": platform.node(),
            "machine": platform.machine(),
            "processor": _processor(),
            "system": platform.system(),
        },
        **resource_usage.total_usage(logs(config, layout, missing)),
    }


def further_collections(config: dict, layout: Layout) -> dict[str, dict]:
    """The manifests of the other collections that checkpoints are evaluated on, by name."""
    manifests = {name: Path(sharing.collected(layout._replace(collection=name))) for name in further(config)}
    for path in manifests.values():
        refuse_changed(path, *COLLECTED)
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in manifests.items()}


def code_changed() -> bool | None:
    """Whether the code differs from the commit; None where that cannot be told."""
    status = _git("status", "--porcelain", "--", *CODE)
    return None if status is None else bool(status)


def logs(config: dict, layout: Layout, missing: list[dict]) -> Iterator[Path]:
    """The logs of the jobs that made the study, but for those that draw it and say what it shows."""
    yield from map(Path, _logs(config, layout, {tuple(run[k] for k in RUN) for run in missing if unfinished(run)}))


def _logs(config: dict, layout: Layout, to_come: set[tuple]) -> Iterator[str]:
    yield layout.shared_log("collect")
    yield from map(layout.hub_log, grid.hub_ids(config))
    tokenizers = dict(grid.tokenizer_of(config, model) for model in config["models"])
    yield from (layout.shared_log("tokenize", name) for name in tokenizers)
    for shard in range(config["miner"]["shards"]) if grid.needs_miner(config) else ():
        yield from (layout.mined_log(stage, shard) for stage in ("encode", "mine"))
    yield from (layout.mined_log("teach", name) for name in teachers(config))
    for collection, one in further(config).items():
        elsewhere = layout._replace(collection=collection)
        yield elsewhere.shared_log("collect")
        yield from (elsewhere.shared_log("tokenize", vocabulary_on(config, collection, name)) for name in tokenizers)
        for shard in range(config["miner"]["shards"]) if asks_for_mined(one) else ():
            yield from (elsewhere.mined_log(stage, shard) for stage in ("encode", "mine"))
    yield from (layout.log("sample", collection) for collection in grid.collections(config))
    if grid.reranking(config):
        yield from (layout.log("shortlist", collection) for collection in grid.collections(config))
    for collection, one in each(config).items():
        yield from (layout.log("refer", collection, name) for name in references(one, collection))
    starts, trained = variants.starts(config), "adopt" if grid.is_untrained(config) else "train"
    for run, names in grid.checkpoints(config).items():
        if tuple(run) not in to_come:
            yield layout.log("refine" if run.variant in starts else trained, run)
            for collection in grid.collections(config):
                jobs = ((stage, name) for name in names for stage in ("retrieve", "score"))
                yield from (layout.evaluation_log(stage, run, name, collection) for stage, name in jobs)
    together = ["gather", "subsample", *(["slice"] if config["evaluation"]["slices"] else []), "fit"]
    yield from map(layout.together_log, [*together, *(["plan"] if config["plan"] else [])])


def unfinished(run: dict) -> bool:
    """Whether a row of the table of runs left out is one that is still to come."""
    return run["status"] == UNFINISHED


def reused(config: dict, layout: Layout) -> dict[str, str]:
    """Which shared folders another study made, and which one."""
    makers = {}
    for path in map(Path, sharing.shared_settings(config, layout)):
        if path.exists():
            maker = json.loads(path.read_text(encoding="utf-8"))["study"]
            if maker != config["study"]:
                makers[str(path.parent)] = maker
    return makers


def taught(config: dict, layout: Layout) -> dict[str, dict]:
    """The manifests of the study's teachers by name: what they are, a digest of their scores, and the FLOPs spent."""
    manifests = {name: Path(sharing.taught(layout, name)) for name in teachers(config)}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in manifests.items() if path.exists()}


def _git(*command: str) -> str | None:
    try:
        done = subprocess.run(["git", *command], capture_output=True, text=True, check=True, cwd=PROJECT)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()
