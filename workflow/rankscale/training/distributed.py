"""How a run lives among processes: torchrun starts several, torch.distributed joins them."""

import os

import torch
from torch import distributed


class ProcessGroup:
    """The processes that train one model together; a single one unless torchrun started several."""

    def __init__(self) -> None:
        self.rank, self.local_rank, world_size = (
            int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE")
        )
        self.count = max(world_size, 1)

    def init(self, device: torch.device) -> torch.device:
        """Meet the others; the device of this one."""
        if self.count == 1:
            return device
        if device.type == "cuda":
            device = torch.device("cuda", self.local_rank)
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return device

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows [n, d] of all processes, in their order; each has as many."""
        if self.count == 1:
            return rows
        gathered = [torch.empty_like(rows) for _ in range(self.count)]
        distributed.all_gather(gathered, rows.contiguous())
        return torch.cat(gathered)

    def all_reduce_sum(self, tensors: list[torch.Tensor]) -> None:
        """Replace each tensor by its sum over the processes; one message for all."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        for tensor, total in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def all_reduce_max(self, value: int) -> int:
        """The largest of the processes' values."""
        if self.count == 1:
            return value
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        largest = torch.tensor(value, device=device)
        distributed.all_reduce(largest, distributed.ReduceOp.MAX)
        return int(largest)

    def destroy(self) -> None:
        """Part from the others."""
        if self.count > 1:
            distributed.destroy_process_group()
