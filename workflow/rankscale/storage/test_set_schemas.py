"""The schemas of what stands beside a study's own test set: references, slices, and laws on other test sets."""

from collections.abc import Callable, Mapping

import pyarrow as pa

from rankscale.core.metrics import SCALE_FREE

text, i32, i64, f64 = pa.string(), pa.int32(), pa.int64(), pa.float64()
TRANSFER_NUMBERS = (
    *("home_estimate", "home_low", "home_high", "estimate", "low", "high"),
    *("difference", "difference_low", "difference_high"),
)


def test_set_tables(
    schema: Callable[..., pa.Schema], evaluated: Mapping[str, pa.DataType], retrieval: tuple[str, ...]
) -> dict[str, pa.Schema]:
    """By name; `schema` makes one, `evaluated` are the key columns of a checkpoint's evaluation."""
    return {
        # Rankings that nothing was trained for; what is no ranking of the candidates has no metrics over them.
        "references": schema(
            "collection reference split candidates",
            " ".join((*SCALE_FREE, *retrieval)),
            **dict.fromkeys(("collection", "reference", "about", "split", "candidates"), text),
            n_candidates=i32,
            n_queries=i64,
            **dict.fromkeys(SCALE_FREE, f64),
            retrieval=text,
            **dict.fromkeys(retrieval, f64),
        ),
        "slices": schema(
            " ".join((*evaluated, "split", "candidates", "slicing", "slice")),
            **evaluated,
            **dict.fromkeys(("split", "candidates", "slicing", "slice"), text),
            n_queries=i64,
            **dict.fromkeys((*SCALE_FREE, "worst_tenth", "spread"), f64),
        ),
        # Of laws on the headline's test set (home) and on another; null where there is no law, and of drops, which are
        # of both.
        "transfers": schema(
            "collection variant split candidates metric parameter",
            " ".join(TRANSFER_NUMBERS),
            **dict.fromkeys(("collection", "variant", "split", "candidates", "home_collection", "home_split"), text),
            **dict.fromkeys(("metric", "law", "parameter"), text),
            **dict.fromkeys(TRANSFER_NUMBERS, f64),
            note=text,
        ),
    }
