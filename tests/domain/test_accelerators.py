"""The accelerators known by name; any other slot is as legal."""

from decimal import Decimal

import pytest

from fasttrack.domain import accelerators
from fasttrack.domain.accelerators import ACCELERATORS


@pytest.mark.parametrize(
    ("slot", "label", "unit"),
    [
        ("cuda.device", "NVIDIA GPU", "GPU"), ("cuda.shares", "NVIDIA GPU, fractional", "fGPU"),
        ("cuda.mig-1g.10gb", "NVIDIA GPU, MIG slice", "slice"), ("rocm.device", "AMD GPU (ROCm)", "GPU"),
        ("atom.device", "Rebellions ATOM", "NPU"), ("atom-plus.device", "Rebellions ATOM+", "NPU"),
        ("warboy.device", "FuriosaAI WARBOY", "NPU"), ("rngd.device", "FuriosaAI RNGD", "NPU"),
        ("ipu.device", "Graphcore IPU", "IPU"), ("gaudi2.device", "Intel Gaudi 2", "HPU"),
        ("gaudi3.device", "Intel Gaudi 3", "HPU"), ("tpu.device", "Google TPU", "TPU"),
        ("tt-n300.device", "Tenstorrent Wormhole n300", "accelerator"), ("tt-p150.device", "Tenstorrent", "accelerator"),
        ("hyperaccel-lpu.device", "HyperAccel LPU", "LPU"),
    ],
)  # fmt: skip
def test_the_common_ones_are_known(slot, label, unit):
    found = accelerators.find(slot)
    assert found is not None
    assert (found.label, found.unit) == (label, unit)
    assert accelerators.is_whole(slot) == (slot != "cuda.shares")


def test_only_shares_are_fractional():
    assert [a.slot for a in ACCELERATORS if a.is_fractional] == ["cuda.shares"]
    assert [a.step for a in ACCELERATORS if a.is_fractional] == [Decimal("0.01")]


def test_an_unknown_slot_is_no_fault():
    assert accelerators.find("quantum.qubits") is None
    assert accelerators.near_miss("quantum.qubits") is None
    assert not accelerators.is_whole("quantum.qubits")
    assert accelerators.is_whole("quantum.device")


@pytest.mark.parametrize(
    ("slot", "near"),
    [("cuda.devise", "cuda.device"), ("cuda.share", "cuda.shares"), ("rngd.devices", "rngd.device"), ("cpus", "cpu"),
     ("cpu", None), ("cuda.device", None), ("cuda.mig-2g.20gb", None)],
)  # fmt: skip
def test_a_near_miss_is_named(slot, near):
    assert accelerators.near_miss(slot) == near


def test_cpu_and_memory_are_no_accelerators():
    assert [s for s in ("cpu", "mem", "cuda.shares", "x") if accelerators.is_accelerator(s)] == ["cuda.shares", "x"]


def test_part_of_a_device_has_its_own_slot_where_there_is_one():
    assert accelerators.fractional_sibling("cuda.device") == "cuda.shares"
    assert accelerators.fractional_sibling("rocm.device") is None
