"""Score one checkpoint: decompose its observations, and measure its run with pytrec_eval."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale import archives, command, schemas, tables
from rankscale.command import log
from rankscale.decomposition import CORRECTIONS, TIES, decompose
from rankscale.errors import StudyError

KEYS = ("model", "train_queries", "seed", "step")
CUT = 10


def measure(observations: pa.Table, ties: str, correction: str) -> list[dict[str, object]]:
    """One row of the scores table, without the full-retrieval metrics, per split and kind of candidates."""
    rows = []
    for key, part in groups(observations, ["split", "candidates"]):
        sizes = pc.unique(part["n_candidates"]).to_pylist()
        if len(sizes) != 1:
            raise StudyError(f"{key}: observations over {sizes} candidates are mixed; evaluate the checkpoint again")
        loss, above, tied, margin = (part[c].to_numpy() for c in ("loss", "above", "tied", "margin"))
        found = decompose(loss, above, tied, n_candidates=sizes[0], ties=ties, correction=correction)
        row = {
            **{k: part[k][0].as_py() for k in KEYS},
            **key,
            "n_candidates": sizes[0],
            "n_queries": len(part),
        }
        row |= {p: getattr(found, p) for p in (*schemas.PARTS, "mrr")}
        row |= {f"{p}_plugin": getattr(found, f"{p}_plugin") for p in schemas.PARTS[1:]}
        for name in (*schemas.PARTS, "mrr"):
            row[f"{name}_low"], row[f"{name}_high"] = found.interval(name)
        row |= more(above, tied, margin, sizes[0])
        row |= {"below_chance": found.below_chance, "too_few_queries": found.too_few_queries}
        rows.append(row)
    return rows


def more(above: np.ndarray, tied: np.ndarray, margin: np.ndarray, candidates: int) -> dict[str, float]:
    """Other measures of the same observations, ties in expectation over their breaking.

    `auc`: how often the positive scores above a candidate; `accuracy_1`: how often above all; ranks count from 1;
    `margin_10` to `margin_90`: quantiles of the positive's score less the best candidate's.
    """
    rank = 1 + above + tied / 2
    quantiles = np.quantile(margin, (0.1, 0.5, 0.9))
    return {
        "auc": float(1 - (above + tied / 2).mean() / candidates),
        "accuracy_1": float(((above == 0) / (1 + tied)).mean()),
        "mean_rank": float(rank.mean()),
        "median_rank": float(np.median(rank)),
        **{f"margin_{share}": float(value) for share, value in zip((10, 50, 90), quantiles, strict=True)},
    }


def groups(table: pa.Table, keys: list[str]) -> list[tuple[dict[str, object], pa.Table]]:
    """The parts of a table with equal `keys`, in order of first appearance."""
    parts = []
    for key in table.group_by(keys, use_threads=False).aggregate([]).to_pylist():
        part = table
        for name, value in key.items():
            part = part.filter(pc.equal(part[name], value))
        parts.append((key, part))
    return parts


def full_retrieval(run: pa.Table, qrels: pa.Table) -> dict[str, dict[str, float]]:
    """By judged query, mrr_10, ndcg_10, recall_100, recall_1000 (None if the run is shorter) and map of one split.

    nDCG takes the grades, the others whether a document is positive. A judged query that the run lacks counts 0.
    Raises StudyError for empty judgments or a query nobody judged.
    """
    import pytrec_eval

    graded: dict[str, dict[str, int]] = {}
    judged: dict[str, dict[str, int]] = {}
    for query, document, grade, positive in zip(
        *(qrels[c].to_pylist() for c in ("query_id", "doc_id", "grade", "positive")), strict=True
    ):
        graded.setdefault(query, {})[document] = max(grade, 0)
        judged.setdefault(query, {})[document] = int(positive)
    judged = {q: grades for q, grades in judged.items() if max(grades.values()) > 0}
    if not judged:
        raise StudyError("no query has a positive judgment; full retrieval cannot be measured")
    graded = {q: graded[q] for q in judged}
    names = run["query_id"].combine_chunks().dictionary_encode()
    order = np.lexsort((run["rank"].to_numpy(), names.indices.to_numpy()))
    documents, ranks = run["doc_id"].to_pylist(), run["rank"].to_numpy()
    if (np.diff(order) != 1).any():
        documents, ranks = [documents[i] for i in order], ranks[order]
    starts = np.append(np.flatnonzero(np.diff(names.indices.to_numpy()[order], prepend=-1)), len(run))
    # trec_eval orders by score and breaks ties by name; the run's own order is kept by scoring it by rank.
    points = (-ranks).astype(float).tolist()
    found = {
        query: dict(zip(documents[a:b], points[a:b], strict=True))
        for query, a, b in zip(names.dictionary.to_pylist(), starts[:-1], starts[1:], strict=True)
    }
    unknown = sorted(set(found) - set(judged))
    if unknown:
        raise StudyError(f"the run has query {unknown[0]}, which nobody judged")
    if len(found) < len(judged):
        log.info("%d judged queries have no results and count 0", len(judged) - len(found))
    deep = pytrec_eval.RelevanceEvaluator(judged, {"recall_100,1000", "map"}).evaluate(found)
    # recip_rank knows no cut-off, so the run is cut first; for nDCG@10 the rest of it does not count either.
    short = {q: dict(list(d.items())[:CUT]) for q, d in found.items()}
    top = pytrec_eval.RelevanceEvaluator(judged, {"recip_rank"}).evaluate(short)
    gain = pytrec_eval.RelevanceEvaluator(graded, {"ndcg_cut_10"}).evaluate(short)

    has_1000 = ranks.max() >= 1000
    out = {}
    for query in judged:
        a, b, c = (values.get(query, {}) for values in (top, gain, deep))
        out[query] = {
            "mrr_10": a.get("recip_rank", 0.0),
            "ndcg_10": b.get("ndcg_cut_10", 0.0),
            "recall_100": c.get("recall_100", 0.0),
            "recall_1000": c.get("recall_1000", 0.0) if has_1000 else None,
            "map": c.get("map", 0.0),
        }
    return out


def means(values: dict[str, dict[str, float]]) -> dict[str, float | None]:
    """The mean of each measure over the queries; None where it is."""
    return {
        name: None if next(iter(values.values()))[name] is None else sum(v[name] for v in values.values()) / len(values)
        for name in schemas.FULL
    }


def main(args: argparse.Namespace) -> None:
    """Write one row per split and kind of candidates of one checkpoint; or print what an archive decomposes into."""
    if args.npz:
        print(archives.said(args.npz, args.n_candidates, args.json))
        return
    if not (args.observations and args.output):
        raise StudyError("give --observations and --output, or --npz with an archive")
    observations = tables.read("observations", args.observations)
    if not len(observations):
        log.warning("%s: holds no observations (the run diverged), so there are no scores", args.observations)
        write("scores", [], args.output)
        if args.per_query:
            write("per_query", [], args.per_query)
        return
    rows = measure(observations, args.ties, args.correction)
    missing: dict[str, object] = {"retrieval": "none", **dict.fromkeys(schemas.FULL)}
    measured: dict[str, dict] = {}
    per_query: list[dict] = []
    if args.run:
        run = tables.read("runs", args.run, ["split", "query_id", "doc_id", "rank"])
        qrels = tables.read("qrels", args.qrels)
        for split in pc.unique(run["split"]).to_pylist():
            of_split = [t.filter(pc.equal(t["split"], split)) for t in (run, qrels)]
            each = full_retrieval(*of_split)
            measured[split] = {"retrieval": args.retrieval, **means(each)}
            keys = {**{k: rows[0][k] for k in KEYS}, "split": split}
            per_query += [{**keys, "query_id": query, **values} for query, values in each.items()]
    rows = [row | measured.get(row["split"], missing) for row in rows]
    for row in rows:
        log.info(
            "%s %s: cross-entropy %.3f = rank-entropy %.3f + alignment %.3f + uncertainty %.3f; MRR %.3f",
            row["split"],
            row["candidates"],
            *(row[p] for p in schemas.PARTS),
            row["mrr"],
        )
    write("scores", rows, args.output)
    if args.per_query:
        write("per_query", per_query, args.per_query)


def write(name: str, rows: list[dict], path: Path) -> None:
    """Write rows of one of the tables."""
    tables.write(name, pa.Table.from_pylist(rows, schema=schemas.SCHEMAS[name]), path)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = command.parser("score", __doc__)
    made.add_argument("--observations", type=Path)
    made.add_argument("--run", type=Path, help="the full-collection run")
    made.add_argument("--qrels", type=Path, help="judgments, needed with --run")
    made.add_argument("--retrieval", choices=["full", "pooled"], default="full", help="what the run searched")
    made.add_argument("--ties", choices=TIES, default="expected")
    made.add_argument("--correction", choices=CORRECTIONS, default="jackknife")
    made.add_argument("--output", type=Path)
    made.add_argument("--per-query", type=Path, help="output: the run's measures query by query")
    made.add_argument("--npz", type=Path, help="instead: an archive of the published code, decomposed and printed")
    made.add_argument("--json", action="store_true", help="print one JSON object with keys expected and optimistic")
    made.add_argument("--n-candidates", type=int, help="of the archive's queries, to compare its MRR with chance")
    return made


if __name__ == "__main__":
    command.run(main, arguments())
