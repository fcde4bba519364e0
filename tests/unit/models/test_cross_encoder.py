"""The cross-encoder: pairs as a tokenizer joins them, scores as transformers gives them, training and reranking."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch

from rankscale.core.errors import StudyError
from rankscale.core.interrupts import Stop
from rankscale.models.checkpoints import load_checkpoint
from rankscale.models.kinds import vocabulary
from rankscale.models.kinds.cross_encoder import CrossEncoder
from rankscale.models.kinds.pairs import PairFrame, pack_pairs
from rankscale.models.pretrained import load_pretrained
from rankscale.search.scorers.base import Texts
from rankscale.search.scorers.pairs import PairScorer
from rankscale.stages import teach
from rankscale.storage import tables
from rankscale.text.token_store import TokenStore
from rankscale.text.tokenizers import ids_of, load, special_tokens_of, train_wordpiece
from tests.unit.training.small_collection import log_of, trainer, write_collection

WORDS = ["what is it", "it is this and that", "who was there", "there was nobody at all", "a word"]


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    train_wordpiece(WORDS, 60, folder)
    return folder


def store(tokenizer, texts, longest=16):
    ids = pa.array([str(i) for i in range(len(texts))])
    return TokenStore.of(ids, ids_of(tokenizer, texts), special_tokens_of(tokenizer), longest)


def test_a_pair_is_what_the_tokenizer_makes_of_it(tokenizer_folder):
    tokenizer = load(tokenizer_folder)
    frame = PairFrame(**vocabulary.pair_frame(tokenizer_folder))
    assert frame.types == [[0], 0, [0], 1, [1]]
    texts = store(tokenizer, WORDS)
    rows, others = np.array([0, 2, 4, 1]), np.array([1, 3, 0, 1])
    packed = pack_pairs(frame, texts, rows, texts, others)
    assert packed.lengths.tolist() == sorted(packed.lengths.tolist(), reverse=True)
    ends = np.cumsum(packed.lengths)
    for i, (row, other) in enumerate(zip(rows, others, strict=True)):
        place = int(packed.back[i])
        own = slice(ends[place] - packed.lengths[place], ends[place])
        expected = tokenizer(WORDS[row], WORDS[other])
        assert packed.ids[own].tolist() == expected["input_ids"]
        assert packed.types[own].tolist() == expected["token_type_ids"]


def test_another_tokenizer_joins_in_its_own_way(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    own = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "a": 2, "b": 3, "<unk>": 4}, unk_token="<unk>"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    own.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), add_prefix_space=False)
    own.save(str(tmp_path / "tokenizer.json"))
    frame = vocabulary.pair_frame(tmp_path)
    assert (frame["before"], frame["between"], frame["after"]) == ([0], [1, 1], [1])
    own.post_processor = processors.ByteLevel()
    own.save(str(tmp_path / "tokenizer.json"))
    assert vocabulary.pair_frame(tmp_path)["before"] == []


@pytest.mark.parametrize("kind", ["Bert", "Electra", "DistilBert"])
def test_states_of_pairs_are_those_of_transformers(tmp_path, tokenizer_folder, kind):
    import transformers

    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    if kind == "DistilBert":
        shape = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
    torch.manual_seed(0)
    theirs = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(vocab_size=60, **shape))
    theirs.eval().save_pretrained(tmp_path)
    tokenizer = load(tokenizer_folder)
    frame = vocabulary.pair_frame(tokenizer_folder)
    model = CrossEncoder(load_pretrained(str(tmp_path)), None, frame=frame).eval()
    texts, rows = store(tokenizer, WORDS), np.arange(5)
    batch = tokenizer(WORDS, WORDS[::-1], padding=True, return_tensors="pt")
    if kind == "DistilBert":
        del batch["token_type_ids"]
    with torch.no_grad():
        scores = model(pack_pairs(PairFrame(**frame), texts, rows, texts, rows[::-1]))
        expected = model.head(theirs(**batch).last_hidden_state[:, 0])
    assert torch.allclose(scores, expected, atol=1e-6)


@pytest.fixture(scope="module")
def collection(tmp_path_factory, tokenizer_folder):
    folder = write_collection(tmp_path_factory.mktemp("collection"))
    shutil.copy(tokenizer_folder / "tokenizer.json", folder / "tokens")
    return folder


KIND = ("--ranker", "cross_encoder", "--negatives-per-query", 2)


def trained(collection, output, *more):
    run = trainer(collection, output, *KIND, *more)
    run.train(Stop())
    run.publish()
    return output / "run"


@pytest.mark.parametrize("objective", ["infonce", "bce", "mw"])
def test_a_batch_in_parts_is_the_batch(collection, tmp_path, objective):
    more = ("--epochs", 6, "--objective", objective)
    trained(collection, tmp_path / "whole", *more)
    trained(collection, tmp_path / "parts", *more, "--micro-batch", 3)
    whole, parts = log_of(tmp_path / "whole"), log_of(tmp_path / "parts")
    assert parts == pytest.approx(whole, abs=2e-4)
    assert whole[-4:].mean() < whole[:4].mean()


def test_tokens_are_those_of_pairs(collection, tmp_path):
    run = trainer(collection, tmp_path, *KIND).run
    order = run.sampler.epoch(0)
    batch = run.loader.batch(0, 0, order)
    queries, documents = run.sampler.batch(0, 0, order[:8])
    lengths = run.loader.queries.lengths[queries][:, None] + run.loader.documents.lengths[documents] - 1
    assert batch.lengths.tolist() == lengths.ravel().tolist()
    parts = run.learner.model.parameters_by_part
    assert parts["head_parameters"] == 8 + 1
    n, total = batch.lengths.astype(float), parts["encoder_parameters"]
    assert run.learner.flops(batch) == pytest.approx((n * (6 * total + 12 * 8 * n)).sum() + 6 * 9 * len(n))


def test_a_run_that_goes_on_ends_with_the_same_bytes(collection, tmp_path):
    whole = trained(collection, tmp_path / "whole")
    first = trainer(collection, tmp_path / "parts", *KIND, "--save-steps", 3)
    stop, step = Stop(), first.run.learner.step

    def interrupted(batch, rate):
        if first.run.record.step == 5:
            stop.signal = 15
        return step(batch, rate)

    first.run.learner.step = interrupted
    with pytest.raises(SystemExit):
        first.train(stop)
    parts = trained(collection, tmp_path / "parts", "--save-steps", 3)
    for name in ("final.safetensors", "training.parquet", "checkpoints.parquet"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()


def test_what_it_cannot_afford_is_named(collection, tmp_path):
    with pytest.raises(StudyError, match=r"training\.negatives: mined\+in_batch: a cross_encoder cannot afford"):
        trainer(collection, tmp_path, *KIND, "--negatives", "mined+in_batch")
    with pytest.raises(StudyError, match=r"training\.negatives: mixed lie between vectors, which no cross_encoder"):
        trainer(collection, tmp_path, *KIND, "--negatives", "mixed")


def test_it_scores_pairs_and_reranks_what_it_is_given(collection, tmp_path):
    model, facts = load_checkpoint(trained(collection, tmp_path) / "final.safetensors")
    queries = TokenStore.read(collection / "tokens", "queries", facts["query_length"])
    documents = TokenStore.read(collection / "tokens", "documents", facts["passage_length"])
    rows = np.array([3, 0, 17])
    scorer = PairScorer(Texts(model, queries, documents, torch.device("cpu"), torch.no_grad), rows)
    scorer.first_stage = np.array([[5, 9, 70, 2], [1, 0, -1, -1], [4, 3, 2, 1]])
    pairs, best = scorer.pairs(np.repeat(np.arange(3), 80), np.tile(np.arange(80), 3)), scorer.best(3)
    assert not list(scorer.parts(np.arange(80)))
    frame = model.frame
    with torch.no_grad():
        for query, row in enumerate(rows):
            every = pack_pairs(frame, queries, np.repeat(row, 80), documents, np.arange(80))
            expected = model(every)[:, 0].numpy()
            assert pairs.scores[query * 80 : (query + 1) * 80] == pytest.approx(expected, abs=1e-5)
    scores, found = best.result()
    known = pairs.scores.reshape(3, 80)
    for query, kept in enumerate(([5, 9, 70], [1, 0], [4, 3, 2])):
        order = sorted(kept, key=lambda row: -known[query, row])
        assert found[query].tolist() == order + [-1] * (3 - len(kept))
        assert scores[query, : len(kept)].tolist() == known[query, order].tolist()


def test_it_teaches(collection, tmp_path):
    path = trained(collection, tmp_path) / "final.safetensors"
    given = ["--collection", collection, "--teacher", "checkpoint", "--scores", path, "--tokens", collection / "tokens"]
    given += ["--mined", collection / "lsa/negatives.parquet", "--device", "cpu", "--manifest", tmp_path / "t.json"]
    teach.main(teach.arguments().parse_args(list(map(str, (*given, "--output", tmp_path / "t.parquet")))))
    row = tables.read("teacher", tmp_path / "t.parquet").to_pylist()[0]
    model, facts = load_checkpoint(path)
    queries = TokenStore.read(collection / "tokens", "queries", facts["query_length"])
    documents = TokenStore.read(collection / "tokens", "documents", facts["passage_length"])
    with torch.no_grad():
        own = np.array(row["rows"])
        expected = model(pack_pairs(model.frame, queries, np.zeros_like(own), documents, own))[:, 0]
    assert row["scores"] == pytest.approx(expected.tolist(), abs=1e-5)
    assert json.loads((tmp_path / "t.json").read_text())["flops"] > 0
