"""Models of the finished small study, taken along: folders, cards, and what cannot be exported."""

import re

import numpy as np
import pytest

from rankscale.models.checkpoints import load_checkpoint
from rankscale.storage import tables
from tests.conftest import run, stage

RUN = "models/base/L1H16/1024/42"


@pytest.fixture(scope="module")
def ladder(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ladder") / "models"
    stage("export", study, "--all", "--output", folder)
    return folder


def test_every_run_of_the_ladder_is_a_folder_with_a_card(study, ladder):
    metrics = tables.read("metrics", study / "metrics.parquet").to_pandas()
    runs = metrics[["variant", "model", "subset", "seed"]].drop_duplicates().astype(str).agg("/".join, axis=1)
    assert {str(path.parent.relative_to(ladder)) for path in ladder.glob("*/*/*/*/README.md")} == set(runs)
    index = (ladder / "README.md").read_text()
    for link in re.findall(r"\]\(([^)]+)\)", index):
        assert (ladder / link).is_file()
    assert len(re.findall(r"^\| \[", index, re.MULTILINE)) == len(set(runs))


def test_a_card_has_the_numbers_of_the_tables(study, ladder):
    card = (ladder / "base/L1H16/1024/42/README.md").read_text()
    metrics = tables.read("metrics", study / "metrics.parquet").to_pandas()
    rows = metrics[(metrics.model == "L1H16") & (metrics.subset == "1024") & (metrics.checkpoint == "final")]
    row = rows[rows.candidates == "hard"].iloc[0]
    assert (
        f"| Rank-Entropy | {row.rank_entropy:.4g} [{row.rank_entropy_low:.4g}, {row.rank_entropy_high:.4g}] |" in card
    )
    assert "| learning_rate | `0.004` |" in card
    assert "they inherit no licence" in card
    influence = tables.read("influence", study / "influence.parquet").to_pandas()
    point = influence[
        (influence.axis == "model") & (influence.metric == "cross_entropy") & (influence.candidates == "hard")
    ]
    point = point[(point.model == "L1H16") & (point.fixed == "train_queries=1024") & (point.law == "line")].iloc[0]
    assert f"| Cross-entropy | line | {point.observed:.4g} | {point.fitted:.4g} |" in card


def test_sentence_transformers_gives_the_scores_that_the_study_saw(study, shared, ladder):
    library = pytest.importorskip("sentence_transformers", exc_type=ImportError)
    theirs = library.SentenceTransformer(str(ladder / "base/L1H16/1024/42"), device="cpu")
    found = tables.read("runs", study / "runs/docstrings/base/L1H16/1024/42/final.parquet").to_pandas()
    found = found[found["rank"] <= 5].head(100)
    texts = {
        unit: tables.read(unit, shared / f"{unit}.parquet").to_pandas().set_index(key)
        for unit, key in (("queries", "query_id"), ("documents", "doc_id"))
    }
    queries = theirs.encode_query(texts["queries"].text[found.query_id].tolist())
    passages = theirs.encode_document(texts["documents"].text[found.doc_id].tolist())
    np.testing.assert_allclose((queries * passages).sum(1), found.score, rtol=1e-5, atol=1e-5)


def test_a_snapshot_can_be_exported_and_other_things_cannot(study, ladder, tmp_path):
    stage("export", study / RUN, "--checkpoint", 20, "--output", tmp_path / "snapshot")
    card = (tmp_path / "snapshot/README.md").read_text()
    assert "after step 20, not the last ones" in card
    assert "lies before the end" in card
    assert load_checkpoint(study / RUN / "20.safetensors")[1]["step"] == 20
    for arguments, said in (
        ((study / RUN, "--checkpoint", 7), "has no finished checkpoint 7"),
        ((study / "models/base/L1H17/1024/42",), "there is no such folder"),
        ((study,), "is no folder of a run"),
        ((study / "figures", "--all"), "name the folder of a finished study"),
    ):
        done = stage("export", *arguments, "--output", tmp_path / "new", check=False)
        assert done.returncode == 1
        assert said in done.stdout, done.stdout
        assert not (tmp_path / "new").exists()
    done = stage("export", study / RUN, "--output", tmp_path / "snapshot", check=False)
    assert "is there already" in done.stdout
    again = run(["rankscale", "export", str(study), "--all", "--output", str(ladder)], tmp_path)
    assert "stays as it is" in again.stdout
