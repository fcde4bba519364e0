"""A finished run of a study with all that is known of it: what was trained, how, on what, and what it came to."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from rankscale.core.errors import StudyError
from rankscale.core.layout import FINAL, Layout, RunId, promised_keys
from rankscale.storage import tables
from rankscale.study import grid, variants

TABLES = ("metrics", "fits", "forecasts", "influence", "verdicts")


class FinishedStudy(NamedTuple):
    """A finished study: its folder, its record, and its tables by name."""

    folder: Path
    record: dict[str, Any]
    tables: dict[str, pd.DataFrame]

    @property
    def config(self) -> dict[str, Any]:
        """The config that it was made with."""
        return self.record["config"]

    @property
    def layout(self) -> Layout:
        """Where its files lie."""
        return Layout.of(self.config, str(self.folder.parent))

    def runs(self) -> Iterator[RunId]:
        """Its runs that finished, in the order of the metrics."""
        ends = self.tables["metrics"]
        ends = ends[(ends.checkpoint == FINAL) & (ends.status == "finished")]
        for row in ends.drop_duplicates(["variant", "model", "subset", "seed"]).itertuples():
            yield RunId(row.variant, row.model, row.subset, int(row.seed))

    def model_of(self, run: RunId) -> dict[str, Any]:
        """The entry of the config's `models` that a run trains. Raises StudyError where there is none."""
        for model in self.config["models"]:
            if model["name"] == run.model:
                return model
        raise StudyError(f"{self.folder}: the study has no model {run.model}")

    def tokenizer_of(self, run: RunId) -> Path:
        """The folder of a run's tokenizer."""
        return Path(self.layout.tokens(grid.tokenizer_of(self.config, self.model_of(run))[0]))

    def training_of(self, run: RunId) -> dict[str, Any]:
        """The section `training` as a run's variant has it, with the model's own learning rate."""
        training = dict(variants.study_of(self.config, run.variant)["training"])
        rate = training["learning_rate"]
        training["learning_rate"] = rate[run.model] if isinstance(rate, dict) else rate
        return training

    def metrics_of(self, run: RunId, checkpoint: str) -> pd.DataFrame:
        """The rows of the metrics of one checkpoint. Raises StudyError where there are none."""
        rows = self.tables["metrics"]
        rows = rows[(rows.checkpoint == checkpoint) & (rows.status == "finished")]
        for name, value in run._asdict().items():
            rows = rows[rows[name] == value]
        if rows.empty:
            raise StudyError(
                f"{self.folder}/metrics.parquet: has no finished checkpoint {checkpoint} of {run}: it diverged, is "
                "not evaluated yet, or has another name"
            )
        return rows


def read_finished(folder: Path) -> FinishedStudy:
    """The finished study in a folder. Raises StudyError where its tables or its record are missing."""
    path = folder / "provenance.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        config = record["config"]
    except FileNotFoundError:
        raise StudyError(
            f"{path}: there is no such file: name the folder of a finished study, or of one of its runs "
            "(results/STUDY/models/VARIANT/MODEL/TRAIN_QUERIES/SEED)"
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise StudyError(f"{path}: cannot be read ({error!r}); delete it and ask Snakemake for it") from error
    paths = {name: folder / f"{name}.parquet" for name in TABLES}
    read = tables.read_study(paths, config["study"])
    return FinishedStudy(folder, record, {name: table.to_pandas() for name, table in read.items()})


def run_of_folder(folder: Path) -> tuple[Path, RunId]:
    """The study's folder and the run whose folder is given. Raises StudyError for any other folder."""
    path = folder.resolve()
    keys = promised_keys(path / f"{FINAL}.safetensors")
    if not keys:
        raise StudyError(
            f"{folder}: is no folder of a run, results/STUDY/models/VARIANT/MODEL/TRAIN_QUERIES/SEED; "
            "--all exports every run of a study's folder"
        )
    if not path.is_dir():
        raise StudyError(f"{folder}: there is no such folder")
    return path.parents[4], RunId(*(keys[name] for name in RunId._fields))  # type: ignore[arg-type]
