"""Which precision and device are chosen, with the capabilities of the processor faked both ways."""

from __future__ import annotations

from types import MappingProxyType

import pytest
import torch

from stages.reader.inference import choose_device
from stages.reader.precision import arithmetic, choose_precision, multiplies_bf16, processor

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)


def fake(monkeypatch: pytest.MonkeyPatch, *capabilities: str, onednn: bool = True) -> None:
    """A CPU that has these capabilities and no other."""
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: MappingProxyType(dict.fromkeys(capabilities, True))
    )
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: onednn)


def fake_cuda(monkeypatch: pytest.MonkeyPatch, *, native: bool, emulated: bool = False) -> None:
    def is_bf16_supported(including_emulation: bool = True) -> bool:
        return native or (emulated and including_emulation)

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        (("avx2", "avx512_f", "avx512_bf16"), "bf16"),
        (("avx2", "avx512_f", "amx_tile", "amx_bf16"), "bf16"),
        (("neon", "bf16"), "bf16"),
        (("avx2", "avx512_f", "avx512_vnni"), "fp32"),
        (("avx2", "avx_ne_convert"), "fp32"),
        (("neon", "fp16_arith"), "fp32"),
    ],
)
def test_auto_is_bf16_where_the_processor_multiplies_it(
    capabilities: tuple[str, ...], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, *capabilities)
    said: list[str] = []
    assert choose_precision("auto", CPU, report=said.append) == expected
    assert choose_precision("fp32", CPU, report=said.append) == "fp32"
    assert said == []


def test_auto_is_fp32_where_torch_has_nothing_that_uses_the_instructions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake(monkeypatch, "bf16", onednn=False)
    assert choose_precision("auto", CPU) == "fp32"


@pytest.mark.parametrize(
    ("held", "expected"),
    [("AVX2", "fp32"), ("avx512_core", "fp32"), ("ALL", "bf16"), ("AVX512_CORE_BF16", "bf16")],
)
def test_auto_follows_the_instructions_that_onednn_is_held_to(
    held: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, "avx512_bf16")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", held)
    assert choose_precision("auto", CPU) == expected


def test_bf16_that_has_to_be_emulated_is_one_line_of_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    fake(monkeypatch, "avx512_bf16")
    assert choose_precision("bf16", CPU, report=said.append) == "bf16"
    assert said == []
    fake(monkeypatch, "avx512_f")
    assert choose_precision("bf16", CPU, report=said.append) == "bf16"
    (line,) = said
    assert line.startswith("warning: precision is bf16, which ")
    assert "2 to 9 times" in line
    assert "\n" not in line


def test_a_gpu_reads_in_bf16_where_it_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_cuda(monkeypatch, native=True)
    assert choose_precision("auto", CUDA) == "bf16"
    fake_cuda(monkeypatch, native=False, emulated=True)
    assert choose_precision("auto", CUDA) == "fp32"
    said: list[str] = []
    assert choose_precision("bf16", CUDA, report=said.append) == "bf16"
    assert len(said) == 1


def test_bf16_on_a_device_that_cannot_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_cuda(monkeypatch, native=False)
    with pytest.raises(
        ValueError, match=r"^precision: bf16 was asked for, but CUDA 7\.5 is not .* auto or fp32$"
    ):
        choose_precision("bf16", CUDA)
    with pytest.raises(
        ValueError, match=r"^precision: bf16 was asked for, but mps is not known .* auto or fp32$"
    ):
        choose_precision("bf16", MPS)
    assert choose_precision("auto", MPS) == "fp32"


def test_results_say_what_they_were_made_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    fake(monkeypatch, "avx512_bf16")
    assert arithmetic("fp32", CPU) == "fp32 on x86_64 AVX512 BF16"
    fake(monkeypatch)
    assert processor(CPU) == "x86_64 AVX512"
    assert processor(MPS) == "mps"


def test_this_machine_has_a_kind() -> None:
    assert processor(CPU).endswith(" BF16") == multiplies_bf16(CPU)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_absent_is_refused_and_mps_has_to_be_asked_for(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(
        ValueError, match=f"device: {device} was asked for, but torch finds none: set it to auto"
    ):
        choose_device(device)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == CPU
    assert choose_device("mps") == MPS
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == CUDA
