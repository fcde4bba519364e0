"""The library that draws the page's figure, as the page carries it."""

import base64
import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def packed_library() -> str:
    """plotly's script from the installed package, gzipped and in base64: 5 MB come as less than 2; browsers unpack it.

    Raises ModuleNotFoundError where plotly is not installed.
    """
    found = find_spec("plotly")  # not imported: only its script is wanted
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'plotly'", name="plotly")
    script = Path(found.submodule_search_locations[0]) / "package_data/plotly.min.js"
    # Without the time, equal scripts give equal pages.
    return base64.b64encode(gzip.compress(script.read_bytes(), 9, mtime=0)).decode()
