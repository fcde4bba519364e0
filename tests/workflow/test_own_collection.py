"""Own collections through the whole study by config alone: a BEIR folder and TSV files."""

import json

import pyarrow.compute as pc
import pytest

from rankscale.storage import tables
from tests.conftest import SMALL, clone, run

BEIR = "{name: mine, source: beir, path: data/beir, splits: {train: train, test: [test]}}"
TSV = """
  name: mine
  source: tsv
  path:
    corpus: data/corpus.tsv
    queries: {train: data/queries.tsv, test: data/queries.tsv}
    qrels: {train: data/qrels.train.tsv, test: data/qrels.test.tsv, half: data/qrels.half.tsv}
  splits: {train: train, test: [test, half]} # two test sets side by side, one a part of the other
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
    units = {"corpus": documents, "queries": queries}
    for name, rows in units.items():
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
    (folder / "data/qrels.half.tsv").write_text("".join(trec[::2]))
    return folder


@pytest.mark.parametrize(("name", "collection"), [("beir", BEIR), ("tsv", TSV)])
def test_a_whole_study_of_one_model_on_one_subset(folder, name, collection):
    embedded = next(line for line in SMALL.splitlines() if line.startswith("collection:"))
    config = SMALL.replace(embedded, f"collection: {collection}".replace("name: mine", f"name: {name}"))
    config = config.replace("study: demo", f"study: {name}").replace("[256, 512, 1024]", "[256]")
    kept = [line for line in config.splitlines(keepends=True) if "layers:" not in line or line == ONE]
    config = "".join(kept).replace("steps: [1, 20]", "steps: []")
    if name == "tsv":
        config = config.replace("{top_k: 200}", "{top_k: 200, pool: judged+mined+300}")
    (folder / f"{name}.yaml").write_text(config)
    run(f"snakemake --cores 2 --configfile {name}.yaml", folder)
    metrics = tables.read("metrics", folder / f"results/{name}/metrics.parquet").to_pylist()
    counts = [(row["split"], row["candidates"], row["n_queries"]) for row in metrics]
    both = [("half", "hard", 200), ("half", "random", 200)] if name == "tsv" else []
    assert sorted(counts) == sorted([("test", "hard", 400), ("test", "random", 400), *both])
    # One point carries no law, and the study says so instead of failing.
    fits = tables.read("fits", folder / f"results/{name}/fits.parquet").to_pylist()
    assert not any(row["converged"] for row in fits)
    verdicts = tables.read("verdicts", folder / f"results/{name}/verdicts.parquet").to_pylist()
    assert {row["verdict"] for row in verdicts} == {"undecided"}
    text = (folder / f"results/{name}/summary.md").read_text()
    assert "no law for the known cells: all points are at one size" in text
    assert 'scales", on both axes: undecided: no law for the known cells: all points are at one size' in text


def test_both_formats_and_the_embedded_source_give_the_same_observations(folder):
    read = [
        tables.read("observations", folder / f"results/{name}/observations/{name}/base/L1H16/256/42/final.parquet")
        for name in ("beir", "tsv")
    ]
    tested = read[1].filter(pc.equal(read[1]["split"], "test"))
    key = [("query_id", "ascending"), ("candidates", "ascending")]
    both = [table.drop_columns(["collection"]).sort_by(key) for table in (read[0], tested)]
    assert both[0].equals(both[1])
    # A query of two test sets has one set of candidates, and so the same loss in both.
    losses = read[1].to_pandas().groupby(["query_id", "candidates"]).loss.agg(["nunique", "size"])
    assert (losses["nunique"] == 1).all()
    assert losses["size"].value_counts().to_dict() == {1: 400, 2: 400}


def test_pooled_retrieval_searches_its_pool_and_says_so(folder):
    study = folder / "results/tsv"
    documents = tables.read("documents", folder / "results/shared/tsv/documents.parquet")["doc_id"].to_numpy()
    pool = tables.read("pool", study / "pool/tsv.parquet")["row"].to_numpy()
    qrels = tables.read("qrels", folder / "results/shared/tsv/qrels.parquet").to_pandas()
    mined = tables.read("negatives", folder / "results/shared/tsv/lsa/negatives/0.parquet").to_pandas()
    tested = set(qrels[qrels.split == "test"].query_id)
    certain = set(qrels[qrels.split == "test"].row) | {
        r for q in mined.itertuples() if q.query_id in tested for r in q.rows
    }
    assert certain < set(pool)
    assert len(pool) == min(len(certain) + 300, len(documents))
    runs = [
        tables.read("runs", folder / f"results/{n}/runs/{n}/base/L1H16/256/42/final.parquet").to_pandas()
        for n in ("beir", "tsv")
    ]
    assert set(runs[1].doc_id) <= set(documents[pool])
    # The pooled run is the full one without the documents outside the pool, for as long as that one goes.
    for query, full in runs[0][runs[0].query_id.isin(sorted(tested)[:20])].groupby("query_id"):
        kept = [d for d in full.sort_values("rank").doc_id if d in set(documents[pool])]
        pooled = runs[1][(runs[1].query_id == query) & (runs[1].split == "test")].sort_values("rank").doc_id.tolist()
        assert pooled[: len(kept)] == kept
    retrieval = [
        set(tables.read("metrics", folder / f"results/{n}/metrics.parquet")["retrieval"].to_pylist())
        for n in ("beir", "tsv")
    ]
    assert retrieval == [{"full"}, {"pooled"}]
    for file in ("summary.md", "figures/metric_vs_mrr.svg"):
        assert "nDCG@10, pooled documents" in (study / file).read_text()
    assert "Retrieval is pooled" in (study / "summary.md").read_text()


def test_a_query_trained_on_and_tested_is_refused(folder):
    text = (folder / "tsv.yaml").read_text().replace("study: tsv", "study: both").replace("name: tsv", "name: both")
    text = text.replace("train: data/qrels.train.tsv", "train: data/qrels.both.tsv")
    (folder / "both.yaml").write_text(text)
    tested = (folder / "data/qrels.test.tsv").read_text().splitlines(keepends=True)[0]
    (folder / "data/qrels.both.tsv").write_text((folder / "data/qrels.train.tsv").read_text() + tested)
    done = run("snakemake results/both/candidates/both.parquet --cores 2 --configfile both.yaml", folder, check=False)
    assert f"query {tested.split()[0]} of split half is judged in the training split train too" in done.stdout


def test_what_is_not_there_is_refused_before_any_job(folder):
    (folder / "gone.yaml").write_text((folder / "tsv.yaml").read_text().replace("data/corpus.tsv", "data/gone.tsv"))
    done = run("snakemake -n --cores 1 --configfile gone.yaml", folder, check=False)
    assert "collection.path.corpus: data/gone.tsv: there is no such file" in done.stdout
    (folder / "gone.yaml").write_text((folder / "beir.yaml").read_text().replace("data/beir,", "null,"))
    done = run("snakemake -n --cores 1 --configfile gone.yaml", folder, check=False)
    assert "collection.path: null does not fit source beir" in done.stdout
