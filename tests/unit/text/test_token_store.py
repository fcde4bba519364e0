"""Token ids, batches and the encoder, against transformers."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import BertWordPieceTokenizer
from transformers import AutoModel, BertConfig, BertModel, BertTokenizer

from rankscale.core.errors import StudyError
from rankscale.models import bi_encoder, checkpoints, encoding, factory, packing
from rankscale.models.bert import BertShape
from rankscale.models.model_size import parameters_by_part
from rankscale.models.packing import pack
from rankscale.models.pretrained import load_pretrained
from rankscale.text import tokenizers
from rankscale.text.token_store import SpecialTokens, TokenStore

TEXTS = ["the cat sat", "a", "the the the cat cat sat on a mat of the cat", "mat", "the cat sat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small BERT and its tokenizer as a checkpoint folder."""
    folder = tmp_path_factory.mktemp("bert")
    tokenizers.train_wordpiece(TEXTS * 3, 60, folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 40}
    model = BertModel(BertConfig(vocab_size=60, **shape))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tokens(folder):
    tokenizer = tokenizers.load(folder)
    return TokenStore.of(
        pa.array(list("abcde")), tokenizers.ids_of(tokenizer, TEXTS), tokenizers.special_tokens_of(tokenizer), 8
    )


def test_the_vocabulary_is_a_function_of_the_texts():
    """Processes of their own: within one, hash maps may share their order."""
    code = """
import hashlib, sys
from rankscale.text.tokenizers import wordpieces
words = [f"{a}{b}ing {b}{a}er" for a in "abcdefghijkl" for b in "mnopqrstuv"]
print(hashlib.sha256(" ".join(wordpieces(words, 200)).encode()).hexdigest())
"""
    digests = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(4)}
    assert len(digests) == 1


def test_the_vocabulary_is_nearly_that_of_the_library():
    random = np.random.default_rng(0)
    syllables = [a + b for a in "bdfglmnprst" for b in "aeiou"]
    texts = [" ".join("".join(random.choice(syllables, random.integers(1, 4))) for _ in range(8)) for _ in range(400)]
    peer = BertWordPieceTokenizer(lowercase=True)
    peer.train_from_iterator(texts, vocab_size=300, show_progress=False)
    theirs = set(peer.get_vocab()) - set(tokenizers.SPECIAL)
    ours = set(tokenizers.wordpieces(texts, 295))
    assert len(ours) == 295
    # Equal counts are decided differently, and differently each time by the peer itself.
    assert len(ours & theirs) > 0.85 * 295


def test_a_word_that_bert_takes_for_unknown_shapes_no_vocabulary():
    # BERT's own limit: more than 100 letters are [UNK]. Merging takes their square: minutes for megabytes.
    words = ["alpha beta"] * 5
    assert tokenizers.wordpieces([*words, "ab" * 2_500_000], 60) == tokenizers.wordpieces(words, 60)
    pieces = tokenizers.wordpieces(["b" * 100], 40)
    assert max(map(len, pieces)) > 40


def test_batches_are_what_transformers_makes(folder, tokens):
    theirs = BertTokenizer.from_pretrained(folder)(TEXTS, truncation=True, max_length=8, padding=True)
    packed = pack((tokens, np.arange(2)), (tokens, np.arange(2, 5)))
    ids, inside = (padded[packed.back].tolist() for padded in packed.padded())
    assert ids == theirs["input_ids"]
    assert inside == [[bool(m) for m in mask] for mask in theirs["attention_mask"]]
    assert (np.diff(packed.lengths) <= 0).all()


def test_groups_of_like_length_hold_every_text_and_little_padding(monkeypatch):
    lengths = np.array([9, 9, 8, 4, 4, 4, 1])
    monkeypatch.setattr(packing, "PADDING", 4 * 3)  # three tokens of padding, at four numbers a state
    packed = packing.Packed(torch.arange(39), lengths, torch.arange(7))
    groups = packed.groups(4)
    assert [(g.texts.start, g.texts.stop, g.shape) for g in groups] == [(0, 3, (3, 9)), (3, 7, (4, 4))]
    for group in groups:
        states = torch.randn(group.tokens.stop - group.tokens.start, 2)
        assert torch.equal(group.unpad(group.pad(states)), states)
    assert groups[1].pad(packed.ids[groups[1].tokens, None].float())[3, 1:].eq(0).all()


def test_no_token_of_a_batch_exceeds_the_budget(tokens):
    batches = tokens.length_sorted(np.arange(5), 16)
    assert sorted(np.concatenate(batches)) == list(range(5))
    assert all(len(b) * tokens.lengths[b].max() <= 16 for b in batches)


def test_equal_texts_as_read_are_encoded_once():
    lists = pa.array(
        [[1, 2, 3], [1, 2, 4], [1, 2, 3], [9], [1, 2]], pa.list_(pa.field("item", pa.int32(), nullable=False))
    )
    cut_at_two = TokenStore.of(pa.array(list("abcde")), lists, SpecialTokens([7], [8], 0, 10), 4)
    distinct, which = cut_at_two.unique(np.arange(5))
    assert len(distinct) == 2
    assert which[0] == which[1] == which[2] == which[4] != which[3]


