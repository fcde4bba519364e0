"""Digests of what is kept: of values in memory by their content, of files by their bytes."""

import hashlib
import json
from pathlib import Path

import numpy as np


def content_hash(*parts: object) -> str:
    """A hash of arrays, torch's tensors and plain values, by their bytes, types and shapes."""
    total = hashlib.sha256()
    for part in parts:
        # A tensor is known by its methods: this package does without torch.
        array = part.detach().cpu().numpy() if hasattr(part, "detach") else part
        if isinstance(array, np.ndarray):
            total.update(f"{array.dtype} {array.shape}".encode())
            total.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
        else:
            total.update(json.dumps(part, sort_keys=True, default=str).encode())
    return total.hexdigest()


def file_hash(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
