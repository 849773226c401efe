"""A stand-in where several people have keys, and FastTrack on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from fasttrack.backend_ai.whose import examine
from fasttrack.clock import SystemClock
from fasttrack.db import Database, Db
from fasttrack.db.credential_records import CredentialRecord
from fasttrack.db.jobs import list_instances
from fasttrack.db.projects import ensure_project
from fasttrack.db.secrets import SecretBox
from fasttrack.domain.credentials import Holder
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.doorbell import Doorbell
from fasttrack.ids import JobId, ProjectId, session_name
from fasttrack.keyring import Keyring
from fasttrack.settings import Settings
from fasttrack.storage import Outputs, Sites
from fasttrack.workflow import credentials
from fasttrack.workflow.owner import local_caller
from fasttrack_scheduler.backends import make_backend
from fasttrack_scheduler.backends.backend_ai.by_key import ByKey
from standin.app import Manager
from tests.engine import Engine
from tests.factories import a_file
from tests.waiting import eventually

from .standins import serving, settings_for

KEYS = {
    "AKIAVISION1": ("vision-secret-one", "vision@example.test"),
    "AKIAVISION2": ("vision-secret-two", "vision@example.test"),
    "AKIASPEECH": ("speech-secret", "speech@example.test"),
    "AKIAEVE": ("eve-secret", "eve@example.test"),
}


class Place:
    """A stand-in where several people have keys, and FastTrack on it."""

    def __init__(self, manager: Manager, database: Database, settings: Settings, doorbell: Doorbell) -> None:
        self.manager = manager
        self.database = database
        self.settings = settings
        self.doorbell = doorbell
        self.box = SecretBox(b"k" * 32)
        self.sites = Sites(settings, Keyring(database, self.box))

    async def project(self, name: str) -> ProjectId:
        return await self.database.run(lambda db: ensure_project(db, name))

    async def set(
        self, holder: Holder, access_key: str, secret_key: str | None = None, **more: Any
    ) -> CredentialRecord:
        """As the machine's owner, with all that an edge does."""
        secret_key = secret_key or KEYS[access_key][0]
        examined = await examine(self.settings, access_key, secret_key)

        async def work(db: Db) -> CredentialRecord:
            caller = await local_caller(db, "ada")
            return await credentials.store_key(db, caller, self.box, holder, access_key, secret_key, examined, **more)

        return await self.database.run(work)

    async def remove(self, holder: Holder, **more: Any) -> CredentialRecord | None:
        async def work(db: Db) -> CredentialRecord | None:
            return await credentials.forget_credential(db, await local_caller(db, "ada"), holder, **more)

        return await self.database.run(work)

    async def of(self, holder: Holder) -> CredentialRecord | None:
        async def work(db: Db) -> CredentialRecord | None:
            return await credentials.read_credential(db, await local_caller(db, "ada"), holder)

        return await self.database.run(work)

    def engine(self, project: ProjectId) -> Engine:
        engine = Engine(self.database, project, self.settings, self.doorbell)
        engine.box = self.box
        return engine

    @asynccontextmanager
    async def scheduling(self) -> AsyncIterator[ByKey]:
        backend = make_backend("backend_ai", self.settings, SystemClock(), Keyring(self.database, self.box))
        assert isinstance(backend, ByKey)
        backend.fence = timedelta(seconds=1.2)  # what was refused is sent again at its end
        async with self.engine(await self.project("default")).scheduling(backend):
            yield backend

    async def start(self, project: ProjectId, command: str, *, name: str = "demo", **request: Any) -> JobId:
        task = {"command": command, "resources": {"cpu": 1, "mem": "256m"}}
        return await self.engine(project).submit(a_file({"a": ""}, name, a=task), **request)

    async def session(self, job: JobId) -> str:
        return session_name((await self.instance(job)).id, (await self.instance(job)).attempt)

    async def instance(self, job: JobId) -> Any:
        async with self.database.transaction() as db:
            return (await list_instances(db, job))[0]

    async def state(self, job: JobId, state: InstanceState) -> None:
        async def look() -> bool:
            return (await self.instance(job)).state is state

        await eventually(look, within=20)

    def made_with(self) -> dict[str, str]:
        """The access key of each session that the cluster ever had."""
        return {session.name: session.access_key for session in self.manager.ledger.sessions.values()}

    def let_go(self) -> None:
        """Let every command that waits end."""
        for folder in self.manager.folders.all.values():
            self.manager.folders.path(folder, "vfroot/go").touch()

    async def log(self, job: JobId) -> str:
        site = self.sites.of((await self.engine_job(job)).site or "")
        return (await site.logs.logs(await self.session(job), offset=0, limit=1000)).data.decode()

    async def outputs(self, job: JobId) -> list[str]:
        record = await self.engine_job(job)
        files = self.sites.of(record.site or "").files
        listing = await files.list(Outputs(record.pipeline_id, job, "a"), "", limit=10)
        return [entry.name for entry in listing.entries]

    async def engine_job(self, job: JobId) -> Any:
        async with self.database.transaction() as db:
            project = ProjectId(await db.value("SELECT project_id FROM job WHERE id = $1", job))
        return await self.engine(project).job(job)

    async def ended(self, job: JobId) -> JobState:
        async def look() -> JobState | None:
            state = (await self.engine_job(job)).state
            return state if state.is_terminal else None

        return await eventually(look, within=20)


@asynccontextmanager
async def keyed(release: str, root: Path) -> AsyncIterator[tuple[Manager, dict[str, str]]]:
    """Such a stand-in, and the settings that name it."""
    async with serving(release, root) as (manager, address):
        for access_key, (secret_key, user) in KEYS.items():
            manager.keys[access_key], manager.users[access_key] = secret_key, user
        yield manager, settings_for(address)
