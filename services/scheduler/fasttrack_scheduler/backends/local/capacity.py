"""How much this machine has: found, or declared by FASTTRACK_LOCAL_SLOTS; and what it can never run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from fasttrack.domain.resources import parse_amount
from fasttrack.errors import InvalidInput

from ..base import SessionRefused

Slots = Mapping[str, Decimal]


def declared(settings: Mapping[str, str]) -> dict[str, Decimal]:
    """Capacities as the setting FASTTRACK_LOCAL_SLOTS writes them. :raises InvalidInput: one is not an amount."""
    try:
        return {slot: parse_amount(slot, text) for slot, text in settings.items()}
    except ValueError as error:
        raise InvalidInput(f"FASTTRACK_LOCAL_SLOTS: {error}") from error


def find(settings: Mapping[str, str]) -> dict[str, Decimal]:
    """What is declared, over what the machine has. Runs a program where there may be GPUs: call it in a thread."""
    found = {"cpu": _cpus(), "mem": _memory()}
    if "cuda.device" not in settings and (gpus := _nvidia_gpus()):
        found["cuda.device"] = Decimal(gpus)
    found.update(declared(settings))
    return {slot: amount for slot, amount in found.items() if amount}


def require_possible(slots: Slots, totals: Slots) -> None:
    """Pass if the site could run this when it is empty. :raises SessionRefused: it never could."""
    for slot, amount in slots.items():
        if amount <= 0:
            continue
        if slot not in totals:
            raise SessionRefused(
                f"it asks for {show(slot, amount)}, and this machine has no {slot}; "
                f'FASTTRACK_LOCAL_SLOTS=\'{{"{slot}": "{amount.to_integral_value(rounding="ROUND_CEILING")}"}}\' '
                f"would declare it"
            )
        if amount > totals[slot]:
            raise SessionRefused(f"it asks for {show(slot, amount)}, and this machine has {show(slot, totals[slot])}")
        if slot.endswith(".device") and amount % 1:
            raise SessionRefused(f"it asks for {amount} {slot}, which is given out only whole")


def show(slot: str, amount: Decimal) -> str:
    """An amount for people: `2 cpu`, `1.5 GiB mem`."""
    if slot != "mem":
        return f"{plain(amount)} {slot}"
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{plain(round(amount, 1))} {unit} mem"
        amount /= 1024
    return f"{plain(round(amount, 1))} TiB mem"


def plain(amount: Decimal) -> str:
    """A number without needless zeros or exponents."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _cpus() -> Decimal:
    allowed = Decimal(len(os.sched_getaffinity(0)))
    limit = _first_line("/sys/fs/cgroup/cpu.max").split()
    if len(limit) == 2 and limit[0] != "max":
        return min(allowed, max(Decimal(1), (Decimal(limit[0]) / Decimal(limit[1])).quantize(Decimal("0.1"))))
    quota = _first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    period = _first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period):
        return min(allowed, max(Decimal(1), (Decimal(quota) / Decimal(period)).quantize(Decimal("0.1"))))
    return allowed


def _memory() -> Decimal:
    total = Decimal(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if (limit := _first_line(file)).isdigit():
            total = min(total, Decimal(limit))
    return total


def _nvidia_gpus() -> int:
    if given := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return len([part for part in given.split(",") if part])
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        done = subprocess.run([program, "-L"], capture_output=True, timeout=10, check=False)  # noqa: S603 - a fixed program
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith(b"GPU ") for line in done.stdout.splitlines())


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().split("\n", 1)[0].strip()
    except OSError:
        return ""
