"""What the benchmarks share: a part measured in a process of its own, sides in turn, a table of what came out."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
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


def part(module: str, name: str, *arguments, env: Mapping[str, str] | None = None) -> dict:
    """Run one part of a benchmark in a process of its own, with more in its environment; what it reported."""
    command = [sys.executable, "-m", module, name, *map(str, arguments)]
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True, env=environment)
    return json.loads(done.stdout.rpartition("MEASURED ")[2])


def in_turn(sides: Mapping[str, Callable[[], dict]], rounds: int | None = None) -> dict[str, list[dict]]:
    """What each side reported in each of several rounds (BENCH_ROUNDS, 5); each round begins with another side.

    A machine's speed moves: sides that are measured in the same round see the same machine.
    """
    rounds = int(os.environ.get("BENCH_ROUNDS", "5")) if rounds is None else rounds
    names, reports = list(sides), {name: [] for name in sides}
    for number in range(rounds):
        for name in (*names[number % len(names) :], *names[: number % len(names)]):
            reports[name].append(sides[name]())
    return reports


def spread(values: list[float]) -> str:
    """The median, and the least and the greatest."""
    ends = f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else ""
    return f"{statistics.median(values):.3g}{ends}"


def compared(reports: Mapping[str, list[dict]], base: str, ratio: str, work: float = 0, unit: str = "") -> list[dict]:
    """A row a side: seconds, and `ratio`, how many times those of the side `base` in the same round; median and spread.

    With `work`, rates in `unit` stand in the place of seconds. Other numbers that sides report come as medians.
    """
    rows = []
    for name, own in reports.items():
        seconds = [report["seconds"] for report in own]
        of_base = [mine / report["seconds"] for mine, report in zip(seconds, reports[base], strict=True)]
        row = {"what": name} | (
            {unit: spread([work / one for one in seconds])} if work else {"seconds": spread(seconds)}
        )
        numbers = {key for key, value in own[0].items() if key != "seconds" and isinstance(value, (int, float))}
        row |= {key: statistics.median(report[key] for report in own) for key in sorted(numbers)}
        rows.append(row | {ratio: spread(of_base)})
    return rows


def processor() -> str:
    """What the processor calls itself, and how many of it there are."""
    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return f"{len(names)} x {names[0] if names else 'unknown'}"


def table(title: str, rows: list[dict]) -> None:
    """Print a table, and what it was measured on; append it to the file that BENCH_RESULTS names, if it does."""
    from tabulate import tabulate

    text = tabulate(rows, headers="keys", tablefmt="github", floatfmt=".3g")
    print(f"\n{title} ({processor()})\n\n{text}", flush=True)
    if os.environ.get("BENCH_RESULTS"):
        with open(os.environ["BENCH_RESULTS"], "a", encoding="utf-8") as file:
            file.write(f"{title}:\n\n{text}\n\n")
