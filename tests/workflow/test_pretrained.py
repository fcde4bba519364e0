"""A study whose models and miner start from a checkpoint folder, as from a hub."""

import shutil

import pytest
import torch
from transformers import BertConfig, BertModel

from rankscale.search import vector_shards
from rankscale.storage import tables
from rankscale.text.tokenizers import train_wordpiece
from tests.conftest import SMALL, run, stage


@pytest.fixture(scope="module")
def folder(project, tmp_path_factory):
    """The finished project beside a small BERT, with a study that uses it twice."""
    folder = shutil.copytree(project, tmp_path_factory.mktemp("pretrained") / "p", symlinks=True)
    texts = tables.read("documents", folder / "results/shared/docstrings/documents.parquet")["text"].to_pylist()
    train_wordpiece(texts[:500], 1000, folder / "bert")
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=1000, **shape)).save_pretrained(folder / "bert")
    config = SMALL.replace("study: demo", "study: own").replace(
        "  - {name: L1H8, layers: 1, hidden: 8, heads: 2}\n", ""
    )
    config = config.replace("{name: L1H16, layers: 1, hidden: 16, heads: 2}", "{name: L1H16, checkpoint: ./bert}")
    config = config.replace(
        "{name: lsa, top_k: 50}", "{name: bert, encoder: ./bert, top_k: 50, shards: 2, query_prefix: 'find: '}"
    )
    (folder / "own.yaml").write_text(config)
    return folder


def test_it_runs_and_says_what_it_used(folder):
    target = "results/own/scores/docstrings/base/L1H16/256/42/final.parquet"
    run(f"snakemake {target} --cores 2 --configfile own.yaml", folder)
    row = tables.read("checkpoints", folder / "results/own/models/base/L1H16/256/42/checkpoints.parquet").to_pylist()[0]
    assert row["encoder_parameters"] == 12 * 16**2 + 13 * 16
    assert row["embedding_parameters"] == (1000 + 512 + 2 + 2) * 16
    # The checkpoint's own tokenizer was used, and both shards of the miner's vectors.
    assert list(folder.glob("results/shared/docstrings/tokens/bert-*/documents.parquet"))
    mined = folder / "results/shared/docstrings/bert"
    assert sum(vector_shards.shard_shape(mined / f"documents/{s}.parquet")[0] for s in (0, 1)) == 3000
    assert sum(tables.count(mined / f"negatives/{s}.parquet") for s in (0, 1)) == 3000


def test_changed_weights_train_and_encode_anew(folder):
    planned = "snakemake -n --cores 1 --configfile own.yaml"
    target = "results/own/scores/docstrings/base/L1H16/256/42/final.parquet"
    command = planned.replace("snakemake", f"snakemake {target}")
    assert "Nothing to be done" in run(command, folder).stdout
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=1000, **shape)).save_pretrained(folder / "bert")
    output = run(command, folder).stdout
    assert "rankscale encode" in output
    assert "rankscale train" in output


def test_weights_that_do_not_fit_are_refused(folder, tmp_path):
    from rankscale.core.errors import StudyError
    from rankscale.models.pretrained import load_pretrained

    shutil.copytree(folder / "bert", tmp_path / "odd")
    config = (tmp_path / "odd/config.json").read_text()
    (tmp_path / "odd/config.json").write_text(config.replace('"num_hidden_layers": 1', '"num_hidden_layers": 3'))
    with pytest.raises(StudyError, match=r"its weights do not fit the model: encoder\.layer\.1"):
        load_pretrained(str(tmp_path / "odd"))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("checkpoint: ./bert", "checkpoint: ./gone", "models: L1H16: checkpoint ./gone: there is no such folder"),
        ("encoder: ./bert", "encoder: ./gone", "miner.encoder: ./gone: there is no such folder"),
    ],
)
def test_a_folder_that_is_not_there_is_refused_at_once(folder, before, after, message):
    (folder / "gone.yaml").write_text((folder / "own.yaml").read_text().replace(before, after))
    done = run("snakemake -n --cores 1 --configfile gone.yaml", folder, check=False)
    assert done.returncode == 1
    assert message in done.stdout


def test_a_checkpoint_without_a_tokenizer_is_refused(folder, tmp_path):
    """Transformers would make an empty one, and all texts the same."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folder / "bert" / name, tmp_path)
    paths = ("--collection", folder / "results/shared/docstrings", "--output", tmp_path / "tokens")
    done = stage("tokenize", *paths, "--tokenizer", tmp_path, check=False)
    assert done.returncode == 1
    assert "knows no words" in done.stdout.splitlines()[-1]
