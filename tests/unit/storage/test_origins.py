"""Two studies over collections of the same ids: what one gives to the other is refused by the next that reads it."""

import json
import shutil

import numpy as np
import pytest

from rankscale.core.errors import StudyError
from rankscale.core.layout import FINAL, Layout, RunId
from rankscale.stages import collect, encode, gather, mine, retrieve, sample, score, teach, tokenize, train
from rankscale.storage import origins, tables

WORDS = [f"{a}{b}" for a in ("ba", "ke", "li", "mo", "nu") for b in ("r", "s", "t", "pan")]
DOCUMENTS, TRAINED, TESTED = 60, 16, 12
RUNS = [RunId("base", name, "8", 1) for name in ("a", "b")]


def call(stage, *arguments):
    stage.main(stage.arguments().parse_args(list(map(str, arguments))))


class Study:
    """One study's files, and its stages."""

    def __init__(self, root, seed):
        self.root, self.seed = root, seed
        self.layout = Layout("one", "c", "lsa", root=str(root / "results"))
        self.shared, self.mined_in = root / "results/shared/c", root / "results/shared/c/lsa"
        self.tokens = self.shared / "tokens/w"

    def collect(self):
        random, source = np.random.default_rng(self.seed), self.root / "source"
        source.mkdir(parents=True)
        words = [word[::-1] for word in WORDS] if self.seed == 2 else WORDS
        texts = [" ".join(random.choice(words, 9)) for _ in range(DOCUMENTS)]
        (source / "c.tsv").write_text("".join(f"d{i}\t{text}\n" for i, text in enumerate(texts)))
        for split, rows in (("train", range(TRAINED)), ("test", range(TRAINED, TRAINED + TESTED))):
            (source / f"{split}.q").write_text("".join(f"q{i}\t{texts[i][:18]}\n" for i in rows))
            (source / f"{split}.j").write_text("".join(f"q{i}\t0\td{i}\t1\n" for i in rows))
        by_split = {k: {s: str(source / f"{s}.{k[0]}") for s in ("train", "test")} for k in ("queries", "judgments")}
        files = {"corpus": str(source / "c.tsv"), "queries": by_split["queries"], "qrels": by_split["judgments"]}
        call(collect, "--source", "tsv", "--files", json.dumps(files), "--output", self.shared)

    def tokenize(self):
        call(tokenize, "--collection", self.shared, "--vocabulary", 60, "--split", "train", "--output", self.tokens)

    def vectors(self):
        return [w for unit in ("documents", "queries") for w in (f"--{unit}", self.mined_in / unit / "0.parquet")]

    def encode(self, *more):
        call(encode, "--collection", self.shared, *self.vectors(), *more)

    def negatives(self):
        return self.mined_in / "negatives/0.parquet"

    def mine(self):
        results = ("--manifest", self.negatives().with_suffix(".json"), "--output", self.negatives())
        call(mine, "--collection", self.shared, *self.vectors(), "--top-k", 8, "--device", "cpu", *results)

    def teach(self):
        scores = self.root / "results/shared/c/lsa/teachers/miner"
        results = ("--manifest", f"{scores}.json", "--output", f"{scores}.parquet")
        call(teach, "--collection", self.shared, "--mined", self.negatives(), *self.vectors(), *results)

    def sample(self, seed=7):
        options = ("--hard", 4, "--random", 4, "--splits", "test", "--train-split", "train", "--seed", seed)
        options += ("--pool-sample", 5, "--pool", self.layout.pool())
        inputs = ("--collection", self.shared, "--mined", self.negatives())
        call(sample, *inputs, *options, "--output", self.layout.candidates())

    def train(self, run=RUNS[0], *more):
        shape = ("--layers", 1, "--hidden", 8, "--heads", 2, "--output-dim", 4, "--batch-size", 8, "--steps", 1)
        keys = ("--model", run.model, "--train-queries", run.subset, "--seed", run.seed)
        keys += ("--query-length", 8, "--passage-length", 10, "--learning-rate", 1e-3, "--device", "cpu")
        inputs = ("--collection", self.shared, "--tokens", self.tokens, "--mined", self.negatives())
        folders = ("--scratch", self.root / f"scratch/{run}", "--output", self.layout.run(run))
        call(train, *inputs, *shape, *keys, *folders, *more)

    def retrieve(self, run=RUNS[0]):
        inputs = ("--collection", "c", "--tokens", self.tokens, "--checkpoint", self.layout.checkpoint(run, FINAL))
        inputs += ("--candidates", self.layout.candidates(), "--own-documents", self.shared / "own_documents.parquet")
        results = [
            w
            for k in ("observations", "runs")
            for w in (f"--{k.removesuffix('s') if k == 'runs' else k}", self.layout.table(k, run, FINAL))
        ]
        call(retrieve, *inputs, "--pool", self.layout.pool(), "--top-k", 5, "--device", "cpu", *results)

    def score(self, run=RUNS[0]):
        tables_of = {k: self.layout.table(k, run, FINAL) for k in ("observations", "runs", "scores", "per_query")}
        inputs = ("--observations", tables_of["observations"], "--run", tables_of["runs"])
        results = ("--output", tables_of["scores"], "--per-query", tables_of["per_query"])
        call(score, *inputs, "--qrels", self.shared / "qrels.parquet", *results)

    def gather(self):
        runs = [f"{self.layout.run(run)}/checkpoints.parquet" for run in RUNS]
        named = ("--study", self.layout.own, "--study-name", "one", "--collections", "c")
        reading = {"kind": "bi_encoder", "dimension": 4, "query_length": 8, "passage_length": 10, "fills": False}
        named += ("--readings", json.dumps({"base": reading}), "--candidates", self.layout.candidates())
        named += ("--tokens", *(f"c={run.model}={self.tokens}" for run in RUNS))
        results = ("--output", self.root / "m.parquet", "--left-out", self.root / "l.parquet")
        call(gather, "--runs", *runs, *named, *results)


