"""All that a first GPU must show, in one call and a bounded time, the most valuable first.

python -m tests.benchmarks.gpu_all --minutes 8 --output DIR     (--device cpu --tiny tries it without a GPU)

Needs torch, transformers, pyarrow and numpy. `DIR/rows.jsonl` grows as results come, `DIR/results.md` is written anew
after each part; what is missing is said there, and the rest runs. Each part has a process of its own: one that hangs or
breaks the card's context ends, and the next begins.
"""

import argparse
import json
import os
import platform
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDED = ("torch", "numpy", "pyarrow", "transformers")
SHARES = {"agreement": 1.0, "training": 3.5, "encoding": 1.5, "search": 1.5}  # of the time, in their order
GRACE = 15.0  # seconds after its time in which a part may end by itself


def machine(device: str) -> dict[str, object]:
    """What it runs on, and what is missing for that."""
    row: dict[str, object] = {"what": "machine", "python": platform.python_version(), "processors": os.cpu_count()}
    missing = [name for name in NEEDED if find_spec(name) is None]
    if "torch" not in missing:
        import torch

        row["torch"] = torch.__version__
        if torch.cuda.is_available():
            memory = torch.cuda.get_device_properties(0).total_memory
            row |= {"GPU": torch.cuda.get_device_name(), "GPU GB": memory / 2**30, "CUDA": torch.version.cuda}
        elif device == "cuda":
            missing.append("a GPU that torch sees")
    return row | ({"missing": ", ".join(missing)} if missing else {})


def part_rows(name: str, seconds: float, device: str, tiny: bool) -> Iterator[dict[str, object]]:
    """The rows of a part as they come, then how long it took; it is killed some time after its own."""
    me = [sys.executable, "-m", "tests.benchmarks.gpu_all", "--part", name, "--device", device]
    me += ["--minutes", str(seconds / 60), *(["--tiny"] if tiny else [])]
    paths = os.pathsep.join(filter(None, (str(ROOT / "workflow"), os.environ.get("PYTHONPATH"))))
    start = time.monotonic()
    child = subprocess.Popen(
        me, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}
    )
    lines: queue.Queue[str | None] = queue.Queue()
    told: list[str] = []
    assert child.stdout is not None and child.stderr is not None
    errors = child.stderr

    def read(stream) -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, args=(child.stdout,), daemon=True).start()
    threading.Thread(target=lambda: told.extend(errors), daemon=True).start()
    killed = False
    while True:
        try:
            line = lines.get(timeout=max(0.1, start + seconds + GRACE - time.monotonic()))
        except queue.Empty:
            child.kill()
            killed = True
            continue
        if line is None:
            break
        if line.startswith("ROW "):
            yield json.loads(line[4:])
    code = child.wait()
    row: dict[str, object] = {"what": "time", "seconds": time.monotonic() - start}
    if killed:
        row["failed"] = f"killed after {seconds + GRACE:.0f} s"
    elif code:
        row["failed"] = "".join(told)[-300:].strip() or f"exit {code}"
    yield row


def run_part(name: str, seconds: float, device: str, tiny: bool) -> None:
    """One part in this process: a line a row."""
    deadline = time.monotonic() + seconds
    import torch

    from tests.benchmarks.gpu_parts import PARTS, Task

    for row in PARTS[name](Task(torch.device(device), deadline, tiny)):
        print("ROW " + json.dumps(row, default=str), flush=True)


def as_table(rows: list[dict[str, object]]) -> str:
    """Rows as a table in Markdown."""
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "part"))

    def cell(value: object) -> str:
        return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value).replace("\n", " ")

    lines = [columns, ["---"] * len(columns), *([cell(row.get(column)) for column in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_results(rows: list[dict[str, object]], path: Path) -> None:
    """All rows so far, a table a part."""
    parts = dict.fromkeys(str(row["part"]) for row in rows)
    text = [f"# What this machine showed, {time.strftime('%Y-%m-%d')}"]
    text += [f"## {part}\n\n{as_table([row for row in rows if row['part'] == part])}" for part in parts]
    beside = path.with_suffix(".part")
    beside.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    beside.replace(path)


def main() -> None:
    """Run the parts within the time, and write what they showed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu_all", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything")
    parser.add_argument("--output", type=Path, help="folder for rows.jsonl and results.md")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes that tell nothing but that it runs")
    parser.add_argument("--part", choices=SHARES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        run_part(args.part, args.minutes * 60, args.device, args.tiny)
        return
    if args.output is None:
        parser.error("--output: name a folder")
    args.output.mkdir(parents=True, exist_ok=True)
    deadline, rows = time.monotonic() + args.minutes * 60, []
    with open(args.output / "rows.jsonl", "w", encoding="utf-8") as log:

        def keep(part: str, row: dict[str, object]) -> None:
            rows.append({"part": part, **row})
            log.write(json.dumps(rows[-1]) + "\n")
            log.flush()
            print(json.dumps(rows[-1]), flush=True)

        keep("machine", machine(args.device))
        waiting = [] if "missing" in rows[0] else list(SHARES)
        while waiting:
            part = waiting[0]
            # What one part leaves of its time, the others have.
            left = max(0.0, deadline - time.monotonic() - GRACE)
            share = left * SHARES[part] / sum(SHARES[name] for name in waiting)
            for row in part_rows(part, share, args.device, args.tiny):
                keep(part, row)
            waiting.pop(0)
            write_results(rows, args.output / "results.md")
    write_results(rows, args.output / "results.md")


if __name__ == "__main__":
    main()
