"""The verbs of the contract for tasks that start a model service.

A service is over for the engine when it serves; one that is `ephemeral` runs on until its job is over, and is then an orphan
that the sweeper ends, whoever was killed in between. One that stays is not touched again, but by the next job that asks for
it under its name.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import structlog

from fasttrack.backend_ai.answers import AlreadyExists, Missing, NotServing, Unknown
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.backend_ai.generation import Generation
from fasttrack.domain.pipeline import Service as Asked
from fasttrack.domain.states import FailureClass

from ..base import Observation, SessionBackendUnavailable, SessionRefused, SessionSpec, SessionStatus
from .mounting import Mounted
from .service_requests import Tag, body_of, strategy_of
from .service_updates import let_go, serves_what_was_asked, update
from .services import Service, Services

log = structlog.get_logger()

_MOST = 20_000
_AGAIN, _TRIES = 0.25, 20
_WANTED = 30.0
"""Seconds for which a service that was asked about counts as waited for: all that are open are asked about time and again."""
_SLOWEST = 60.0


class Serving:
    """Model services of one key."""

    def __init__(self, gateway: Gateway, *, domain: str, architecture: str) -> None:
        self._gateway = gateway
        self._domain = domain
        self._architecture = architecture
        self._services = Services(gateway)
        self._ends: OrderedDict[str, Observation] = OrderedDict()
        self._ending: OrderedDict[str, Observation] = OrderedDict()
        self._wanted: dict[str, float] = {}

    async def close(self) -> None:
        """Stop asking."""
        await self._services.close()

    async def create(
        self, spec: SessionSpec, asked: Asked, mounts: Sequence[tuple[Mounted, UUID]], *, image: UUID
    ) -> Observation:
        """Start the service of this session, or return the one that it has already. `mounts` are what it sees besides its
        model folder.

        :raises SessionRefused: somebody else has a service of that name, or the release cannot do what is asked.
        :raises SessionBackendUnavailable: an earlier one of that name has to come up, or to end, before.
        :raises ManagerError: the manager did not do it, or it is not known.
        """
        generation = await self._gateway.generation()
        body = body_of(spec, asked, generation, mounts, domain=self._domain, architecture=self._architecture)
        there = await self._services.living()
        if (known := _of(there, spec.name)) is not None:
            return await self._observe(known)
        for other in [service for service in there if service.name == body["name"]]:
            if not self._is_in_the_way(other, spec, generation):
                continue
            if generation.has_deployments and not other.is_going and not spec.command.strip():
                await update(self._gateway, other, spec, asked, mounts, image=image, generation=generation)
                self._want(spec.name, True)
                return replace(other, tag=Tag(spec.name, other.tag.pipeline), stage="DEPLOYING").observation()
            await self._make_room(other)
        self._want(spec.name, True)
        made = await self._send(spec, body)
        if generation.has_deployments and not asked.ephemeral:
            await self._gateway.call("PUT", f"/v2/deployments/{made.id}", body=strategy_of(asked))
        return await self._observe(made)

    async def find(self, name: str) -> Observation | None:
        """What is known of the service of this session; `None`: there is none, or it ended before this process began."""
        seen = await self.observe([name])
        return seen[0] if seen else None

    async def observe(self, names: Sequence[str]) -> list[Observation]:
        """As `find`, for many. One listing for all of them."""
        seen = [self._ends[name] for name in names if name in self._ends]
        asked = [name for name in names if name not in self._ends]
        if not asked:
            return seen
        there = await self._services.living()
        for name in asked:
            service = _of(there, name)
            if service is not None:
                seen.append(await self._observe(service))
                await self._end_doubles(there, service)
            elif (end := self._ending.pop(name, None)) is not None:
                self._want(name, False)
                seen.append(_keep(self._ends, name, replace(end, ended_at=datetime.now(UTC))))
        return seen

    async def orphanable(self) -> list[Observation]:
        """Those that end with their jobs and are there, serving or not."""
        return [
            service.observation()
            for service in await self._services.living()
            if service.is_ephemeral and not service.is_going
        ]

    async def terminate(self, name: str) -> None:
        """End the service of this session, if there is one and it is not over."""
        for service in await self._services.living():
            if service.session != name or service.is_going:
                continue
            _keep(self._ending, name, _ended(service, SessionStatus.CANCELLED, FailureClass.CANCELLED, ""))
            self._want(name, False)
            await self._give_up(service)

    # -- making it ------------------------------------------------------------------------------------------------

    async def _send(self, spec: SessionSpec, body: dict[str, object]) -> Service:
        try:
            await self._gateway.call("POST", "/services", body=body)
        except Unknown:  # it may have taken effect
            found = _of(await self._services.living(), spec.name)
            if found is None:
                raise
            return found
        except NotServing as error:
            raise SessionRefused(
                f"the resource group {spec.resource_group!r} (`environment.scaling-group`) is not set up for model services "
                f"(the cluster says: {error}): name another one, or have an admin of the cluster give it an app proxy"
            ) from error
        except AlreadyExists:
            found = _of(await self._services.living(), spec.name)
            if found is None:
                raise SessionRefused(_taken(str(body["name"]))) from None
            return found
        found = _of(await self._services.living(), spec.name)
        if found is None:
            raise SessionBackendUnavailable("the cluster made a service and does not show it")
        return found

    def _is_in_the_way(self, other: Service, spec: SessionSpec, generation: Generation) -> bool:
        """Whether a service of the wanted name has to become what is asked for, or to go."""
        if other.tag.pipeline != spec.workspace.pipeline_id:
            raise SessionRefused(_taken(other.name))
        if other.group != spec.resource_group:
            if generation.has_deployments:
                return False
            raise SessionRefused(
                f"the pipeline has a service {other.name!r} in the resource group {other.group!r} already, and on this "
                "cluster a name is one service's (`service.name`): choose another name, or end that one"
            )
        if time.monotonic() - self._wanted.get(other.session, -_WANTED) < _WANTED:
            raise SessionBackendUnavailable(f"another job waits for the service {other.name} to serve")
        return True

    async def _make_room(self, other: Service) -> None:
        """Let the name be free."""
        if not other.is_going:
            log.info("ending a service that a later job replaces", service=other.name, session=other.session)
            await self._end(other)
        for _ in range(_TRIES):
            if all(service.id != other.id for service in await self._services.living()):
                return
            await asyncio.sleep(_AGAIN)
        raise SessionBackendUnavailable(f"the earlier service {other.name} is being ended")

    async def _end_doubles(self, there: Sequence[Service], kept: Service) -> None:
        """End what another scheduler made for the same session at the same time: 26 takes a name twice."""
        for service in there:
            if service.session == kept.session and service.id != kept.id and not service.is_going:
                log.info("ending a service that was made a second time", session=kept.session)
                await self._end(service)

    async def _give_up(self, service: Service) -> None:
        if service.tag.is_update and service.tag.pipeline is not None:
            await let_go(self._gateway, service, service.tag.pipeline)
        else:
            await self._end(service)

    async def _end(self, service: Service) -> None:
        with suppress(Missing):
            await self._gateway.call("DELETE", f"/services/{service.id}", seconds=_SLOWEST)

    # -- what a record means --------------------------------------------------------------------------------------

    async def _observe(self, service: Service) -> Observation:
        seen = await self._meaning(service)
        self._want(service.session, not seen.status.is_terminal)
        return seen

    async def _meaning(self, service: Service) -> Observation:
        seen = service.observation()
        if seen.status is SessionStatus.SUCCEEDED:
            if service.tag.is_update and not await serves_what_was_asked(self._gateway, service):
                reason = f"the cluster could not update the service {service.name}, and went back to what served before"
                return _keep(
                    self._ends, service.session, _ended(service, SessionStatus.FAILED, FailureClass.USER, reason)
                )
            return _keep(self._ends, service.session, replace(seen, ended_at=datetime.now(UTC)))
        if service.is_given_up:
            reason = f"the cluster gave the service {service.name} up: {service.words()}"
            _keep(self._ending, service.session, _ended(service, SessionStatus.FAILED, FailureClass.USER, reason))
            await self._give_up(service)
            return replace(seen, status=SessionStatus.STOPPING, reason=reason)
        if service.is_going and service.session not in self._ending:
            # 26.9 ends one by itself whose first replicas never came up; before, only people do.
            told = f"the service {service.name} was ended on the cluster: {service.words()}"
            failed = _ended(service, SessionStatus.FAILED, FailureClass.USER, told)
            if not (await self._gateway.generation()).has_deployments:
                failed = _ended(service, SessionStatus.CANCELLED, FailureClass.CANCELLED, told)
            _keep(self._ending, service.session, failed)
        return seen

    def _want(self, session: str, is_open: bool) -> None:
        if is_open:
            self._wanted[session] = time.monotonic()
        else:
            self._wanted.pop(session, None)


def _of(there: Sequence[Service], session: str) -> Service | None:
    """The first that was made for this session."""
    return next((service for service in there if service.session == session), None)


def _ended(service: Service, status: SessionStatus, failure: FailureClass, reason: str) -> Observation:
    seen = service.observation()
    return replace(seen, status=status, failure=failure, reason=reason, exit_code=None)


def _taken(name: str) -> str:
    return (
        f"there is a service {name!r} on the cluster already, which is not this pipeline's (`service.name`): choose another "
        "name, or end that one"
    )


def _keep(ends: OrderedDict[str, Observation], name: str, seen: Observation) -> Observation:
    ends[name] = seen
    while len(ends) > _MOST:
        ends.popitem(last=False)
    return seen
