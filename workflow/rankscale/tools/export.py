"""Export a trained model, or with --all a study's whole ladder, for other libraries; nothing is uploaded.

Each model is a folder with weights, tokenizer, config and a card that is written from the study's tables. A bi-encoder
is loaded by `sentence_transformers.SentenceTransformer`.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from rankscale.core import atomic_files, cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.layout import FINAL, RunId
from rankscale.core.progress import progress
from rankscale.export.finished_run import FinishedStudy, read_finished, run_of_folder


def main(args: argparse.Namespace) -> None:
    """Write the folder of one model, or a folder of such folders."""
    if args.all:
        export_ladder(args.run, args.checkpoint, args.output)
        return
    folder, run = run_of_folder(args.run)
    if args.output.exists() and (not args.output.is_dir() or any(args.output.iterdir())):
        raise StudyError(f"{args.output}: is there already; name a new folder, or delete it first")
    export_run(read_finished(folder), run, args.checkpoint, args.output)
    log.info("%s: %s, with its card in README.md", args.output, run)


def export_ladder(folder: Path, checkpoint: str, output: Path) -> None:
    """Export every finished run of a study below `output`, by its keys; what is there already stays as it is."""
    study = read_finished(folder.resolve())
    runs = list(study.runs())
    lines = []
    for run in progress(runs, "export", "model"):
        if (output / str(run)).exists():
            log.info("%s: is there already, and stays as it is", output / str(run))
        else:
            export_run(study, run, checkpoint, output / str(run))
        row = study.metrics_of(run, checkpoint).iloc[0]
        cells = f"{row.encoder_parameters:,} | {row.train_queries:,} | {row.rank_entropy:.4f} | {row.mrr:.4f}"
        lines.append(f"| [{run}]({run}/README.md) | {cells} |")
    text = [
        f"# The ladder of the study {study.config['study']}\n",
        f"{len(runs)} models. Rank-Entropy (nats) and MRR on {row.split}, against {row.n_candidates} {row.candidates} "
        "candidates.\n",
        "| model | encoder parameters | training queries | Rank-Entropy | MRR |",
        "| --- | --- | --- | --- | --- |",
        *lines,
    ]
    with atomic_files.whole(output / "README.md") as beside:
        beside.write_text("\n".join(text) + "\n", encoding="utf-8")
    log.info("%s: %d models, listed in README.md", output, len(runs))


def export_run(study: FinishedStudy, run: RunId, checkpoint: str, output: Path) -> None:
    """Write the folder of one checkpoint, whole or not at all. Raises StudyError where it cannot be exported."""
    from rankscale.export.model_card import model_card
    from rankscale.export.registry import exporter_of
    from rankscale.models.checkpoints import load_checkpoint
    from rankscale.text.tokenizers import load

    study.metrics_of(run, checkpoint)  # complains first where there is none
    model, facts = load_checkpoint(Path(study.layout.checkpoint(run, checkpoint)))
    exporter = exporter_of(model.kind)
    tokenizer = load(study.tokenizer_of(run))
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        card = model_card(study, run, checkpoint, facts, exporter, output.name)
        exporter.write(model, facts, tokenizer, beside)
        (beside / "README.md").write_text(card, encoding="utf-8")
        readable(beside)
        os.replace(beside, output)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def readable(folder: Path) -> None:
    """Give what lies in a folder the rights of any new file: some writers make files that only their owner reads."""
    mask = os.umask(0)
    os.umask(mask)
    for path in (folder, *folder.rglob("*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def arguments() -> argparse.ArgumentParser:
    """The tool's command line."""
    parser = cli.command_parser("export", __doc__)
    parser.add_argument("run", type=Path, help="a run's folder below results/STUDY/models; with --all a study's")
    parser.add_argument("--output", type=Path, required=True, help="the new folder")
    parser.add_argument("--all", action="store_true", help="every finished run of the study")
    parser.add_argument("--checkpoint", default=FINAL, help="final, or the step of a snapshot")
    return parser
