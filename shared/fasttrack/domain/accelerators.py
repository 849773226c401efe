"""The accelerators FastTrack knows by name: label, unit, smallest step.

Slots are open: any name that a cluster offers is legal and is passed on as it is. The table only helps people: it gives
a label to show, refuses half of a device that cannot be shared, and asks `did you mean …?` when a name is nearly one of
these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One kind of accelerator slot."""

    slot: str
    """The slot's name, or for a family of slots a name in which `*` stands for the size."""
    label: str
    unit: str
    """What one of it is, for people: `GPU`, `slice` …"""
    step: Decimal = Decimal(1)
    """The smallest difference between two amounts."""

    @property
    def is_fractional(self) -> bool:
        """Whether a part of a device can be asked for."""
        return self.step < 1

    def matches(self, slot: str) -> bool:
        """Whether `slot` is this one, or one of this family."""
        if "*" not in self.slot:
            return slot == self.slot
        return re.fullmatch(re.escape(self.slot).replace(r"\*", r"[0-9a-z][0-9a-z.+-]*"), slot) is not None


ACCELERATORS: tuple[Accelerator, ...] = (
    Accelerator("cuda.device", "NVIDIA GPU", "GPU"),
    Accelerator("cuda.shares", "NVIDIA GPU, fractional", "fGPU", Decimal("0.01")),
    Accelerator("cuda.mig-*", "NVIDIA GPU, MIG slice", "slice"),
    Accelerator("rocm.device", "AMD GPU (ROCm)", "GPU"),
    Accelerator("atom.device", "Rebellions ATOM", "NPU"),
    Accelerator("atom-plus.device", "Rebellions ATOM+", "NPU"),
    Accelerator("atom-max.device", "Rebellions ATOM Max", "NPU"),
    Accelerator("warboy.device", "FuriosaAI WARBOY", "NPU"),
    Accelerator("rngd.device", "FuriosaAI RNGD", "NPU"),
    Accelerator("ipu.device", "Graphcore IPU", "IPU"),
    Accelerator("gaudi2.device", "Intel Gaudi 2", "HPU"),
    Accelerator("gaudi3.device", "Intel Gaudi 3", "HPU"),
    Accelerator("tpu.device", "Google TPU", "TPU"),
    Accelerator("tt-n300.device", "Tenstorrent Wormhole n300", "accelerator"),
    Accelerator("tt-*.device", "Tenstorrent", "accelerator"),
    Accelerator("hyperaccel-lpu.device", "HyperAccel LPU", "LPU"),
)

_NAMES = ("cpu", "mem", *(a.slot for a in ACCELERATORS if "*" not in a.slot))


@lru_cache(maxsize=1024)
def find(slot: str) -> Accelerator | None:
    """What is known about a slot; `None` for one that is not in the table, which is legal all the same."""
    return next((a for a in ACCELERATORS if a.matches(slot)), None)


def is_accelerator(slot: str) -> bool:
    """Whether a slot is an accelerator, known or not: everything but `cpu` and `mem`."""
    return slot not in ("cpu", "mem")


def is_whole(slot: str) -> bool:
    """Whether only whole units of a slot can be asked for.

    True for `cpu`, for the known whole devices, and for any unknown slot whose name ends in `.device`.
    """
    known = find(slot)
    if known is not None:
        return not known.is_fractional
    return slot == "cpu" or slot.endswith(".device")


def fractional_sibling(slot: str) -> str | None:
    """The slot to use instead when part of a device is wanted; `None` where the table knows none."""
    shares = slot.removesuffix(".device") + ".shares"
    return shares if any(a.slot == shares for a in ACCELERATORS) else None


def near_miss(slot: str) -> str | None:
    """A known slot that is nearly spelled like this unknown one, for a question; `None` when there is none."""
    if slot in _NAMES or find(slot) is not None:
        return None
    close = get_close_matches(slot[:64], _NAMES, n=1, cutoff=0.84)
    return close[0] if close else None
