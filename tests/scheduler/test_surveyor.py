"""What a site has is noted by its schedulers: at once when it changes, and that it is still so."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from fasttrack.db import Database
from fasttrack.db.capacity import list_capacity, write_capacity
from fasttrack.domain.room import Room
from fasttrack.settings import Settings
from fasttrack_scheduler.backends.simulated import Script, SimulatedBackend, SimulatedSite
from fasttrack_scheduler.loops.surveyor import Surveyor
from tests.contracts.sites import make_spec
from tests.engine import Engine
from tests.factories import an_idle
from tests.waiting import eventually

D = Decimal


async def stored(database: Database) -> list[tuple[str, str, str, Decimal]]:
    async with database.transaction() as db:
        return [(c.site, c.resource_group, c.slot, c.capacity) for c in await list_capacity(db)]


async def test_a_scheduler_tells_what_its_site_has_and_that_it_has_changed(engine: Engine) -> None:
    engine.settings = engine.settings.model_copy(update={"capacity_interval": timedelta(seconds=0.05)})
    engine.site.room = 4
    async with engine.scheduling():
        await eventually(lambda: holds(engine.database, [("simulated", "", "cpu", D(4))]))
        engine.site.room = 6
        await eventually(lambda: holds(engine.database, [("simulated", "", "cpu", D(6))]))
        engine.site.room = None
        await eventually(lambda: holds(engine.database, []))


async def holds(database: Database, told: list[tuple[str, str, str, Decimal]]) -> bool:
    return await stored(database) == told


async def test_what_has_not_changed_is_not_written_again_within_a_minute(
    database: Database, settings: Settings
) -> None:
    site = SimulatedSite(room=2)
    surveyor = Surveyor(database, SimulatedBackend(site), settings)
    await surveyor.turn()
    async with database.transaction() as db:
        await db.execute("DELETE FROM group_capacity")
    assert await surveyor.turn() == settings.capacity_interval.total_seconds()
    assert await stored(database) == []
    assert surveyor._told is not None
    surveyor._told = surveyor._told[0], surveyor._told[1] - 60
    await surveyor.turn()
    assert await stored(database) == [("simulated", "", "cpu", D(2))]


async def test_what_is_free_is_noted_too_and_when_it_changes(database: Database, settings: Settings) -> None:
    async def noted() -> list[tuple[Decimal | None, ...]]:
        async with database.transaction() as db:
            return [(c.capacity, c.used, c.free, c.largest_free, c.agents) for c in await list_capacity(db)]

    site = SimulatedSite(room=3)
    backend = SimulatedBackend(site)
    surveyor = Surveyor(database, backend, settings)
    await surveyor.turn()
    assert await noted() == [(3, 0, 3, 3, 1)]
    spec = make_spec()
    site.script(spec.name, Script(held=True))
    await backend.create(spec)
    await surveyor.turn()
    assert await noted() == [(3, 1, 2, 2, 1)]
    hidden = Room.in_sum({"cpu": D(1)}, {"cpu": D(4)})
    await database.run(lambda db: write_capacity(db, "simulated", {"gpu": hidden}))
    assert await noted() == [(5, 1, 4, None, None)]


async def test_what_a_site_has_replaces_what_it_had_and_leaves_others_alone(database: Database) -> None:
    async def write(site: str, groups: dict[str, dict[str, Decimal]]) -> None:
        await database.run(
            lambda db: write_capacity(db, site, {name: an_idle(slots) for name, slots in groups.items()})
        )

    await write("a", {"gpu": {"cpu": D(8), "cuda.device": D(2)}, "cpu": {"cpu": D(64)}})
    await write("b", {"gpu": {"cpu": D(1)}})
    await write("a", {"gpu": {"cpu": D(8), "cuda.shares": D("2.5")}})
    assert await stored(database) == [
        ("a", "gpu", "cpu", D(8)), ("a", "gpu", "cuda.shares", D("2.5")), ("b", "gpu", "cpu", D(1)),
    ]  # fmt: skip


async def test_a_site_that_nobody_tells_of_any_more_is_forgotten(database: Database) -> None:
    async with database.transaction() as db:
        await write_capacity(db, "gone", {"": an_idle({"cpu": D(8)})})
        await db.execute("UPDATE group_capacity SET seen_at = now() - interval '8 days'")
    assert await stored(database) == []
    async with database.transaction() as db:
        await write_capacity(db, "here", {})
        assert await db.value("SELECT count(*) FROM group_capacity") == 0
