"""Training steps against transformers' Trainer and SentenceTransformerTrainer: same weights, same texts, same batches.

python -m tests.benchmarks.training            all of it, some 10 minutes
python -m tests.benchmarks.training msmarco    or: embedded, triples
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.benchmarks.measure import compared, in_turn, part, report, table

ME, THREADS, DIMENSION = "tests.benchmarks.training", 2, 1024
SHAPE = {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 512}
# What a study's jobs are told by the workflow (rankscale.study.environment).
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
SETTINGS = {  # lengths in tokens: mean and spread of log-normal passages, cuts; negatives a query; steps
    "msmarco": {"mean": 72, "spread": 0.38, "cuts": (24, 128), "negatives": 16, "steps": 40},
    "embedded": {"mean": 31, "spread": 0.5, "cuts": (20, 32), "negatives": 16, "steps": 100},
    "triples": {"mean": 31, "spread": 0.5, "cuts": (20, 32), "negatives": 1, "steps": 150},
}
BATCH, RATE = 32, 1e-4
OURS = "rankscale train"


def generate(folder: Path, mean: int, spread: float, negatives: int, steps: int, **_) -> None:
    """A collection of texts with given lengths, made of docstrings' words; its tokens; a random BERT."""
    import torch
    from transformers import BertConfig, BertModel

    from rankscale.collection import docstrings
    from rankscale.storage import tables
    from rankscale.text.tokenizers import train_wordpiece
    from tests.conftest import stage, write_copies

    random = np.random.default_rng(0)
    words = " ".join(pair.passage for pair in docstrings.harvest()[:4000]).lower().split()
    words = np.array([word for word in words if word.isalpha()])
    tokens_a_word = 1.12  # of that vocabulary on these words

    def texts(n: int, centre: float, wide: float) -> list[str]:
        lengths = np.maximum(random.lognormal(np.log(centre), wide, n) / tokens_a_word, 2).astype(int)
        return [" ".join(random.choice(words, length)) for length in lengths]

    n, documents = BATCH * steps, 8000
    queries, passages = texts(n, 8, 0.3), texts(documents, mean - 2, spread)
    train_wordpiece(passages + queries, 8000, folder / "model")
    ids, docs = [f"q{i}" for i in range(n)], [f"d{i}" for i in range(documents)]
    tables.write("documents", {"doc_id": docs, "title": "", "text": passages}, folder / "documents.parquet")
    tables.write("queries", {"query_id": ids, "text": queries}, folder / "queries.parquet")
    rows = random.integers(documents, size=n)
    judged = {"split": "train", "query_id": ids, "doc_id": [docs[r] for r in rows], "row": rows, "grade": 1}
    tables.write("qrels", {**judged, "positive": True}, folder / "qrels.parquet")
    write_copies(folder)
    lists = [random.choice(documents - 1, 100, replace=False) for _ in range(n)]
    lists = [(found + (found >= row)).tolist() for found, row in zip(lists, rows, strict=True)]
    found = {"query_id": ids, "rows": lists, "scores": [[0.0] * 100] * n, "mined": [100] * n}
    tables.write("negatives", found, folder / "negatives.parquet")
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=8000, **SHAPE)).save_pretrained(folder / "model")
    stage("tokenize", "--collection", folder, "--tokenizer", folder / "model", "--output", folder / "tokens")


def arguments(folder: Path, setting: str, *more: object):
    """The stage's arguments: the published recipe but for the learning rate."""
    from rankscale.stages import train

    made = SETTINGS[setting]
    places = ("--collection", folder, "--tokens", folder / "tokens", "--mined", folder / "negatives.parquet")
    shape = ("--model", "m", "--checkpoint", folder / "model", "--output-dim", DIMENSION, "--threads", THREADS)
    lengths = ("--query-length", made["cuts"][0], "--passage-length", made["cuts"][1])
    recipe = ("--negatives-per-query", made["negatives"], "--learning-rate", RATE, "--epochs", 1, "--device", "cpu")
    folders = ("--scratch", folder / "scratch", "--output", folder / "run")
    return train.arguments().parse_args(list(map(str, (*places, *shape, *lengths, *recipe, *folders, *more))))


def ours(folder: Path, setting: str, *more: object) -> None:
    from rankscale.stages import train
    from rankscale.storage import tables

    for left in ("run", "scratch"):  # of an earlier round: a finished run is not trained again
        shutil.rmtree(folder / left, ignore_errors=True)
    args = arguments(folder, setting, *more)
    train.main(args)
    seconds = tables.read("training_times", folder / "run/times.parquet")["seconds"].to_numpy()
    losses = tables.read("training", folder / "run/training.parquet")["loss"].to_pylist()
    report(seconds=float(np.median(seconds[5:])), losses=losses[:100])


