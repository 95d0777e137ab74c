"""Floating-point precision of a reader: bf16 where the processor multiplies it natively, fp32 elsewhere.

Weights are always stored in fp32. Each machine reads in the precision that suits it, and trains in it where `precision`
is auto.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Literal

import torch

# oneDNN, which computes the products on a CPU, may be limited to older instruction sets. All but these have bf16.
WITHOUT_BF16 = (
    "SSE41",
    "AVX",
    "AVX2",
    "AVX2_VNNI",
    "AVX2_VNNI_2",
    "AVX512_CORE",
    "AVX512_CORE_VNNI",
)
# Names in torch.cpu.get_capabilities(): two of x86, one of Arm.
BF16 = {"avx512_bf16", "amx_bf16", "bf16"}


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 natively, without emulation."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    held = held_to() in WITHOUT_BF16
    capabilities = torch.cpu.get_capabilities()
    return not held and any(capabilities.get(name, False) for name in BF16)


def held_to() -> str:
    """The instruction set that oneDNN is limited to by the environment; "" where there is no limit."""
    return (os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()


def processor(device: torch.device) -> str:
    """The kind of processor, by its instruction set, such as "x86_64 AVX512 BF16".

    It is as coarse as possible: results are equal on processors of one kind.
    """
    if device.type == "cuda":
        return "CUDA {}.{}".format(*torch.cuda.get_device_capability(device))
    if device.type != "cpu":
        return device.type
    kind = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    kind = f"{kind} BF16" if multiplies_bf16(device) else kind
    return f"{kind} held to {held_to()}" if held_to() else kind


def choose_precision(
    asked: str, device: torch.device, *, report: Callable[[str], None] = lambda line: None
) -> Literal["bf16", "fp32"]:
    """bf16 or fp32 for `asked`: auto, bf16 or fp32. `report` receives a line where bf16 has to be emulated.

    Raises ValueError where bf16 is requested and the device does not have it at all.
    """
    native = multiplies_bf16(device)
    if asked == "auto":
        return "bf16" if native else "fp32"
    if asked == "bf16" and not native:
        if device.type == "mps" or (device.type == "cuda" and not torch.cuda.is_bf16_supported()):
            raise ValueError(
                f"precision: bf16 was asked for, but {processor(device)} is not known to calculate in "
                "it: set it to auto or fp32"
            )
        report(
            f"warning: precision is bf16, which {processor(device)} has to emulate: where it was measured, training "
            "took 2 to 9 times and reading 2 to 6 times as long as in fp32, which auto takes here"
        )
    return "bf16" if asked == "bf16" else "fp32"


def arithmetic(precision: str, device: torch.device) -> str:
    """Precision and processor, as results record them: "bf16 on x86_64 AVX512 BF16"."""
    return f"{precision} on {processor(device)}"
