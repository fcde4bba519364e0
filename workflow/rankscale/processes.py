"""How a run lives among processes: torchrun starts several, torch.distributed joins them, a signal ends them."""

import os
import signal
import sys

import torch
from torch import distributed

from rankscale.command import log

INTERRUPTED = 75  # sysexits.h: a temporary failure; whoever runs the workflow tries again


class Processes:
    """The processes that train one model together; a single one unless torchrun started several."""

    def __init__(self) -> None:
        told = {name: int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
        self.rank, self.local, self.count = told["RANK"], told["LOCAL_RANK"], max(told["WORLD_SIZE"], 1)

    def join(self, device: torch.device) -> torch.device:
        """Meet the others; the device of this one."""
        if self.count == 1:
            return device
        if device.type == "cuda":
            device = torch.device("cuda", self.local)
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return device

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows [n, d] of all processes, in their order; each has as many."""
        if self.count == 1:
            return rows
        out = [torch.empty_like(rows) for _ in range(self.count)]
        distributed.all_gather(out, rows.contiguous())
        return torch.cat(out)

    def total(self, tensors: list[torch.Tensor]) -> None:
        """Replace each tensor by its sum over the processes; one message for all."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def agree(self, value: int) -> int:
        """The largest of what the processes say."""
        if self.count == 1:
            return value
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        said = torch.tensor(value, device=device)
        distributed.all_reduce(said, distributed.ReduceOp.MAX)
        return int(said)

    def leave(self) -> None:
        """Part from the others."""
        if self.count > 1:
            distributed.destroy_process_group()


class Stop:
    """Remembers the signal that asks the process to stop; a second one stops it at once."""

    def __init__(self) -> None:
        self.signal = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self.ask)

    def ask(self, number: int, _frame: object) -> None:
        """Let the step in hand end first."""
        if self.signal:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.signal = number

    def leave_if_asked(self, kept: str) -> None:
        """End the process if a signal asked for it, saying what is `kept`."""
        if self.signal:
            log.warning("asked to stop (%s): %s", signal.Signals(self.signal).name, kept)
            sys.exit(128 + self.signal if self.signal == signal.SIGINT else INTERRUPTED)

    def ignore(self) -> None:
        """From now on nothing is lost by going on: the run is published."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
