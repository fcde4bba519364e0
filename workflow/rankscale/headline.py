"""Print what a finished study found, and where its report lies."""

import sys
from pathlib import Path

from rankscale import tables
from rankscale.errors import StudyError
from rankscale.findings import AXES, claim, findings, headline_table


def main(folder: Path) -> None:
    """Print the headline table and the claims of the study in `folder`."""
    read = {n: tables.read(n, folder / f"{n}.parquet").to_pandas() for n in ("metrics", "fits", "forecasts")}
    found = findings(**read)
    print(f"\n{headline_table(read['metrics']).to_markdown(index=False, disable_numparse=True, tablefmt='simple')}\n")
    for axis in AXES:
        print(f"Only Rank-Entropy scales, {axis} axis: {claim(found, axis)}.")
    print(f"\nIn words: {folder / 'summary.md'}\nReport:   {folder / 'report.html'}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/demo"))
    except StudyError as error:
        sys.exit(f"headline: {error}")
