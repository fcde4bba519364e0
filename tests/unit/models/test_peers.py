"""Scores against sentence-transformers' own models, of the same weights."""

import string

import numpy as np
import pyarrow as pa
import pytest
import torch

pytest.importorskip("sentence_transformers", exc_type=ImportError)

from transformers import BertConfig, BertForSequenceClassification, BertModel

from rankscale.models.bi_encoder import BiEncoder
from rankscale.models.kinds import vocabulary
from rankscale.models.kinds.cross_encoder import CrossEncoder
from rankscale.models.kinds.late_interaction import LateInteraction
from rankscale.models.pretrained import load_pretrained
from rankscale.search.scorers.base import Texts
from rankscale.search.scorers.registry import make_scorer
from rankscale.text.token_store import TokenStore
from rankscale.text.tokenizers import ids_of, load, special_tokens_of, train_wordpiece

QUERIES = ["what is a token?", "who was there", "is it this, or that one?"]
PASSAGES = ["a token is a word: or a part of one.", "nobody was there, at all!", "that; that, and that", "one", "(it)"]
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
LENGTH = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random BERT with a classifier, its tokenizer beside it."""
    folder = tmp_path_factory.mktemp("bert")
    train_wordpiece([*QUERIES, *PASSAGES], 90, folder)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=90, num_labels=1, initializer_range=0.3, **SHAPE)
    BertForSequenceClassification(config).eval().save_pretrained(folder)
    return folder


def scores_of(model, folder):
    """Scores [queries, passages] of a ranker, as an evaluation takes them."""
    tokenizer = load(folder)
    stores = [
        TokenStore.of(pa.array(list(map(str, range(len(texts))))), ids_of(tokenizer, texts), special, LENGTH)
        for texts, special in ((texts, special_tokens_of(tokenizer)) for texts in (QUERIES, PASSAGES))
    ]
    texts = Texts(model.eval(), *model.as_read(*stores), torch.device("cpu"), torch.no_grad)
    scorer = make_scorer(texts, np.arange(len(QUERIES)))
    n, m = len(QUERIES), len(PASSAGES)
    pairs = scorer.pairs(np.repeat(np.arange(n), m), np.tile(np.arange(m), n))
    for rows, part in scorer.parts(np.arange(m)):
        pairs.add(rows, part)
    return pairs.scores.reshape(n, m)


def test_a_cross_encoder_s_scores(folder):
    from sentence_transformers import CrossEncoder as Theirs

    theirs = Theirs(str(folder), device="cpu", max_length=2 * LENGTH, activation_fn=torch.nn.Identity())
    expected = theirs.predict([(query, passage) for query in QUERIES for passage in PASSAGES])
    whole = BertForSequenceClassification.from_pretrained(folder)
    ours = CrossEncoder(load_pretrained(str(folder)), None, frame=vocabulary.pair_frame(folder), hidden_head=True)
    ours.head[0].load_state_dict(whole.bert.pooler.dense.state_dict())
    ours.head[2].load_state_dict(whole.classifier.state_dict())
    assert scores_of(ours, folder).ravel() == pytest.approx(expected, abs=1e-5)
    assert np.std(expected) > 1e-2


@pytest.mark.parametrize("attend", [False, True])
@pytest.mark.parametrize("punctuation", [False, True])
def test_late_interaction_s_scores(folder, attend, punctuation):
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    expansion = {"strategy": "fixed", "attend": attend, "length": LENGTH}
    transformer = Transformer(str(folder), query_length=LENGTH, document_length=LENGTH, query_expansion=expansion)
    dense = Dense(
        SHAPE["hidden_size"], 16, bias=False, activation_function=torch.nn.Identity(),
        module_input_name="token_embeddings",
    )  # fmt: skip
    skipped = list(string.punctuation) if punctuation else []
    modules = [transformer, dense, Normalize("token_embeddings"), MultiVectorMask(skiplist_words=skipped)]
    theirs = MultiVectorEncoder(modules=modules, device="cpu")
    encoded = theirs.encode_query(QUERIES), theirs.encode_document(PASSAGES)
    expected = theirs.similarity(*encoded).numpy()
    settings = LateInteraction.settings_of(
        {"token_dim": 16, "query_fill": True, "attend_to_fill": attend, "skip_punctuation": punctuation}, folder
    )
    ours = LateInteraction(load_pretrained(str(folder)), None, **settings)
    ours.head.load_state_dict(dense.linear.state_dict())
    assert scores_of(ours, folder) == pytest.approx(expected, abs=1e-5)
    assert np.std(expected) > 1e-2


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_bi_encoder_s_scores(folder, pooling):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    dense = Dense(SHAPE["hidden_size"], 16, activation_function=torch.nn.Identity())
    modules = [Transformer(str(folder)), Pooling(SHAPE["hidden_size"], pooling_mode=pooling), dense]
    theirs = SentenceTransformer(modules=modules, device="cpu")
    expected = theirs.encode(QUERIES) @ theirs.encode(PASSAGES).T
    ours = BiEncoder(load_pretrained(str(folder)), 16, pooling)
    ours.head.load_state_dict(dense.linear.state_dict())
    assert scores_of(ours, folder) == pytest.approx(expected, abs=1e-5)
    assert BertModel.from_pretrained(folder).config.hidden_size == SHAPE["hidden_size"]
