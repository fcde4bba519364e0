"""Configs and files harmed at random, many: the first that gives neither a right result nor a StudyError is shown.

python -m tests.benchmarks.damage --configs 10000 --files 2000 [--seed 0]
"""

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.benchmarks.measure import table
from tests.unit import damage


def main(args: argparse.Namespace) -> None:
    """Harm so many configs and files, and count what became of them."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        kinds = damage.kinds(folder)
        outcomes: Counter[tuple[str, bool]] = Counter()

        def config(study):
            outcomes["configs", damage.check_config(study)] += 1

        def file(kind, deeds):
            outcomes[kind.name, damage.check_file(kind, deeds, folder)] += 1

        for check, strategies, most in (
            (config, (damage.configs(),), args.configs),
            (file, (st.sampled_from(kinds), damage.harms()), args.files),
        ):
            started = time.perf_counter()
            how = settings(max_examples=most, database=None, deadline=None, suppress_health_check=list(HealthCheck))
            seed(args.seed)(how(given(*strategies)(check)))()
            print(f"{most} of {check.__name__} in {time.perf_counter() - started:.0f} s", flush=True)
    names = sorted({name for name, _ in outcomes})
    rows = [{"harmed": n, "accepted or read right": outcomes[n, True], "StudyError": outcomes[n, False]} for n in names]
    table("Harmed at random", rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configs", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    main(parser.parse_args())
