"""What the benchmarks share: a part measured in a process of its own, and a table of what came out."""

import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def rss() -> float:
    """Memory of this process now, in MB."""
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("VmRSS")).split()[1]) / 1024


class Clock:
    """Seconds and extra peak memory of a block; prints them as the last line of the process."""

    def __enter__(self):
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # forget the peak so far
        self.before, self.start = rss(), time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.start
        with open("/proc/self/status") as file:
            peak = int(next(line for line in file if line.startswith("VmHWM")).split()[1]) / 1024
        self.extra = peak - self.before


def report(**figures) -> None:
    """What a part has to say to the benchmark that called it."""
    print("MEASURED " + json.dumps(figures), flush=True)


def part(module: str, name: str, *arguments) -> dict:
    """Run one part of a benchmark in a process of its own; what it reported."""
    command = [sys.executable, "-m", module, name, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.rpartition("MEASURED ")[2])


def table(title: str, rows: list[dict]) -> None:
    """Print a table, and what it was measured on."""
    from tabulate import tabulate

    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    print(f"\n{title} ({len(names)} x {names[0]})\n")
    print(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".3g"), flush=True)
