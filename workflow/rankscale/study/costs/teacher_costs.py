"""What teachers will take, counted before anything runs: the FLOPs of their scores of the training queries."""

import json
import struct
from pathlib import Path
from typing import Any

from rankscale.core.layout import Layout
from rankscale.study import teachers
from rankscale.study.costs.model_shapes import Shape, forward_flops, shape


def teacher_work(study: dict[str, Any], size: dict[str, float]) -> list[tuple[Shape, float, str]]:
    """Of each table of a teacher that computes: its layers and hidden size, FLOPs, and file; `size` as of the study.

    A teacher whose size cannot be told is left out. The miner's scores are there already, and so are a file's.
    """
    layout, work = Layout.of(study), []
    for table, teacher in teachers.teachers(study).items():
        known, kind = _shape(study, teacher), teachers.teacher_kind(teacher)
        if known is None or kind in (teachers.MINER, "file"):
            continue
        shards = len(teachers.tables_of(teacher))
        pairs = size["train"] * (1 + (teacher.get("top_k") or study["miner"]["top_k"])) / shards
        lengths = {unit: size[unit] for unit in ("passage", "query")}
        if kind != "checkpoint":  # it cuts texts at its own lengths
            lengths = {unit: min(size[f"{unit}_whole"], teacher[f"{unit}_length"]) for unit in lengths}
        if kind == "cross_encoder":
            flops = forward_flops(known, {"pair": pairs}, {"pair": sum(lengths.values())})
        else:
            texts = {"query": size["train"] / shards, "passage": min(size["documents"], pairs)}
            flops = forward_flops(known, texts, lengths)
        work.append((known, flops, layout.teacher(table)))
    return work


def unknown_teachers(study: dict[str, Any]) -> list[str]:
    """The teachers that compute and whose size cannot be told."""
    own = {teachers.teacher_name(teacher): teacher for teacher in teachers.teachers(study).values()}
    computing = {n: t for n, t in own.items() if teachers.teacher_kind(t) not in (teachers.MINER, "file")}
    return sorted(name for name, teacher in computing.items() if _shape(study, teacher) is None)


def _shape(study: dict[str, Any], teacher: dict[str, Any]) -> Shape | None:
    """Of a model as its folder or name says; of a checkpoint as its file says, or the run that is to make it."""
    if teacher.get("model"):
        return shape({"checkpoint": teacher["model"]})
    if teachers.teacher_kind(teacher) != "checkpoint":
        return None
    path = Path(teacher["scores"]).expanduser()
    if teachers.is_own(study, teacher):
        models = {model["name"]: model for model in study["models"]}
        return shape(models[path.parts[-4]])
    try:  # safetensors: eight bytes of length, then JSON
        with open(path, "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        encoder = json.loads(header["__metadata__"]["rankscale"])["encoder"]
        return int(encoder["num_hidden_layers"]), int(encoder["hidden_size"])
    except (OSError, ValueError, KeyError, TypeError, struct.error, OverflowError, MemoryError):
        return None
