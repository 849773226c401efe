"""W7 over HTTP: the API's lists, filters and job pages, as a client calls them.

The api is `fasttrack api` with the settings' defaults but for the limit of requests. Times are from before a request is sent to
the last byte of its answer, over one kept connection, the client's own share included.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from fasttrack.ids import JobId
from fasttrack_api.graphql.ids import Kind, to_global

from .ground import Ground
from .lists import FEW, SMALL, TASKS, Stored, store
from .measures import Figures, percentile
from .stage import WrongOutcome

_FIELDS = "id index name state reason attempt readyAt startedAt endedAt sessionId"
_SIX = "id number state pipelineName createdAt runSeconds"
_JOBS = f"""query($filter: JobFilter, $after: String, $first: Int! = 50) {{ project(name: "default") {{
  jobs(first: $first, after: $after, filter: $filter) {{ nodes {{ {_SIX} }} pageInfo {{ endCursor }} feedCursor }} }} }}"""
_INSTANCES = f"""query($id: ID!, $after: String) {{ job(id: $id) {{ taskInstances(first: 100, after: $after) {{
  nodes {{ {_FIELDS} }} pageInfo {{ endCursor }} }} }} }}"""
_GRAPH = "query($id: ID!) { job(id: $id) { graph } }"
_JOB_PAGE = f"""query($id: ID!) {{ job(id: $id) {{ {_SIX} reason params counts {{ state count }} graph gantt
  taskInstances(first: 100) {{ nodes {{ {_FIELDS} }} feedCursor }} events(first: 100) {{ nodes {{ seq kind at payload }} }} }} }}"""
_HOME = """{ project(name: "default") { openJobCounts { state count }
  pipelines(first: 20) { nodes { id name jobCount latestVersion { number } lastJob { number state } } } } }"""
_CHART = """query($project: String!, $bucket: StatisticsBucket!) { project(name: $project) { jobStatistics(bucket: $bucket) {
  start succeededCount failedCount cancelledCount runSeconds { p50 p95 } waitedSeconds { p50 p95 } } } }"""
_AUDIT = """{ project(name: "default") { auditEntries(first: 5, filter: {action: "secret.set"}) { nodes { at action accountName } } } }"""
_FIND = '{ project(name: "default") { pipelines(first: 20, filter: {search: "ored-1"}) { nodes { id name } } } }'


@dataclass(frozen=True)
class Call:
    """One request."""

    path: str
    body: dict[str, Any] | None = None
    """Of a POST; `None`: a GET."""


def rest(path: str) -> Call:
    return Call(f"/api/v1/{path}")


def graphql(query: str, **variables: Any) -> Call:
    return Call("/graphql", {"query": query, "variables": variables})


def _id(job: JobId) -> str:
    return to_global(Kind.JOB, job)


def _pipeline(stored: Stored) -> Any:
    return stored.chance.choice(stored.versions).pipeline_id


CALLS: dict[str, Callable[[Stored], Call]] = {
    "REST: newest jobs, p95": lambda s: rest("jobs?limit=50"),
    "REST: a later page of jobs, p95": lambda s: rest(f"jobs?limit=50&after={s.job}"),
    "REST: failed jobs, p95": lambda s: rest(f"jobs?limit={FEW}&state=FAILED"),
    "REST: jobs in a state that none is in, p95": lambda s: rest("jobs?limit=50&state=CANCELLED"),
    "REST: jobs of one pipeline, p95": lambda s: rest(f"jobs?limit={FEW}&pipeline={_pipeline(s)}"),
    "REST: a job, p95": lambda s: rest(f"jobs/{s.job}"),
    "REST: its 100 tasks, p95": lambda s: rest(f"jobs/{s.job}/tasks?limit=100"),
    "REST: 100 of its events, p95": lambda s: rest(f"jobs/{s.job}/events?limit=100"),
    "REST: pipelines, p95": lambda s: rest("pipelines"),
    "GraphQL: newest jobs, p95": lambda s: graphql(_JOBS),
    "GraphQL: failed jobs, p95": lambda s: graphql(_JOBS, first=FEW, filter={"states": ["FAILED"]}),
    "GraphQL: running jobs, p95": lambda s: graphql(_JOBS, filter={"states": ["RUNNING"]}),
    "GraphQL: jobs in a state that none is in, p95": lambda s: graphql(_JOBS, filter={"states": ["CANCELLED"]}),
    "GraphQL: jobs of one pipeline, p95": lambda s: graphql(
        _JOBS, first=FEW, filter={"pipelineId": to_global(Kind.PIPELINE, _pipeline(s))}
    ),
    "GraphQL: failed jobs of one pipeline, p95": lambda s: graphql(
        _JOBS, filter={"pipelineId": to_global(Kind.PIPELINE, _pipeline(s)), "states": ["FAILED"]}
    ),
    "GraphQL: jobs before a day, p95": lambda s: graphql(_JOBS, filter={"createdBefore": "2030-01-01T00:00:00Z"}),
    "GraphQL: a job page with its 100 tasks, p95": lambda s: graphql(_JOB_PAGE, id=_id(s.job)),
    "GraphQL: a job's graph, p95": lambda s: graphql(_GRAPH, id=_id(s.job)),
    "GraphQL: home page of pipelines, p95": lambda s: graphql(_HOME),
    "GraphQL: pipelines by a part of their name, p95": lambda s: graphql(_FIND),
    "GraphQL: a chart of a month by days, p95": lambda s: graphql(_CHART, project="default", bucket="DAY"),
    "GraphQL: the same of 100,000 jobs, p95": lambda s: graphql(_CHART, project="busy", bucket="DAY"),
    "GraphQL: of those, a week by hours, p95": lambda s: graphql(_CHART, project="busy", bucket="HOUR"),
    "REST: a month of 100,000 jobs by days, p95": lambda s: rest("statistics/jobs?project=busy"),
    "GraphQL: the audit log by action, p95": lambda s: graphql(_AUDIT),
}


async def calls(ground: Ground, rows: int, *, small: int = SMALL, samples: int = 40, crowd: int = 100_000) -> Figures:
    """p95 of each call over `rows` instances; those over few are under the same names with `floor:` before."""
    async with store(ground) as made, ground.serving(made.url) as api, _client(api.address) as client:
        await made.crowd(crowd)
        await made.fill(small)
        few = await _call_all(client, made.stored, samples)
        await made.fill(rows)
        many = await _call_all(client, made.stored, samples)
    return many | {f"floor:{name}": value for name, value in few.items()}


def _client(address: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=address, timeout=60, trust_env=False)


async def _call_all(client: httpx.AsyncClient, stored: Stored, samples: int) -> Figures:
    figures: Figures = {}
    for name, make in CALLS.items():
        took = []
        for _ in range(samples + 5):
            call = make(stored)
            began = time.perf_counter()
            await _called(client, call)
            took.append((time.perf_counter() - began) * 1000)
        figures[name] = percentile(took[5:], 95)
    page = await _called(client, graphql(_JOB_PAGE, id=_id(stored.job)))
    if len(page["data"]["job"]["taskInstances"]["nodes"]) != TASKS:
        raise WrongOutcome("the job page did not have all tasks")
    return figures


async def _called(client: httpx.AsyncClient, call: Call) -> Any:
    """What was answered. :raises WrongOutcome: an error."""
    answer = await (client.get(call.path) if call.body is None else client.post(call.path, json=call.body))
    body = orjson.loads(answer.content)
    if answer.status_code != 200 or "errors" in body:
        raise WrongOutcome(f"{call.path} answered {answer.status_code}: {answer.text[:300]}")
    return body
