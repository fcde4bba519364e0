"""Own collections through the whole study by config alone: a BEIR folder and TSV files."""

import json

import pytest

from rankscale import tables
from tests.conftest import SMALL, clone, run

BEIR = "{name: mine, source: beir, path: data/beir, splits: {train: train, test: [test]}}"
TSV = """
  name: mine
  source: tsv
  path:
    corpus: data/corpus.tsv
    queries: {train: data/queries.tsv, test: data/queries.tsv}
    qrels: {train: data/qrels.train.tsv, test: data/qrels.test.tsv}
"""
ONE = "  - {name: L1H16, layers: 1, hidden: 16, heads: 2}\n"


@pytest.fixture(scope="module")
def folder(shared, tmp_path_factory):
    """A clone with the small collection written out in both formats."""
    folder = clone(tmp_path_factory.mktemp("own"))
    (folder / "data/beir/qrels").mkdir(parents=True)
    documents, queries, qrels = (
        tables.read(n, shared / f"{n}.parquet").to_pylist() for n in ("documents", "queries", "qrels")
    )
    some = {"corpus": documents, "queries": queries}
    for name, rows in some.items():
        key = "doc_id" if name == "corpus" else "query_id"
        lines = [json.dumps({"_id": row[key], "text": row["text"]}) + "\n" for row in rows]
        (folder / f"data/beir/{name}.jsonl").write_text("".join(lines))
        (folder / f"data/{name}.tsv").write_text("".join(f"{row[key]}\t{row['text']}\n" for row in rows))
    for split in ("train", "test"):
        judged = [row for row in qrels if row["split"] == split]
        beir = [f"{row['query_id']}\t{row['doc_id']}\t1\n" for row in judged]
        (folder / f"data/beir/qrels/{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(beir))
        trec = [f"{row['query_id']}\t0\t{row['doc_id']}\t1\n" for row in judged]
        (folder / f"data/qrels.{split}.tsv").write_text("".join(trec))
    return folder


@pytest.mark.parametrize(("name", "collection"), [("beir", BEIR), ("tsv", TSV)])
def test_a_whole_study_of_one_model_on_one_subset(folder, name, collection):
    embedded = next(line for line in SMALL.splitlines() if line.startswith("collection:"))
    config = SMALL.replace(embedded, f"collection: {collection}".replace("name: mine", f"name: {name}"))
    config = config.replace("study: demo", f"study: {name}").replace("[256, 512, 1024]", "[256]")
    kept = [line for line in config.splitlines(keepends=True) if "layers:" not in line or line == ONE]
    (folder / f"{name}.yaml").write_text("".join(kept).replace("steps: [1, 20]", "steps: []"))
    run(f"snakemake --cores 2 --configfile {name}.yaml", folder)
    metrics = tables.read("metrics", folder / f"results/{name}/metrics.parquet").to_pylist()
    assert [(row["candidates"], row["n_queries"]) for row in metrics] == [("hard", 400), ("random", 400)]
    # One point carries no law, and the study says so instead of failing.
    fits = tables.read("fits", folder / f"results/{name}/fits.parquet").to_pylist()
    assert not any(row["converged"] for row in fits)
    assert "cannot be told" in (folder / f"results/{name}/summary.md").read_text()


def test_both_formats_and_the_embedded_source_give_the_same_observations(folder):
    read = [
        tables.read("observations", folder / f"results/{name}/observations/L1H16/256/42/final.parquet")
        for name in ("beir", "tsv")
    ]
    assert read[0].equals(read[1])


def test_what_is_not_there_is_refused_before_any_job(folder):
    (folder / "gone.yaml").write_text((folder / "tsv.yaml").read_text().replace("data/corpus.tsv", "data/gone.tsv"))
    done = run("snakemake -n --cores 1 --configfile gone.yaml", folder, check=False)
    assert "collection.path.corpus: data/gone.tsv: there is no such file" in done.stdout
    (folder / "gone.yaml").write_text((folder / "beir.yaml").read_text().replace("data/beir,", "null,"))
    done = run("snakemake -n --cores 1 --configfile gone.yaml", folder, check=False)
    assert "collection.path: null does not fit source beir" in done.stdout
