"""Released checkpoints: read as sentence-transformers' files say, vectors as its steps give them."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

from rankscale.core.errors import StudyError
from rankscale.models import encoding
from rankscale.models.checkpoints import load_checkpoint, save_checkpoint
from rankscale.models.pretrained import load_pretrained
from rankscale.models.released import Released, read_released
from rankscale.storage import tables
from rankscale.text.token_store import TokenStore
from rankscale.text.tokenizers import ids_of, load, special_tokens_of, train_wordpiece
from rankscale.training.untrained.adopting import as_it_is
from rankscale.training.untrained.options import AdoptOptions

QUERIES = ["how does a parser read words", "a", "which file holds the query"]
PASSAGES = ["the parser reads a word at a time, and then the next", "a file of queries", "words", "nothing"]
PROMPTS = {"query": "find the words: ", "document": "a passage: "}


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def steps(*names):
    """A modules.json: `Pooling` in 1_Pooling, and so on."""
    paths = ["", *(f"{i}_{name}" for i, name in enumerate(names, 1))]
    types = ["Transformer", *names]
    return [{"idx": i, "path": path, "type": f"some.models.{types[i]}"} for i, path in enumerate(paths)]


@pytest.fixture
def folder(tmp_path):
    """A released BERT of three layers: mean of the states, length 1, prefixes."""
    folder = tmp_path / "released"
    train_wordpiece([*QUERIES, *PASSAGES, *PROMPTS.values()], 120, folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=120, max_position_embeddings=40, **shape)).save_pretrained(folder)
    write(folder, "modules.json", steps("Pooling", "Normalize"))
    write(folder, "1_Pooling/config.json", {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True})
    write(folder, "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False})
    write(folder, "config_sentence_transformers.json", {"prompts": PROMPTS, "similarity_fn_name": "cosine"})
    return folder


def expected(folder, texts, layers=3):
    """Vectors [n, 16] by transformers alone, text by text."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    model.encoder.layer = model.encoder.layer[:layers]
    with torch.no_grad():
        states = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0) for text in texts]
    return torch.nn.functional.normalize(torch.stack(states), dim=1).numpy()


@pytest.fixture
def tokens(folder, tmp_path):
    """The token ids of all texts beside their tokenizer."""
    tokenizer = load(folder)
    tokenizer.save_pretrained(tmp_path / "tokens")
    for unit, texts in (("queries", QUERIES), ("documents", PASSAGES)):
        tables.write("tokens", {"id": texts, "ids": ids_of(tokenizer, texts)}, tmp_path / f"tokens/{unit}.parquet")
    write(tmp_path / "tokens", "special.json", special_tokens_of(tokenizer)._asdict())
    return tmp_path / "tokens"


def built(folder, tokens, **more):
    """What the stage makes of a folder."""
    lengths = {"query_length": 32, "passage_length": 32}
    return as_it_is(AdoptOptions(model="m", checkpoint=str(folder), tokens=tokens, output=folder, **lengths, **more))


@pytest.mark.parametrize("layers", [None, 2])
def test_vectors_are_those_of_its_steps(folder, tokens, tmp_path, layers):
    model = built(folder, tokens, layers=layers)
    save_checkpoint(model, tmp_path / "kept.safetensors", {"output_dim": None, "pooling": model.pooling})
    model, _ = load_checkpoint(tmp_path / "kept.safetensors")
    read = model.as_read(*(TokenStore.read(tokens, unit, 32) for unit in ("queries", "documents")))
    for store, texts, prefix in zip(read, (QUERIES, PASSAGES), PROMPTS.values(), strict=True):
        found = encoding.encode(model, store, np.arange(len(texts)), torch.device("cpu"), "")
        assert found == pytest.approx(expected(folder, [prefix + text for text in texts], layers or 3), abs=1e-5)
    assert model.shape == (layers or 3, 16)


def test_without_its_files_the_config_says_how(folder, tokens):
    (folder / "modules.json").unlink()
    assert read_released(str(folder)) is None
    model = built(folder, tokens, ranker_parameters={"pooling": "cls"})
    assert (model.pooling, model.settings) == ("cls", {})


def test_a_length_that_it_does_not_read_is_refused(folder, tokens):
    write(folder, "sentence_bert_config.json", {"max_seq_length": 31})
    with pytest.raises(StudyError, match=r"training.query_length: 32 is more than the 31 tokens that m reads"):
        built(folder, tokens)


def test_what_files_leave_out(folder):
    (folder / "sentence_bert_config.json").unlink()
    write(folder, "modules.json", steps("Pooling"))
    write(folder, "1_Pooling/config.json", {"pooling_mode": "cls"})
    write(folder, "config_sentence_transformers.json", {"similarity_fn_name": "dot"})
    assert read_released(str(folder)) == Released("cls", False, "", "", None)
    write(folder, "config_sentence_transformers.json", {"prompts": {"both": "b: "}, "default_prompt_name": "both"})
    assert read_released(str(folder)) == Released("cls", True, "b: ", "b: ", None)  # cosine, where nothing is said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("modules.json", steps("Pooling", "Dense"), "makes a vector by Transformer, Pooling, Dense; only"),
        ("modules.json", {"a": 1}, "modules.json, or what it names, is odd"),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pools by max_tokens; mean or cls"),
        ("1_Pooling/config.json", {}, "pools by nothing; mean or cls"),
        ("config_sentence_transformers.json", {"similarity_fn_name": "manhattan"}, "compares vectors by manhattan"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "lowers texts"),
    ],
)
def test_steps_that_there_are_none_of_are_refused(folder, name, content, said):
    write(folder, name, content)
    with pytest.raises(StudyError, match=said):
        read_released(str(folder))


def test_a_prefix_that_its_text_changes_is_refused(folder):
    with pytest.raises(StudyError, match="share a token"):
        Released("mean", True, "pre", "", None).parameters(folder)


def test_more_layers_than_there_are_are_refused(folder):
    with pytest.raises(StudyError, match="has 3 layers; 4 are more"):
        load_pretrained(str(folder), 4)
