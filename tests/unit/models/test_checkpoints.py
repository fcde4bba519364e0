"""What is read from a checkpoint is what was written: every weight, every vector, every byte; or nothing."""

import json
import logging

import numpy as np
import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModel

from rankscale.core.errors import StudyError
from rankscale.core.layout import FINAL, RunId, run_folder
from rankscale.models import bi_encoder, checkpoints, factory
from rankscale.models.packing import Packed
from rankscale.models.pretrained import load_pretrained, position_limit

SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
XL_SIZE = {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
SHAPES = {
    "Bert": SIZE,
    "Roberta": {**SIZE, "pad_token_id": 7},
    "DistilBert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "MPNet": SIZE,
    "Electra": {**SIZE, "embedding_size": 8},
    "Albert": {**SIZE, "embedding_size": 8},
    "XLNet": XL_SIZE,
    "ModernBert": {**SIZE, **SPECIAL, "local_attention": 4, "global_attn_every_n_layers": 2},
    "DebertaV2": {**SIZE, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "GPTNeoX": SIZE,
    "Qwen3": {**SIZE, "num_key_value_heads": 2, "head_dim": 8},
    "Gemma3Text": {**SIZE, **SPECIAL, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4},
}
FACTS = {"output_dim": 8, "pooling": "mean", "variant": "base", "model": "m", "train_queries": 5, "seed": 1, "step": 3}


def texts():
    ids = torch.randint(8, 100, (18,), generator=torch.Generator().manual_seed(1))
    return Packed(ids, np.array([8, 6, 4]), torch.arange(3))


def encoder_folder(folder, kind, dtype=torch.float32, **settings):
    """A tiny encoder as a hub has it, its config with `settings` besides."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(vocab_size=100, **SHAPES[kind])
    AutoModel.from_config(config).to(dtype).save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return folder


def refuse_difference(first, second):
    """Parameters, buffers (those too that no checkpoint holds) and vectors, by value and type."""
    one, other = ({**dict(m.named_parameters()), **dict(m.named_buffers())} for m in (first, second))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.dtype == other[name].dtype, name
        assert torch.equal(value, other[name]), name
    with torch.no_grad():
        assert torch.equal(first.eval()(texts()), second(texts()))


def trained(encoder, pooling="mean"):
    """A ranker whose weights are no longer those of a file in half precision."""
    ranker = bi_encoder.BiEncoder(encoder, 8, pooling)
    with torch.no_grad():
        for parameter in ranker.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return ranker


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", SHAPES)
def test_what_is_read_is_what_was_trained(tmp_path, kind, dtype):
    ranker = trained(load_pretrained(str(encoder_folder(tmp_path, kind, dtype))))
    checkpoints.save_checkpoint(ranker, tmp_path / "a.safetensors", FACTS)
    again, facts = checkpoints.load_checkpoint(tmp_path / "a.safetensors")
    refuse_difference(ranker, again)
    checkpoints.save_checkpoint(again, tmp_path / "b.safetensors", facts)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "DistilBert"])
@pytest.mark.parametrize(
    "settings",
    [
        {"torch_dtype": "bfloat16"},
        {"attn_implementation": "eager"},
        {"tie_word_embeddings": False},
        {"pad_token_id": 99},
        {"return_dict": False},
        {"output_hidden_states": True, "output_attentions": True},
        {"id2label": {str(i): f"LABEL_{i}" for i in range(12)}},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_whatever_its_config_says(tmp_path, kind, settings):
    ranker = trained(load_pretrained(str(encoder_folder(tmp_path, kind, **settings))))
    checkpoints.save_checkpoint(ranker, tmp_path / "a.safetensors", FACTS)
    refuse_difference(ranker, checkpoints.load_checkpoint(tmp_path / "a.safetensors")[0])


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_our_own_encoder_too(tmp_path, pooling):
    ranker = trained(factory.from_scratch(1, 16, 2, 100, 16), pooling)
    checkpoints.save_checkpoint(ranker, tmp_path / "a.safetensors", {**FACTS, "pooling": pooling})
    refuse_difference(ranker, checkpoints.load_checkpoint(tmp_path / "a.safetensors")[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pad_token_id": None}, "it cannot read a text"),
        ({"position_embedding_type": "relative_key"}, "its positions are relative"),
    ],
)
def test_a_config_that_misleads_is_named(tmp_path, settings, message):
    folder = encoder_folder(tmp_path, "Roberta", **settings)
    with pytest.raises(StudyError, match=message):
        load_pretrained(str(folder))


def test_an_encoder_without_a_limit_has_none(tmp_path):
    """XLNet's config gives -1 positions: any number."""
    assert position_limit(load_pretrained(str(encoder_folder(tmp_path / "xlnet", "XLNet")))) is None
    assert position_limit(load_pretrained(str(encoder_folder(tmp_path / "bert", "Bert")))) == 512


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "a.safetensors"
    checkpoints.save_checkpoint(bi_encoder.BiEncoder(factory.from_scratch(1, 8, 2, 100, 8), 8), path, FACTS)
    return path


def test_no_bit_of_it_can_turn_without_a_word(written, tmp_path):
    """Every 61st of its bits, in the weights and in what is kept with them: refused, or a space of the header's end."""
    whole = written.read_bytes()
    weights, facts = checkpoints.load_checkpoint(written)
    path, passed = tmp_path / "a.safetensors", 0
    for bit in range(0, 8 * len(whole), 61):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            again, facts_again = checkpoints.load_checkpoint(path)
        except StudyError as error:
            assert str(path) in str(error)
        else:
            passed += 1
            assert facts == facts_again
            refuse_difference(weights, again)
    assert passed < 5


def test_nor_a_page_of_zeros(written, tmp_path):
    whole = written.read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole[:-2048] + bytes(2048))
    with pytest.raises(StudyError, match=r"a\.safetensors: its bytes are not those that were written"):
        checkpoints.load_checkpoint(tmp_path / "a.safetensors")


def test_a_checkpoint_without_a_digest_is_read_and_named(written, tmp_path, caplog):
    """As earlier versions wrote it."""
    with safe_open(written, "pt") as file:
        kept = json.loads(file.metadata()["rankscale"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    del kept["digest"]
    save_file(tensors, tmp_path / "old.safetensors", {"rankscale": json.dumps(kept)})
    with caplog.at_level(logging.WARNING):
        again, _ = checkpoints.load_checkpoint(tmp_path / "old.safetensors")
    refuse_difference(checkpoints.load_checkpoint(written)[0], again)
    assert "old.safetensors: an older version wrote it, without a digest" in caplog.text


def test_one_model_in_the_place_of_another_is_refused(written, tmp_path):
    for run in (RunId("base", "m", "5", 1), RunId("base", "m", "all", 1)):
        path = tmp_path / run_folder("study", run) / f"{FINAL}.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(written.read_bytes())
        assert checkpoints.load_checkpoint(path)[1]["model"] == "m"
    path = tmp_path / run_folder("study", RunId("base", "n", "5", 1)) / f"{FINAL}.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(written.read_bytes())
    with pytest.raises(StudyError, match=r"final\.safetensors: model is m, where n is asked for"):
        checkpoints.load_checkpoint(path)
