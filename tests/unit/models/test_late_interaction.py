"""Late interaction: its score by hand, its queries filled, its evaluation exact, its training one in parts."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch

from rankscale.core.errors import StudyError
from rankscale.core.interrupts import Stop
from rankscale.models.checkpoints import load_checkpoint
from rankscale.models.factory import from_scratch
from rankscale.models.kinds import vocabulary
from rankscale.models.kinds.late_interaction import LateInteraction
from rankscale.models.kinds.max_similarity import TokenVectors, all_scores, own_scores
from rankscale.models.packing import pack
from rankscale.search.scorers.base import Texts
from rankscale.search.scorers.token_parts import TokenPart
from rankscale.search.scorers.tokens import TokenPairScores, TokenScorer, TokenTopK
from rankscale.storage import tables
from rankscale.text.token_store import SpecialTokens, TokenStore
from rankscale.text.tokenizers import train_wordpiece
from tests.unit.training.small_collection import N, log_of, trainer, write_collection

KIND = ("--ranker", "late_interaction", "--ranker-parameters", '{"token_dim": 6}')


def test_the_score_is_the_sum_of_the_nearest():
    """A query of tokens (1, 0) and (0, 1); passages of two tokens and of one, the second's place is empty."""
    queries = TokenVectors(torch.eye(2)[None], torch.ones(1, 2, dtype=torch.bool))
    vectors = torch.tensor([[[0.6, 0.8], [0.8, 0.6]], [[-1.0, 0.0], [9.0, 9.0]]])
    passages = TokenVectors(vectors[None], torch.tensor([[[True, True], [True, False]]]))
    assert own_scores(queries, passages)[0].tolist() == pytest.approx([0.8 + 0.8, -1.0 + 0.0])
    flat = TokenVectors(passages.vectors[0], passages.counted[0])
    assert torch.equal(all_scores(queries, flat), own_scores(queries, passages))
    one = TokenVectors(queries.vectors, torch.tensor([[True, False]]))
    assert own_scores(one, passages)[0].tolist() == pytest.approx([0.8, -1.0])


def parts(random, n, d=5, longest=7):
    lengths = random.integers(1, longest, n)
    flat = random.normal(size=(int(lengths.sum()), d)).astype(np.float32)
    return TokenPart(flat / np.linalg.norm(flat, axis=1, keepdims=True), lengths)


def brute_force(queries, documents):
    """Scores float64 [q, n], token by token."""
    texts = [np.split(part.flat.astype(np.float64), np.cumsum(part.lengths)[:-1]) for part in (queries, documents)]
    return np.array([[sum(max(a @ b for b in d) for a in q) for d in texts[1]] for q in texts[0]])


@pytest.mark.parametrize("n_parts", [1, 3])
def test_search_and_pairs_are_exact_whatever_the_parts(n_parts):
    random = np.random.default_rng(1)
    queries, documents = parts(random, 40), parts(random, 60)
    documents = documents[np.append(np.arange(60), [7, 7, 30])]  # copies tie, by row
    expected = brute_force(queries, documents).astype(np.float32)
    best = TokenTopK(queries, 10, torch.device("cpu"))
    which, rows = np.repeat(np.arange(40), 63), np.tile(np.arange(63), 40)
    pairs = TokenPairScores(queries, which, rows)
    for part in np.array_split(np.arange(63), n_parts):
        best.add(part, documents[part])
        pairs.add(part, documents[part])
    assert np.array_equal(pairs.scores.reshape(40, 63), expected)
    scores, found = best.result()
    ranking = np.argsort(-expected, axis=1, kind="stable")[:, :10]
    assert np.array_equal(found, ranking)
    assert np.array_equal(scores, np.take_along_axis(expected, ranking, 1))
    short = TokenTopK(queries, 100, torch.device("cpu"))
    short.add(np.arange(63), documents)
    assert (short.result()[1] >= 0).sum(1).tolist() == [63] * 40


def store(texts, longest=8):
    lengths = np.cumsum([0, *map(len, texts)])
    special = SpecialTokens([1], [2], 0, 30)
    ids = pa.array([str(i) for i in range(len(texts))])
    return TokenStore(ids, np.concatenate(texts).astype(np.uint16), lengths, special, longest)


