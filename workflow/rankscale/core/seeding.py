"""Random draws that depend on what they are for, never on the order in which work happens to be done."""

import hashlib

import numpy as np


def generator(*key: int | str) -> np.random.Generator:
    """A generator for one purpose, e.g. `generator(seed, "negatives", epoch)`.

    The key is hashed into a counter-based Philox stream: equal keys give equal draws on any machine, in any
    process and after any restart; different keys give independent ones.
    """
    digest = hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype=np.uint64)))