def test_a_length_without_room_is_refused(tokens):
    with pytest.raises(StudyError, match="leaves no room"):
        TokenStore.of(tokens.ids, pa.array([[1]]), tokens.special, 2)


def test_the_encoder_is_transformers_bert(folder, tokens):
    ours = load_pretrained(str(folder))
    theirs = AutoModel.from_pretrained(folder).eval()
    longest = np.flatnonzero(tokens.lengths == tokens.lengths.max())  # without padding there is no mask
    for rows in (np.arange(5), longest):
        packed = pack((tokens, rows))
        ids, inside = packed.padded()
        with torch.no_grad():
            expected = theirs(input_ids=ids, attention_mask=inside.long()).last_hidden_state
            assert torch.allclose(ours(packed), expected[inside], atol=2e-6)
            assert torch.allclose(ours.first(packed), expected[:, 0], atol=2e-6)


def test_groups_change_nothing_but_rounding(folder, tokens, monkeypatch):
    ours, packed = load_pretrained(str(folder)), pack((tokens, np.arange(5)))
    with torch.no_grad():
        one = ours(packed)
        monkeypatch.setattr(packing, "PADDING", 0)
        packed = pack((tokens, np.arange(5)))
        assert len(packed.groups(24)) > 1
        assert torch.allclose(ours(packed), one, atol=2e-6)


def test_mean_pooling_leaves_padding_out(folder, tokens):
    torch.manual_seed(1)
    model = bi_encoder.BiEncoder(load_pretrained(str(folder)), 6)
    together = encoding.encode(model, tokens, np.arange(5), torch.device("cpu"), "")
    alone = np.concatenate([encoding.encode(model, tokens, np.array([i]), torch.device("cpu"), "") for i in range(5)])
    assert np.allclose(together, alone, atol=1e-6)
    assert np.array_equal(together[0], together[4])  # the same text, to the bit


@pytest.mark.parametrize(
    ("layers", "hidden", "expected"),
    # Counted by hand for the published BERT miniatures: L (12 H^2 + 13 H).
    [(2, 128, 396_544), (2, 256, 1_579_520), (2, 512, 6_304_768), (2, 768, 14_175_744), (1, 20, 5_060)],
)
def test_parameters_are_counted_as_defined(layers, hidden, expected):
    model = bi_encoder.BiEncoder(factory.from_scratch(layers, hidden, 2, 100, 16), 32)
    parts = parameters_by_part(model)
    assert parts["encoder_parameters"] == expected
    assert parts["head_parameters"] == hidden * 32 + 32
    assert sum(parts.values()) == sum(p.numel() for p in model.parameters())


def test_a_checkpoint_comes_back(tmp_path, tokens):
    model = bi_encoder.BiEncoder(factory.from_scratch(1, 16, 2, 60, 16), 8)
    facts = {"output_dim": 8, "pooling": "mean", "model": "x"}
    checkpoints.save_checkpoint(model, tmp_path / "m.safetensors", facts)
    again, facts_again = checkpoints.load_checkpoint(tmp_path / "m.safetensors")
    assert facts_again == facts
    vectors = [encoding.encode(m, tokens, np.arange(5), torch.device("cpu"), "") for m in (model, again)]
    assert np.array_equal(*vectors)


@pytest.mark.parametrize("harm", [lambda b: b[:50], lambda b: b"", lambda b: b[:-10]])
def test_a_harmed_checkpoint_is_named(tmp_path, harm):
    path = tmp_path / "m.safetensors"
    checkpoints.save_checkpoint(
        bi_encoder.BiEncoder(factory.from_scratch(1, 16, 2, 60, 16), 8), path, {"output_dim": 8, "pooling": "mean"}
    )
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(StudyError, match=r"m\.safetensors: not a whole safetensors file"):
        checkpoints.load_checkpoint(path)


def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(StudyError, match="there is no such folder"):
        load_pretrained(str(tmp_path / "nowhere"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nonsense"}))
    with pytest.raises(StudyError, match="cannot be loaded"):
        load_pretrained(str(tmp_path))


def test_a_checkpoint_of_another_project_or_shape_is_named(tmp_path, tokens):
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(StudyError, match="is no checkpoint of this project"):
        checkpoints.load_checkpoint(path)
    facts = {"facts": {"output_dim": 9, "pooling": "mean"}, "encoder": BertShape(60, 16, 1, 2, 64, 16)._asdict()}
    facts["ranker"] = "bi_encoder"
    save_file({"a": torch.zeros(1)}, path, {"rankscale": json.dumps(facts)})
    with pytest.raises(StudyError, match="its weights do not fit its config"):
        checkpoints.load_checkpoint(path)


def test_vectors_that_are_not_finite_stop(tokens):
    model = bi_encoder.BiEncoder(factory.from_scratch(1, 16, 2, 60, 16), 8)
    torch.nn.init.constant_(model.head.bias, float("nan"))
    with pytest.raises(StudyError, match=r"gives [a-e] a vector that is not finite"):
        encoding.encode(model, tokens, np.arange(5), torch.device("cpu"), "")