@pytest.mark.parametrize("attend", [False, True])
def test_a_filled_query_is_what_padding_with_a_mask_gives(attend):
    """Of transformers' own BERT, which hides what attention_mask says."""
    from transformers import BertConfig, BertModel

    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    theirs = BertModel(BertConfig(vocab_size=30, **shape)).eval()
    from rankscale.models.pretrained import as_bert

    model = LateInteraction(as_bert(theirs), None, token_dim=4, fill=4, attend_to_fill=attend).eval()
    queries, documents = store([[5, 6, 7], [8]]), store([[9, 10, 11, 12], [13], [14, 15]])
    filled, same = model.as_read(queries, documents)
    assert same is documents
    with torch.no_grad():
        vectors = model(pack((filled, np.array([1, 0])), (documents, np.arange(3))))
        ids = torch.tensor([[1, 8, 2, 4, 4, 4, 4, 4], [1, 5, 6, 7, 2, 4, 4, 4]])
        seen = torch.ones_like(ids) if attend else (ids != 4).long()
        states = theirs(input_ids=ids, attention_mask=seen).last_hidden_state
        alone = model(pack((documents, np.arange(3))))
    expected = torch.nn.functional.normalize(states @ model.head.weight.T, dim=-1).flatten(0, 1)
    assert torch.allclose(vectors[:16], expected, atol=1e-6)
    assert torch.allclose(vectors[16:], alone, atol=1e-6)


def test_what_tokens_mean_is_read_off_the_tokenizer(tmp_path):
    train_wordpiece(["what is it? it is: this, and that."], 40, tmp_path)
    settings = LateInteraction.settings_of({"query_fill": True, "skip_punctuation": True, "token_dim": 3}, tmp_path)
    tokenizer = vocabulary.read_tokenizer(tmp_path)
    assert settings["fill"] == tokenizer.token_to_id("[MASK]") == 4
    assert {tokenizer.id_to_token(token) for token in settings["skipped"]} == set("?:,.")
    model = LateInteraction(from_scratch(1, 8, 2, 40, 8), None, **settings)
    assert model.counted(torch.tensor([settings["skipped"][0], 39])).tolist() == [False, True]
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(StudyError, match=r"ranker\.query_fill: the tokenizer in .* has no mask token"):
        LateInteraction.settings_of({"query_fill": True}, tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(StudyError, match=r"tokenizer\.json: cannot be read"):
        LateInteraction.settings_of({"skip_punctuation": True}, tmp_path)


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return write_collection(tmp_path_factory.mktemp("collection"))


def trained(collection, output, *more):
    run = trainer(collection, output, *KIND, *more)
    run.train(Stop())
    run.publish()
    return output / "run"


@pytest.mark.parametrize("negatives", ["mined", "mined+in_batch"])
def test_a_batch_in_parts_is_the_batch(collection, tmp_path, negatives):
    more = ("--negatives", negatives, "--negatives-per-query", 2, "--epochs", 4)
    trained(collection, tmp_path / "whole", *more)
    trained(collection, tmp_path / "parts", *more, "--micro-batch", 3)
    whole, parts = log_of(tmp_path / "whole"), log_of(tmp_path / "parts")
    assert parts == pytest.approx(whole, abs=2e-4)
    assert whole[-4:].mean() < whole[:4].mean()


def test_a_run_that_goes_on_ends_with_the_same_bytes(collection, tmp_path):
    whole = trained(collection, tmp_path / "whole", "--negatives", "mined+in_batch")
    first = trainer(collection, tmp_path / "parts", *KIND, "--negatives", "mined+in_batch", "--save-steps", 3)
    stop = Stop()
    step = first.run.learner.step

    def interrupted(batch, rate):
        if first.run.record.step == 5:
            stop.signal = 15
        return step(batch, rate)

    first.run.learner.step = interrupted
    with pytest.raises(SystemExit):
        first.train(stop)
    shutil.rmtree(tmp_path / "parts/run", ignore_errors=True)
    parts = trained(collection, tmp_path / "parts", "--negatives", "mined+in_batch", "--save-steps", 3)
    for name in ("final.safetensors", "training.parquet", "checkpoints.parquet"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()


def test_a_checkpoint_scores_as_its_vectors_do(collection, tmp_path):
    path = trained(collection, tmp_path) / "final.safetensors"
    model, facts = load_checkpoint(path)
    assert isinstance(model, LateInteraction)
    assert (model.token_dim, model.parameters_by_part["head_parameters"]) == (6, 8 * 6)
    (row,) = tables.read("checkpoints", tmp_path / "run/checkpoints.parquet").to_pylist()
    assert row["head_parameters"] == 48
    queries = TokenStore.read(collection / "tokens", "queries", facts["query_length"])
    documents = TokenStore.read(collection / "tokens", "documents", facts["passage_length"])
    rows = np.array([3, 0, 17])
    texts = Texts(model, *model.as_read(queries, documents), torch.device("cpu"), torch.no_grad)
    scorer = TokenScorer(texts, rows)
    pairs = scorer.pairs(np.repeat(np.arange(3), 80), np.tile(np.arange(80), 3))
    for found, part in scorer.parts(np.arange(80)):
        pairs.add(found, part)
    with torch.no_grad():
        for i, query in enumerate(rows):
            asked = model(pack((queries, rows[i : i + 1])))
            for document in range(0, 80, 9):
                given = model(pack((documents, np.array([document]))))
                expected = (asked @ given.T).max(1).values.sum().item()
                assert pairs.scores[i * 80 + document] == pytest.approx(expected, abs=1e-5)
            assert query < N
    assert json.dumps(dict(model.settings))
