"""W9: what requests cost the API, in CPU time of its process: common screens, and requests that are refused.

The application is called inside the bench's process, over a database of its own, so that the client is in the figures and
the network is not.
"""

from __future__ import annotations

import io
import time
from collections.abc import Awaitable, Callable

import httpx
import structlog

from fasttrack.clock import SystemClock
from fasttrack.db import Database, Db, connect, migrate
from fasttrack.db.projects import ensure_project
from fasttrack.db.secrets import SecretBox
from fasttrack.doorbell import Doorbell
from fasttrack.ids import JobId, ProjectId
from fasttrack.settings import Settings
from fasttrack.workflow.publish import publish
from fasttrack.workflow.submit import RunRequest, submit
from fasttrack_api.app import create_app
from fasttrack_api.graphql.ids import Kind, to_global
from fasttrack_api.graphql.layout import lay_out
from fasttrack_api.parts import Parts

from .graphs import chain, layers, pipeline
from .ground import Ground, connected
from .measures import Figures
from .stage import WrongOutcome
from .zoo import REFUSED

_NAME = "called"
_TRIES = 6
_JOBS = """{ project(name: "default") { jobs { nodes { id number state pipelineName createdAt runSeconds } } } }"""
_TASKS = """query($id: ID!, $after: String) { job(id: $id) { taskInstances(first: 100, after: $after) { nodes {
    id index name state reason attempt readyAt startedAt endedAt sessionId } pageInfo { endCursor } } } }"""
_GRAPH = "query($id: ID!) { job(id: $id) { graph } }"


class Caller:
    """The owner, who calls GraphQL."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def __call__(self, query: str, **variables: object) -> dict[str, object]:
        """The data. :raises WrongOutcome: there are errors."""
        body = await self.raw(query, variables)
        if "errors" in body:
            raise WrongOutcome(f"GraphQL answered {body['errors']}")
        data: dict[str, object] = body["data"]  # type: ignore[assignment]
        return data

    async def raw(self, query: str, variables: object = None) -> dict[str, object]:
        """The whole answer."""
        answer = await self._client.post("/graphql", json={"query": query, "variables": variables or {}})
        body: dict[str, object] = answer.json()
        return body


async def calls(ground: Ground) -> Figures:
    """CPU time of each, the best of several."""
    async with connected(ground.dsn) as admin:
        await admin.execute(f"CREATE DATABASE {_NAME}")
    url = ground.database_url.replace("/fasttrack?", f"/{_NAME}?")
    await migrate.upgrade(url)
    database, doorbell = connect(url), Doorbell(ground.addresses.redis_url)
    settings = Settings(state_dir=ground.state_dir, database_url=None, redis_url=None)
    parts = Parts(settings, database, doorbell, SecretBox(b"k" * 32), SystemClock())
    app = create_app(settings, given=parts)
    app.state.parts = parts
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 5000))
    # Lines are made, as in production, but not written among the figures on the screen.
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=io.StringIO()))
    try:
        large = await _prepared(database)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await _measured(Caller(client), to_global(Kind.JOB, large))
    finally:
        structlog.reset_defaults()
        await doorbell.close()
        await database.close()
        async with connected(ground.dsn) as admin:
            await admin.execute(f"DROP DATABASE {_NAME} WITH (FORCE)")


async def _prepared(database: Database) -> JobId:
    """Fifty jobs of one task, and the one of a thousand that is given back."""

    async def work(db: Db) -> JobId:
        project = await ensure_project(db, "default")
        large = await _submitted(db, project, pipeline("large", layers(20, 50)))
        for _ in range(50):
            await _submitted(db, project, pipeline("small", chain(1)))
        return large

    return await database.run(work)


async def _submitted(db: Db, project: ProjectId, text: str) -> JobId:
    published = await publish(db, project, text, by="bench")
    return (await submit(db, project, published.version, published.compiled, RunRequest(by="bench"))).job_id


async def _measured(call: Caller, job: str) -> Figures:
    pages: list[dict[str, object]] = [{"id": job}]
    for _ in range(9):
        data = await call(_TASKS, **pages[-1])
        pages.append({"id": job, "after": data["job"]["taskInstances"]["pageInfo"]["endCursor"]})  # type: ignore[index]

    async def all_pages() -> None:
        for variables in pages:
            await call(_TASKS, **variables)

    figures = {
        "50 jobs with 6 fields, CPU": await _best(lambda: call(_JOBS)),
        "1,000 instances in ten pages, CPU": await _best(all_pages),
        "packed graph of 1,000 tasks, CPU": await _best(lambda: call(_GRAPH, id=job)),
        "layout of 10,000 tasks, CPU": _layout(),
    }
    spent = {case: await _refusal(call, *REFUSED[case]) for case in REFUSED}
    return figures | {"dearest refusal of the zoo, CPU": max(spent.values())}


async def _best(work: Callable[[], Awaitable[object]]) -> float:
    spent = []
    for _ in range(_TRIES):
        began = time.process_time()
        await work()
        spent.append(time.process_time() - began)
    return min(spent) * 1000


async def _refusal(call: Caller, query: str, code: str) -> float:
    texts = iter(
        query + " " * n for n in range(_TRIES)
    )  # one of its own each time: nothing is kept from the time before

    async def refused() -> None:
        body = await call.raw(next(texts))
        codes = {e["extensions"]["code"] for e in body["errors"]}  # type: ignore[attr-defined]
        if codes != {code}:
            raise WrongOutcome(f"{query[:80]} was answered {codes}, not {code}")

    return await _best(refused)


def _layout() -> float:
    names = [f"t{n}" for n in range(10_000)]
    tasks = [(name, names[max(n - 203, 0) : max(n - 200, 0)]) for n, name in enumerate(names)]
    began = time.process_time()
    lay_out(tasks)
    return (time.process_time() - began) * 1000