def finished(root, seed):
    study = Study(root, seed)
    for stage in (study.collect, study.tokenize, study.encode, study.mine, study.teach, study.sample):
        stage()
    for run in RUNS:
        study.train(run)
        study.retrieve(run)
        study.score(run)
    study.gather()
    return study


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Of the same ids, names and sizes, and of other texts."""
    return [finished(tmp_path_factory.mktemp("study"), seed) for seed in (1, 2)]


@pytest.fixture
def study(studies, tmp_path):
    """A copy of the first one."""
    shutil.copytree(studies[0].root, tmp_path / "copy")
    return Study(tmp_path / "copy", 1)


def bring(study, other, *names):
    """What the other study has under these names below its folder of results, in the place of the study's own."""
    for name in names:
        theirs, own = other.root / "results" / name, study.root / "results" / name
        if theirs.is_dir():
            shutil.rmtree(own)
            shutil.copytree(theirs, own)
        else:
            shutil.copy2(theirs, own)


VECTORS = ("shared/c/lsa/documents/0.parquet", "shared/c/lsa/queries/0.parquet")


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("stage", ["mine", "teach"])
def test_vectors_of_other_texts_are_not_searched(studies, study, name, stage):
    bring(study, studies[1], name)
    with pytest.raises(
        StudyError, match=r"lsa/\w+/0\.parquet: was made from another (documents|queries)\.parquet than"
    ):
        getattr(study, stage)()


def test_nor_are_vectors_of_two_encoders_searched_together(studies, study):
    """The same texts, and as many dimensions; only the prefix of the queries is another."""
    study.encode("--query-prefix", "query: ")
    study.mine()
    bring(study, studies[0], VECTORS[0])
    for stage in (study.mine, study.teach):
        with pytest.raises(StudyError, match=r"queries/0\.parquet: was made with another encoder than .*documents/0"):
            stage()


@pytest.mark.parametrize("stage", ["train", "sample", "teach"])
def test_negatives_of_another_collection_are_not_used(studies, study, stage):
    bring(study, studies[1], "shared/c/lsa/negatives")
    with pytest.raises(StudyError, match=r"negatives: was made from another \w+\.parquet than .*shared/c; delete"):
        getattr(study, stage)()


def test_nor_is_a_teacher(studies, study):
    options = ("--objective", "margin_mse", "--teacher-scores", study.mined_in / "teachers/miner.parquet")
    study.train(RUNS[0]._replace(model="taught"), *options)
    bring(study, studies[1], "shared/c/lsa/teachers")
    with pytest.raises(StudyError, match=r"teachers: was made from another"):
        study.train(RUNS[0]._replace(model="again"), *options)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["one/candidates/c.parquet"], r"candidates/c\.parquet: was made from another"),
        (["one/pool/c.parquet"], r"pool/c\.parquet: was made from another"),
        (["shared/c/tokens"], r"final\.safetensors: was trained with another tokenizer than that of .*tokens/w"),
        (["one/models"], r"final\.safetensors: was trained with another tokenizer than that of .*tokens/w"),
        (["shared/c/own_documents.parquet", "shared/c/manifest.json"], r"tokens/w: was made from another"),
    ],
)
def test_a_checkpoint_is_not_evaluated_on_parts_of_two_studies(studies, study, names, message):
    study.retrieve()
    bring(study, studies[1], *names)
    with pytest.raises(StudyError, match=message):
        study.retrieve()


def test_observations_are_not_measured_by_the_judgments_of_another_collection(studies, study):
    bring(study, studies[1], "shared/c/qrels.parquet", "shared/c/manifest.json", "shared/c/documents.parquet")
    with pytest.raises(StudyError, match=r"observations/.*: was made from another .* than .*shared/c"):
        study.score()


def test_checkpoints_over_two_draws_of_candidates_are_not_compared(study):
    """As when candidates were exchanged half-way: by the keys of their tables nothing is wrong."""
    study.sample(seed=8)
    study.retrieve(RUNS[1])
    kept = study.layout.table("runs", RUNS[1], FINAL)
    shutil.copy(study.layout.table("runs", RUNS[1], FINAL), study.root / "run.parquet")
    study.score(RUNS[1])
    with pytest.raises(StudyError, match=r"scores/.*/b/.*: was made with another candidates than .*/a/"):
        study.gather()
    study.sample()
    study.retrieve(RUNS[1])
    shutil.copy(study.root / "run.parquet", kept)
    with pytest.raises(StudyError, match=r"runs/.*: was made with another candidates than .*observations/"):
        study.score(RUNS[1])


def test_runs_trained_in_two_ways_are_no_one_variant(study):
    """As when Snakemake was told by --touch that nothing changed, or a run of another study was brought along."""
    study.train(RUNS[1], "--weight-decay", 0.5)
    study.retrieve(RUNS[1])
    study.score(RUNS[1])
    with pytest.raises(StudyError, match=r"/b/8/1/.*: was trained with weight_decay=0\.5, .*/a/8/1/.*=0\.0, under"):
        study.gather()


def test_what_an_older_version_wrote_is_read(study):
    for path in (study.layout.candidates(), study.layout.pool()):
        table = tables.read("pool" if "pool" in path else "candidates", path)
        tables.write("pool" if "pool" in path else "candidates", table.replace_schema_metadata(None), path)
        assert not origins.read_origin(path)
    study.retrieve()
    study.score()
