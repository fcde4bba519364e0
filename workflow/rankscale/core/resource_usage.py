"""What a job took: the last line of its log, written and read; sums of such lines by stage."""

import os
import platform
import re
import resource
import time
from collections.abc import Iterable
from pathlib import Path

# The device that the stage computes on, as `devices.set_up` finds it.
device = "cpu"
# Seconds, and seconds of processors, that earlier attempts took up to the state from which this one goes on.
earlier = (0.0, 0.0)
LINE = re.compile(
    r"^(?P<stage>\w+): done in (?P<seconds>[\d.]+) s on (?P<host>\S+): (?P<processes>\d+) x (?P<device>.+), "
    r"(?P<processor>[\d.]+) s of processor time, (?P<memory>\d+) MB at most$"
)


def elapsed() -> tuple[float, float]:
    """Seconds, and seconds of processors, that the job took up to now, its earlier attempts included.

    Of several processes that train together (torchrun), the first one speaks for all.
    """
    import psutil  # here, so that a GPU's benchmarks do without

    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = processes() * sum(part.ru_utime + part.ru_stime for part in parts)
    return earlier[0] + time.time() - psutil.Process().create_time(), earlier[1] + processor


def processes() -> int:
    """How many processes do the job together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def usage_line() -> str:
    """The line for this job so far: seconds, host, device, processor time, memory."""
    seconds, processor = elapsed()
    memory = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    return (
        f"done in {seconds:.1f} s on {platform.node() or 'unknown'}: {processes()} x {device}, "
        f"{processor:.1f} s of processor time, {memory:.0f} MB at most"
    )


def total_usage(logs: Iterable[Path]) -> dict[str, object]:
    """Of `logs`, those that are there: hosts, devices, and by stage the jobs, hours, hours of processors and of GPUs.

    Counts the attempt that ended well and, of a training, those before it up to the states it went on from; what else
    a killed job took is written nowhere. Jobs that share a GPU each count it whole.
    """
    hosts, devices = set(), set()
    stages: dict[str, dict[str, float]] = {}
    for log in logs:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        match = LINE.match(lines[-1]) if lines else None
        if not match:
            continue
        hosts.add(match["host"])
        devices.add(match["device"])
        hours = float(match["seconds"]) / 3600
        row = stages.setdefault(match["stage"], {"jobs": 0, "wall": 0.0, "processor": 0.0, "gpu": 0.0})
        row["jobs"] += 1
        row["wall"] += hours
        row["processor"] += float(match["processor"]) / 3600
        row["gpu"] += hours * int(match["processes"]) * (match["device"] != "cpu")
    rounded = {stage: {k: round(v, 5) for k, v in row.items()} for stage, row in sorted(stages.items())}
    return {"hosts": sorted(hosts), "devices": sorted(devices), "hours": rounded}
