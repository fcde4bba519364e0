"""Progress bars: rate and time left on a terminal, nothing in a log file."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def progress(items: Iterable, doing: str, unit: str) -> Iterator:
    """Iterate with a bar (rate and time left) on a terminal; silent in a log file."""
    return iter(_bar(doing, unit, iterable=items))


def progress_bar(total: int, doing: str, unit: str) -> "tqdm":
    """The same bar for a loop that moves it by hand."""
    return _bar(doing, unit, total=total)


def _bar(doing: str, unit: str, **kwargs: Any) -> "tqdm":
    from tqdm import tqdm

    return tqdm(desc=doing, unit=unit, disable=None, leave=False, mininterval=0.5, **kwargs)
