"""What a stage computes on, and how exactly."""

import contextlib
import ctypes
import os

import torch

from rankscale.core import resource_usage
from rankscale.core.cli import log
from rankscale.core.errors import StudyError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def set_up_device(device: str, threads: int) -> torch.device:
    """Fix what changes the bytes of a result (threads, algorithms) and pick the device."""
    torch.set_num_threads(threads)
    keep_memory()
    requested = device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    granted = os.environ.get("SLURM_JOB_GPUS")
    if device == "cpu" and granted and requested == "auto":
        raise StudyError(
            f"SLURM gave this job a GPU ({granted}), but torch {torch.__version__} sees none: is it built for CPUs? "
            "Install a build for GPUs, or set machine.device to cpu"
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise StudyError("machine.device: cuda was asked for, but torch sees no GPU; set it to auto or cpu")
    resource_usage.device = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    log.info("on %s, %d threads", resource_usage.device, threads)
    return torch.device(device)


def keep_memory() -> None:
    """Let the C library keep what a step gives back for the next one, instead of fetching fresh pages each time.

    On virtual machines those are dear: steps on MS MARCO's passages take some 1.5 times as long without this.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it; elsewhere nothing is lost but the gain
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
        mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def autocast_to(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """The context in which matrix products are taken in `precision`: fp32, bf16, fp16, or auto.

    `auto` is bf16 on processors that multiply it by themselves (2.5 times as fast there, cosine to fp32 above .9999,
    see docs/benchmarks.md), fp32 on all others and on GPUs, where nothing was measured: ask for 16 bits there.
    """
    if precision == "auto":
        precision = "bf16" if device.type == "cpu" and _multiplies_bf16() else "fp32"
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return torch.autocast(device.type, dtype) if dtype else contextlib.nullcontext()


def _multiplies_bf16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
