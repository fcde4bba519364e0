"""An exported bi-encoder, loaded by sentence-transformers itself, scores as our own code does."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from rankscale.export.bi_encoder import write_bi_encoder
from rankscale.models import encoding
from rankscale.models.bi_encoder import BiEncoder
from rankscale.models.factory import from_scratch
from rankscale.models.pretrained import load_pretrained
from rankscale.text import tokenizers
from rankscale.text.token_store import TokenStore
from tests.unit.models.test_checkpoints import encoder_folder

sentence_transformers = pytest.importorskip("sentence_transformers", exc_type=ImportError)

# Short, of one word, with words that no vocabulary has, and longer than either length.
QUERIES = ["read a table", "x", "what is the mean of all values in a column", "naïve ~ 東京", "read " * 40]
PASSAGES = ["read_table(path): the table at a path", "mean of a column", "the values", "zzz", "a column of " * 30]
LENGTHS = {"query_length": 8, "passage_length": 14}


def tokenizer_folder(folder):
    tokenizers.train_wordpiece(QUERIES + PASSAGES, 100, folder)
    return folder


def our_vectors(model, tokenizer, texts, longest):
    """Vectors of texts as the stages retrieve and tokenize make them."""
    special = tokenizers.special_tokens_of(tokenizer)
    store = TokenStore.of(pa.array(map(str, range(len(texts)))), tokenizers.ids_of(tokenizer, texts), special, longest)
    return encoding.encode(model, store, np.arange(len(texts)), torch.device("cpu"), "encode")


def encoder_of(kind, folder):
    torch.manual_seed(0)
    return from_scratch(2, 16, 2, 100, 14) if kind == "ours" else load_pretrained(str(encoder_folder(folder, kind)))


@pytest.mark.parametrize(
    ("kind", "pooling", "dimension"),
    [
        ("ours", "mean", 8),
        ("ours", "cls", 8),
        ("ours", "mean", None),
        ("Bert", "mean", 8),
        ("DistilBert", "cls", 8),
        ("MPNet", "mean", 8),
        ("ModernBert", "mean", None),
    ],
)
def test_sentence_transformers_scores_as_we_do(tmp_path, kind, pooling, dimension):
    encoder = encoder_of(kind, tmp_path / "encoder")
    torch.manual_seed(1)
    model = BiEncoder(encoder, dimension, pooling).eval()
    with torch.no_grad():  # far from what a new model gives, whose vectors are almost equal
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    tokenizer = tokenizers.load(tokenizer_folder(tmp_path / "tokenizer"))
    ours = [
        our_vectors(model, tokenizer, texts, longest)
        for texts, longest in ((QUERIES, LENGTHS["query_length"]), (PASSAGES, LENGTHS["passage_length"]))
    ]
    tokenizer = tokenizers.load(tmp_path / "tokenizer")
    write_bi_encoder(model, LENGTHS, tokenizer, tmp_path / "exported")
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path / "exported"), device="cpu")
    queries, passages = theirs.encode_query(QUERIES), theirs.encode_document(PASSAGES)
    expected = ours[0].astype(np.float64) @ ours[1].astype(np.float64).T
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(queries, ours[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(theirs.similarity(queries, passages), expected, rtol=1e-5, atol=1e-5)
    # What is longer than a query may be was cut, so a passage of the same words is another text.
    assert not np.allclose(theirs.encode_document(QUERIES)[-1], queries[-1], atol=1e-3)
    assert list((tmp_path / "exported").glob("**/*.safetensors"))
    assert not list((tmp_path / "exported").glob("**/*.bin"))
