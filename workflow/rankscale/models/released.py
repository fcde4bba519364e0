"""What a released checkpoint says of how it makes vectors of texts, where it says it as sentence-transformers does.

That library keeps its steps in modules.json, each one's settings in a folder of its own, and prefixes and similarity
in config_sentence_transformers.json.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from rankscale.core.errors import StudyError
from rankscale.models.kinds import vocabulary

POOLINGS = {"mean_tokens": "mean", "mean": "mean", "cls_token": "cls", "cls": "cls"}
SIMILARITIES = {None: True, "cosine": True, "dot": False, "dot_product": False}  # whether vectors count at length 1
QUERIES, PASSAGES = ("query",), ("document", "passage", "corpus")  # the names of their prompts, the first one there


class Released(NamedTuple):
    """How a checkpoint reads and pools texts; `longest`: tokens of a text that it reads, None where it does not say."""

    pooling: str
    normalize: bool
    query_prefix: str
    passage_prefix: str
    longest: int | None

    def parameters(self, tokens: Path) -> dict[str, Any]:
        """The parameters of a bi-encoder of these ways, its prefixes by the tokenizer beside the ids in `tokens`."""
        parameters: dict[str, Any] = {"pooling": self.pooling, "normalize": self.normalize}
        for name in ("query_prefix", "passage_prefix"):
            parameters[name] = vocabulary.prefix_tokens(tokens, getattr(self, name))
        return parameters


def read_released(checkpoint: str) -> Released | None:
    """What the checkpoint of a folder or hub id says; None where it has no modules.json.

    Raises StudyError for steps, a pooling or a similarity that there are none of here, and for files that are odd.
    """
    modules = _read(checkpoint, "modules.json")
    if modules is None:
        return None
    try:
        steps = [(module["type"].rpartition(".")[2], module["path"]) for module in modules]
        names = [name for name, _ in steps]
        if names[:2] != ["Transformer", "Pooling"] or names[2:] not in ([], ["Normalize"]):
            raise StudyError(
                f"checkpoint {checkpoint}: makes a vector by {', '.join(names)}; only Transformer, Pooling and "
                "Normalize can be read"
            )
        if steps[0][1]:
            raise StudyError(f"checkpoint {checkpoint}: has its weights in {steps[0][1]}; name that folder")
        pooling = _read(checkpoint, f"{steps[1][1]}/config.json") or {}
        about = _read(checkpoint, "config_sentence_transformers.json") or {}
        reads = _read(checkpoint, "sentence_bert_config.json") or {}
        similarity = about.get("similarity_fn_name")
        if similarity not in SIMILARITIES:
            raise StudyError(f"checkpoint {checkpoint}: compares vectors by {similarity}; cosine and dot can be read")
        if reads.get("do_lower_case"):
            raise StudyError(f"checkpoint {checkpoint}: lowers texts before its tokenizer does, which cannot be read")
        query, passage = _prompt(about, QUERIES), _prompt(about, PASSAGES)
        if (query or passage) and not pooling.get("include_prompt", True):
            raise StudyError(f"checkpoint {checkpoint}: leaves its prefixes out of the pooling, which cannot be read")
        normalize = names[2:] == ["Normalize"] or SIMILARITIES[similarity]
        return Released(_pooling(checkpoint, pooling), normalize, query, passage, reads.get("max_seq_length"))
    except (TypeError, KeyError, AttributeError) as error:
        raise StudyError(f"checkpoint {checkpoint}: modules.json, or what it names, is odd ({error!r})") from error


def _pooling(checkpoint: str, config: dict[str, Any]) -> str:
    """The one pooling that a config switches on, or names."""
    prefix = "pooling_mode_"
    chosen = [key.removeprefix(prefix) for key, value in config.items() if key.startswith(prefix) and value is True]
    chosen += [config["pooling_mode"]] if isinstance(config.get("pooling_mode"), str) else []
    if len(chosen) != 1 or chosen[0] not in POOLINGS:
        named = " and ".join(chosen) or "nothing"
        raise StudyError(f"checkpoint {checkpoint}: pools by {named}; mean or cls can be read")
    return POOLINGS[chosen[0]]


def _prompt(about: dict[str, Any], names: tuple[str, ...]) -> str:
    """What is put before texts: the first prompt of these names, else the default one, else nothing."""
    prompts = about.get("prompts") or {}
    own = next((prompts[name] for name in names if name in prompts), None)
    return str(own if own is not None else prompts.get(about.get("default_prompt_name"), ""))


def _read(checkpoint: str, name: str) -> Any:
    """A JSON file of a folder, or of the hub's as it was fetched; None where there is none."""
    path: Path | str | Any | None = Path(checkpoint).expanduser() / name
    if not Path(checkpoint).expanduser().is_dir():
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(checkpoint, name)
    if not isinstance(path, str | Path) or not Path(path).is_file():
        return None
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(f"checkpoint {checkpoint}: {name} cannot be read ({error})") from error
