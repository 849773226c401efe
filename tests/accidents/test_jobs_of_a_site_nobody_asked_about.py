"""Jobs of the local backend were bound to a site called `local`, while its sessions were asked about under its full name.

The policy was made before the backend was started, which is when a backend may learn its name. So the observer saw none
of these sessions, and what no hint told stayed unknown: a lost session was never found out.
"""

from __future__ import annotations

from fasttrack.db.passes import open_sessions
from fasttrack.domain.states import InstanceState
from fasttrack_scheduler.backends.local.backend import LocalBackend
from tests.engine import Engine
from tests.factories import a_file


async def test_the_sessions_of_a_local_job_are_found_under_the_backend_s_site(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": ""}, a={"command": "sleep 60"}))
    backend = LocalBackend(engine.settings)
    async with engine.scheduling(backend):
        await engine.reached(job, "a", InstanceState.RUNNING)
        async with engine.database.transaction() as db:
            assert len(await open_sessions(db, backend.site)) == 1
        await engine.cancel(job)
        await engine.ended(job)
    assert backend.site.startswith("local:")
    assert LocalBackend(engine.settings).site == backend.site