def plain(folder: Path, setting: str) -> None:
    """The published procedure, written plainly: texts tokenized in the collator, padded, three forward passes."""
    import torch
    from torch.nn import functional
    from transformers import AutoModel, AutoTokenizer, Trainer, TrainingArguments

    from rankscale.core.options import parsed
    from rankscale.models import factory
    from rankscale.storage import tables
    from rankscale.training.options import TrainOptions
    from rankscale.training.sampler import ExampleSampler
    from rankscale.training.training_data import load_training_data

    torch.set_num_threads(THREADS)
    made, args = SETTINGS[setting], arguments(folder, setting)
    negatives = made["negatives"]
    data = load_training_data(folder, args.mined, "train", None, "nested", negatives, args.seed)
    examples = ExampleSampler(data, negatives, args.seed)
    texts = [tables.read(k, folder / f"{k}.parquet")["text"].to_pylist() for k in ("queries", "documents")]
    order, steps = examples.epoch(0), made["steps"]
    rows = [examples.batch(0, step, order[step * BATCH : (step + 1) * BATCH]) for step in range(steps)]
    data = [(q, d) for queries, documents in rows for q, d in zip(queries, documents, strict=True)]
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")

    class Retriever(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = AutoModel.from_pretrained(
                folder / "model", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
            )
            self.head = torch.nn.Linear(SHAPE["hidden_size"], DIMENSION)
            self.head.load_state_dict(
                factory.build_model(parsed(TrainOptions, args), 8000, args.tokens).head.state_dict()
            )

        def encode(self, read):
            states = self.encoder(**read).last_hidden_state
            mask = read["attention_mask"][..., None]
            return self.head((states * mask).sum(1) / mask.sum(1))

        def forward(self, query, positive, negative):
            q, p, n = (self.encode(read) for read in (query, positive, negative))
            scores = torch.cat(
                [(q * p).sum(1, keepdim=True), torch.einsum("bd,bkd->bk", q, n.view(len(q), -1, q.shape[1]))], 1
            )
            return {"loss": functional.cross_entropy(scores, torch.zeros(len(q), dtype=torch.long))}

    def collate(items):
        def read(texts, longest):
            return tokenizer(texts, truncation=True, max_length=longest, padding=True, return_tensors="pt")

        queries = [texts[0][q] for q, _ in items]
        documents = [[texts[1][row] for row in d] for _, d in items]
        return {
            "query": read(queries, args.query_length),
            "positive": read([d[0] for d in documents], args.passage_length),
            "negative": read([text for d in documents for text in d[1:]], args.passage_length),
        }

    class Ordered(Trainer):
        seconds, losses = [], []

        def _get_train_sampler(self, *_):
            return torch.utils.data.SequentialSampler(data)

        def training_step(self, *given, **named):
            now = time.monotonic()
            self.seconds.append(now - getattr(self, "before", now))
            self.before = now
            loss = super().training_step(*given, **named)
            self.losses.append(loss.item())
            return loss

    told = TrainingArguments(
        str(folder / "trainer"),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        remove_unused_columns=False,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = Ordered(Retriever(), told, train_dataset=data, data_collator=collate)
    trainer.train()
    report(seconds=float(np.median(trainer.seconds[5:])), losses=trainer.losses[:100])


def sentence_transformers(folder: Path, setting: str) -> None:
    """SentenceTransformerTrainer with MultipleNegativesRankingLoss on (query, positive, negative) triples."""
    import torch
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer
    from sentence_transformers.util import dot_score

    from rankscale.storage import tables
    from rankscale.training.sampler import ExampleSampler
    from rankscale.training.training_data import load_training_data

    torch.set_num_threads(THREADS)
    made, args = SETTINGS[setting], arguments(folder, setting)
    data = load_training_data(folder, args.mined, "train", None, "nested", 1, args.seed)
    examples = ExampleSampler(data, 1, args.seed)
    texts = [tables.read(k, folder / f"{k}.parquet")["text"].to_pylist() for k in ("queries", "documents")]
    order = examples.epoch(0)
    rows = [examples.batch(0, step, order[step * BATCH : (step + 1) * BATCH]) for step in range(made["steps"])]
    triples = {
        "anchor": [texts[0][q] for queries, _ in rows for q in queries],
        "positive": [texts[1][d[0]] for _, documents in rows for d in documents],
        "negative": [texts[1][d[1]] for _, documents in rows for d in documents],
    }
    body = Transformer(str(folder / "model"), max_seq_length=args.passage_length)
    hidden = SHAPE["hidden_size"]
    model = SentenceTransformer(
        modules=[body, Pooling(hidden), Dense(hidden, DIMENSION, activation_function=torch.nn.Identity())]
    )
    seconds: list[float] = []

    class Timed(SentenceTransformerTrainer):
        def training_step(self, *given, **named):
            now = time.monotonic()
            seconds.append(now - getattr(self, "before", now))
            self.before = now
            return super().training_step(*given, **named)

    told = SentenceTransformerTrainingArguments(
        str(folder / "trainer"),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        max_grad_norm=1.0,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    loss = MultipleNegativesRankingLoss(model, scale=1.0, similarity_fct=dot_score)
    Timed(model, told, train_dataset=Dataset.from_dict(triples), loss=loss).train()
    report(seconds=float(np.median(seconds[5:])))


def compare(setting: str) -> None:
    """One setting: the peer with and without the workflow's memory settings, and ours."""
    peer = "sentence_transformers" if setting == "triples" else "plain"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        generate(folder, **SETTINGS[setting])
        more = ("--negatives", "mined+in_batch", "--clip", 1) if setting == "triples" else ()
        name = {"plain": "transformers Trainer, plain", "sentence_transformers": "SentenceTransformerTrainer"}[peer]
        sides = {
            f"{name}, as it comes": lambda: part(ME, peer, folder, setting),
            f"{name}, with our memory settings": lambda: part(ME, peer, folder, setting, env=MALLOC),
            OURS: lambda: part(ME, "ours", folder, setting, *more, env=MALLOC),
        }
        reports = in_turn(sides)
    rows = compared(reports, OURS, "ours is faster by", 1, "steps/s")
    made = SETTINGS[setting]
    table(f"L2H128, {BATCH} x (1 + {1 + made['negatives']}) texts cut at {made['cuts']}, {THREADS} threads", rows)
    if peer == "plain":
        apart = np.abs(np.array(reports[OURS][0]["losses"]) - np.array(reports[f"{name}, as it comes"][0]["losses"]))
        print(f"\nLosses of the first {len(apart)} steps differ by {apart.max():.2g} at most.", flush=True)


def main() -> None:
    for setting in SETTINGS:
        compare(setting)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
    elif len(sys.argv) == 2:
        compare(sys.argv[1])
    else:
        main()
