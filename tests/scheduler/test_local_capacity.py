"""Who may run on one machine: amounts, devices, order, and schedulers that share it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasttrack.errors import InvalidInput
from fasttrack.settings import Settings
from fasttrack_scheduler.backends.base import SessionRefused, SessionStatus, wait_until_terminal
from fasttrack_scheduler.backends.local import capacity
from fasttrack_scheduler.backends.local.backend import LocalBackend
from fasttrack_scheduler.backends.local.devices import allot, free, variables
from fasttrack_scheduler.backends.local.ledger import Entry, Ledger
from fasttrack_scheduler.backends.local.queue import in_use, place, why_waiting
from tests.contracts.sites import LocalTestSite, make_spec
from tests.waiting import eventually

GIB = 2**30


def amounts(**slots: object) -> dict[str, Decimal]:
    return {name.replace("_", "."): Decimal(str(amount)) for name, amount in slots.items()}


def queue_of(*asked: dict[str, Decimal], priorities: tuple[int, ...] = ()) -> dict[str, Entry]:
    return {f"s{n}": Entry(slots, priorities[n] if priorities else 0, arrival=n) for n, slots in enumerate(asked)}


def start(entries: dict[str, Entry], totals: dict[str, Decimal]) -> list[str]:
    return place(entries, totals, owner="me", now=0)


def test_sessions_start_in_order_of_priority_then_arrival() -> None:
    entries = queue_of(amounts(cpu=1), amounts(cpu=1), amounts(cpu=1), priorities=(0, 5, 0))
    assert start(entries, amounts(cpu=2)) == ["s1", "s0"]
    assert why_waiting(entries["s2"].slots, in_use(entries.values()), amounts(cpu=2)) == (
        "waits for 1 cpu: 2 of 2 are in use"
    )


def test_a_large_session_is_not_starved_by_small_ones() -> None:
    entries = queue_of(amounts(cpu=3), amounts(cpu=4), amounts(cpu=1))
    totals = amounts(cpu=4)
    assert start(entries, totals) == ["s0"]
    del entries["s0"]
    assert start(entries, totals) == ["s1"]


def test_what_is_free_is_the_most_that_one_more_session_could_get() -> None:
    totals = amounts(cpu=4, cuda_device=3, cuda_shares=3)
    entries = queue_of(amounts(cpu=1, cuda_shares="0.6"), amounts(cpu=1, cuda_shares="0.5"))
    start(entries, totals)
    left = free(totals, in_use(entries.values()), [entry.devices for entry in entries.values()])
    assert left == amounts(cpu=2, cuda_device=1, cuda_shares="1.5"), "0.4 and 0.5 of two devices, and one whole"
    for slots in (amounts(cuda_device=1), amounts(cuda_shares="1.5")):
        assert allot(slots, totals, [entry.devices for entry in entries.values()]) is not None
    assert allot(amounts(cuda_shares="1.6"), totals, [entry.devices for entry in entries.values()]) is None


def test_waiting_for_a_device_does_not_hold_up_free_cpu() -> None:
    totals = amounts(cpu=4, cuda_device=1)
    entries = queue_of(amounts(cpu=1, cuda_device=1), amounts(cpu=1, cuda_device=1), amounts(cpu=2), amounts(cpu=1))
    assert start(entries, totals) == ["s0", "s2"]


def test_whole_devices_are_not_starved_by_shares() -> None:
    totals = amounts(cuda_device=1, cuda_shares=1)
    entries = queue_of(amounts(cuda_shares="0.5"), amounts(cuda_device=1), amounts(cuda_shares="0.5"))
    assert start(entries, totals) == ["s0"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["0", "0.25", "0.5", "1", "1.5", "2"])), max_size=12),
    st.data(),
)
def test_live_sessions_never_exceed_the_machine(asked: list[tuple[int, str]], data: st.DataObject) -> None:
    totals = amounts(cpu=4, cuda_shares=2)
    entries = queue_of(*(amounts(cpu=cpu, cuda_shares=shares) for cpu, shares in asked))
    while entries:
        start(entries, totals)
        used = in_use(entries.values())
        assert all(used[slot] <= totals[slot] for slot in used)
        running = sorted(name for name, entry in entries.items() if entry.owner)
        assert running, "somebody always runs, so that everybody does at last"
        for number in ("0", "1"):
            held = [Decimal(entries[name].devices.get("cuda", {}).get(number, "0")) for name in running]
            assert sum(held) <= 1
        del entries[data.draw(st.sampled_from(running))]


def test_devices_are_allotted_by_number() -> None:
    totals = amounts(cuda_device=4, cuda_shares=4, atom_device=2)
    first = allot(amounts(cuda_device=2), totals, [])
    assert first == {"cuda": {"0": "1", "1": "1"}}
    second = allot(amounts(cuda_shares="0.5"), totals, [first])
    assert second == {"cuda": {"2": "0.5"}}
    third = allot(amounts(cuda_shares="1.5"), totals, [first, second])
    assert third == {"cuda": {"3": "1", "2": "0.5"}}
    assert allot(amounts(cuda_device=1), totals, [first, second, third]) is None


def test_a_session_is_told_its_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    totals = amounts(cpu=4, cuda_device=4, rocm_device=1, warboy_device=1)
    assert variables({"cuda": {"1": "1", "3": "1"}}, totals) == {
        "CUDA_VISIBLE_DEVICES": "1,3",
        "ROCR_VISIBLE_DEVICES": "",
        "HIP_VISIBLE_DEVICES": "",
        "FASTTRACK_DEVICES_CUDA_DEVICE": "1,3",
        "FASTTRACK_DEVICES_ROCM_DEVICE": "",
        "FASTTRACK_DEVICES_WARBOY_DEVICE": "",
    }
    assert variables({}, amounts(cpu=1)) == {"CUDA_VISIBLE_DEVICES": ""}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    assert variables({"cuda": {"1": "1"}}, amounts(cuda_device=2))["CUDA_VISIBLE_DEVICES"] == "7"


def test_capacity_is_found_and_declared_over_that() -> None:
    found = capacity.find({})
    assert found["cpu"] >= 1
    assert found["mem"] > GIB / 4
    declared = capacity.find({"cpu": "64", "mem": "1.5g", "cuda.shares": "2", "rocm.device": "0"})
    assert declared["cpu"] == 64
    assert declared["mem"] == 1.5 * GIB
    assert declared["cuda.shares"] == 2
    assert "rocm.device" not in declared
    with pytest.raises(InvalidInput, match="FASTTRACK_LOCAL_SLOTS"):
        capacity.find({"cpu": "many"})


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (amounts(cpu=9), "it asks for 9 cpu, and this machine has 4 cpu"),
        (amounts(mem=16 * GIB), "it asks for 16 GiB mem, and this machine has 8 GiB mem"),
        (
            amounts(cuda_shares=5),
            "it asks for 5 cuda.shares, and this machine has no cuda.shares; "
            """FASTTRACK_LOCAL_SLOTS='{"cuda.shares": "5"}' would declare it""",
        ),
        (amounts(atom_device="0.5"), "it asks for 0.5 atom.device, which is given out only whole"),
    ],
)
def test_the_impossible_is_refused_with_both_figures(asked: dict[str, Decimal], sentence: str) -> None:
    with pytest.raises(SessionRefused) as caught:
        capacity.require_possible(asked, amounts(cpu=4, mem=8 * GIB, atom_device=2))
    assert caught.value.message == sentence


def test_nothing_asked_of_a_missing_slot_is_no_matter() -> None:
    capacity.require_possible(amounts(cpu=1, cuda_shares=0), amounts(cpu=1))


def test_a_torn_ledger_is_made_again(tmp_path: Path) -> None:
    remade = {"a": Entry(amounts(cpu=1), 0, 1)}
    ledger = Ledger(tmp_path, lambda: dict(remade))
    with ledger.locked() as entries:
        entries["b"] = Entry(amounts(cpu=2, mem=5), 3, 2, "me", 1.5, {"cuda": {"0": "1"}})
    file = tmp_path / "ledger"
    other = Ledger(tmp_path, dict)
    assert other.refresh()
    assert other.entries == {**remade, "b": entries["b"]}
    assert not other.refresh()

    file.write_bytes(file.read_bytes()[:-3])
    torn = Ledger(tmp_path, lambda: dict(remade))
    torn.refresh()
    assert torn.entries == remade


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[LocalTestSite]:
    made = LocalTestSite(tmp_path, "never")
    yield made
    await made.close()


async def test_a_freed_place_is_taken_at_once(site: LocalTestSite) -> None:
    backend = await site.backend()
    running = [site.runs() for _ in range(2)]
    for spec in (*running, waiting := site.runs()):
        await backend.create(spec)
    backend._tasks[1].cancel()  # no housekeeper: what follows does not wait for a poll
    await backend.terminate(running[0].name, grace=timedelta(0))

    await eventually(lambda: backend._registry.live[waiting.name].started is not None)


async def test_a_lost_ledger_costs_nothing(site: LocalTestSite) -> None:
    first = await site.backend()
    specs = [site.runs() for _ in range(3)]
    for spec in specs:
        await first.create(spec)
    await eventually(lambda: [site.executions(spec.name) for spec in specs] == [1, 1, 0])
    await first.close()
    os.unlink(site.settings.state_dir / "local" / "ledger")

    second = await site.backend()
    seen = [view.status for view in await second.observe([spec.name for spec in specs])]
    assert seen == [SessionStatus.RUNNING, SessionStatus.RUNNING, SessionStatus.QUEUED]


async def test_a_device_is_freed_with_its_session(tmp_path: Path) -> None:
    backend = LocalBackend(Settings(state_dir=tmp_path, local_sandbox="never", local_slots={"cuda.device": "1"}))
    await backend.start()
    specs = [make_spec("echo $CUDA_VISIBLE_DEVICES", slots=amounts(cuda_device=1)) for _ in range(2)]
    for spec in specs:
        await backend.create(spec)
    for spec in specs:
        seen = await wait_until_terminal(backend, spec.name, timeout=5)
        assert seen.facts["devices"] == "cuda: 0"
        assert (await backend.logs(spec.name, offset=0, limit=10)).data == b"0\n"
    await backend.close()
