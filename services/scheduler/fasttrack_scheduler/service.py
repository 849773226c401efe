"""One scheduler: its loops in one task group, started and stopped in order. Any number may run on one database.

Stopping ends no session: what runs goes on, and is picked up by whoever comes next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog

from fasttrack.db import Database
from fasttrack.db.secrets import SecretBox
from fasttrack.domain.decision import EnginePolicy
from fasttrack.domain.facts import CreateSession, Effect, Fact
from fasttrack.doorbell import Doorbell
from fasttrack.feed import Placer
from fasttrack.ids import JobId
from fasttrack.settings import Settings
from fasttrack.tasks import end_tasks

from .backends.base import SessionBackend
from .effects import Decided, Effects
from .loops.base import repeat
from .loops.caretaker import Caretaker
from .loops.observer import Observer
from .loops.placing import Placing
from .loops.pruner import Pruner
from .loops.reconciler import Reconciler
from .loops.surveyor import Surveyor
from .loops.sweeper import Sweeper

log = structlog.get_logger()


class Scheduler:
    """Runs the tasks of every job of one site."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        backend: SessionBackend,
        box: SecretBox,
        doorbell: Doorbell | None = None,
    ) -> None:
        self._backend = backend
        self._doorbell = doorbell
        self.placer = Placer(database, doorbell)
        self._placing = Placing(self.placer)
        self.reconciler = Reconciler(
            database,
            engine_policy(settings, backend),
            settings,
            on_effects=self._carry_out,
            on_events=self._placing.wake.set,
        )
        self._effects = Effects(database, backend, box, settings, self._answered)
        self._observer = Observer(database, backend, settings, self.reconciler.learn)
        self._sweeper = Sweeper(database, backend, settings)
        self._surveyor = Surveyor(database, backend, settings)
        self._caretaker = Caretaker(database, backend, settings)
        self._pruner = Pruner(database, backend, settings)

    def _answered(self, job: JobId, fact: Fact) -> None:
        self._observer.answered(fact)
        self.reconciler.learn(job, fact)

    def _carry_out(self, effects: Collection[Effect], decided: Decided) -> None:
        for effect in effects:
            if isinstance(effect, CreateSession):
                self._observer.expect(effect.name, effect.job.id)
        self._effects.submit(effects, decided)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything runs while the block does; at its end effects under way are finished, loops are stopped."""
        await self._backend.start()
        # A backend may know only now what its site is called, and jobs are bound to that name.
        self.reconciler.follow(replace(self.reconciler.policy, site=self._backend.site))
        loops = [
            ("reconciler", self.reconciler.turn, self.reconciler.wake),
            ("observer", self._observer.turn, self._observer.wake),
            ("hints", self._observer.hint_turn, self._observer.hint_wake),
            ("placing", self._placing.turn, self._placing.wake),
            ("sweeper", self._sweeper.turn, self._sweeper.wake),
            ("surveyor", self._surveyor.turn, self._surveyor.wake),
            ("caretaker", self._caretaker.turn, self._caretaker.wake),
            ("pruner", self._pruner.turn, self._pruner.wake),
        ]
        tasks = [asyncio.create_task(repeat(*loop), name=loop[0]) for loop in loops]
        tasks.append(asyncio.create_task(self._observer.listen(), name="listen"))
        if self._doorbell is not None:
            tasks.append(asyncio.create_task(self._doorbell.serve(self.reconciler.look_at), name="doorbell"))
        log.info("scheduler started", site=self._backend.site)
        try:
            yield
        finally:
            for task in tasks[:1]:
                task.cancel()  # nothing new is decided …
            try:
                async with asyncio.timeout(5.0):
                    await self._effects.finish()  # … and what was, is carried out
            except TimeoutError:
                log.warning("calls to the session backend were left unanswered; they are settled at the next start")
            await end_tasks(*tasks)
            await self._backend.close()
            log.info("scheduler stopped")


def engine_policy(settings: Settings, backend: SessionBackend) -> EnginePolicy:
    """The engine's times and limits, from the settings and the backend's own fence."""
    return EnginePolicy(
        site=backend.site,
        fence=backend.fence,
        settle_after=settings.settle_after,
        lost_after=settings.lost_after,
        safety_interval=settings.safety_interval,
        infrastructure_retries=settings.infrastructure_retries,
        preemption_retries=settings.preemption_retries,
        quota_retries=settings.quota_retries,
        ageing=settings.priority_ageing,
    )
