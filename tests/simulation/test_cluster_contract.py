"""The cluster of the worlds, with its adapter and a wire that loses nothing, signs the contract of every session backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from fasttrack_scheduler.backends.base import SessionBackend, SessionSpec, Workspace
from tests.contracts import test_session_backends as contract
from tests.contracts.sites import PLACES, SmallSite, make_spec

from .cluster import Cluster, Session, a_command
from .network import ClusterBackend, Listener

T = TypeVar("T")

# A world keeps no files, and the table of backends has its own test.
_LEFT_OUT = ("forgotten", "of_the_table")
globals().update(
    {
        name: test
        for name, test in vars(contract).items()
        if name.startswith("test_") and not any(words in name for words in _LEFT_OUT)
    }
)


class RealTime:
    """Real seconds."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def later(self, seconds: float, callback: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_later(seconds, callback)


class GoodWire:
    """Every request arrives and is answered."""

    def __init__(self, site: ClusterTestSite) -> None:
        self._site = site

    async def ask(self, verb: str, name: str, request: Callable[[], T]) -> T:
        await asyncio.sleep(0)
        return request()

    def hints(self) -> AsyncIterator[str]:
        listener = Listener(None)
        self._site.listeners.append(listener)
        return listener


class ClusterTestSite(SmallSite):
    """A cluster with few places."""

    __test__ = False
    group = "default"

    def __init__(self) -> None:
        self.cluster = Cluster(RealTime(), room=PLACES)
        self.cluster.on_change = self._tell
        self.listeners: list[Listener] = []

    def _tell(self, session: Session) -> None:
        for listener in self.listeners:
            listener.put(session)

    async def backend(self, *, started: bool = True) -> ClusterBackend:
        return ClusterBackend(self.cluster, GoodWire(self))

    def ends(self, code: int, *, output: str = "") -> SessionSpec:
        return make_spec(a_command({"run": 0.01, "exit": code, "log": output}))

    def runs(self, *, output: str = "") -> SessionSpec:
        return make_spec(a_command({"run": None, "log": output}))

    def ignores_stop(self) -> SessionSpec:
        return make_spec(a_command({"run": None, "stops_in": 1e9, "log": "ready"}))

    def impossible(self) -> SessionSpec:
        return make_spec(a_command({"refused": "it asks for 3 cpu, and there are 2"}))

    def executions(self, name: str) -> int:
        return sum(s.runs for s in self.cluster.ledger.sessions if s.name == name)

    def has_outputs(self, workspace: Workspace) -> bool:
        return False

    def has_vfroot(self, workspace: Workspace) -> bool:
        return False


@pytest.fixture
def site() -> ClusterTestSite:
    return ClusterTestSite()


@pytest.fixture
async def backend(site: ClusterTestSite) -> SessionBackend:
    return await site.backend()


async def test_a_name_is_free_again_when_its_session_is_over(site: ClusterTestSite, backend: SessionBackend) -> None:
    """The manager's own rule, from which only the adapter's look-up protects."""
    spec = site.ends(0)
    await backend.create(spec)
    await contract.wait_until_terminal(backend, spec.name, timeout=5)
    site.cluster.create(spec)
    assert len(site.cluster.ledger.sessions) == 2
