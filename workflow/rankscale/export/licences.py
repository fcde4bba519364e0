"""The licence of the checkpoint that a model started from, as that checkpoint's own card gives it."""

import re
from pathlib import Path

CARD = "README.md"
FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)
LICENCE = re.compile(r"^license:\s*[\"']?([\w.+-]+)", re.MULTILINE)


def licence_of(checkpoint: str) -> str | None:
    """The licence that the card of a hub id or folder names, by the hub's word for it; None where none is at hand.

    Nothing is downloaded: of a hub id, the card is read where it lies in the cache.
    """
    folder = Path(checkpoint).expanduser()
    path = folder / CARD if folder.is_dir() else _cached(checkpoint)
    if path is None or not path.is_file():
        return None
    front = FRONT.search(path.read_text(encoding="utf-8", errors="replace"))
    licence = LICENCE.search(front[1]) if front else None
    return licence[1] if licence else None


def _cached(hub_id: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    try:
        path = try_to_load_from_cache(hub_id, CARD)
    except ValueError:  # no hub id
        return None
    return Path(path) if isinstance(path, str) else None
