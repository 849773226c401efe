"""What goes on meanwhile: jobs of small graphs, submitted over time, some cancelled, some failing, each with a known end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from fasttrack.db import Database
from fasttrack.db.feed import read_head
from fasttrack.domain.states import JobState
from fasttrack.doorbell import Doorbell
from fasttrack.errors import Unavailable
from fasttrack.feed import Cursor, Feed
from fasttrack.ids import JobId, ProjectId, new_id
from fasttrack.workflow.control import cancel
from fasttrack.workflow.publish import publish
from fasttrack.workflow.submit import RunRequest, Submitted, submit
from tests.factories import a_file

T = TypeVar("T")
GRAPHS = (
    {"a": ""},
    {"a": "", "b": "a"},
    {"a": "", "b": "a", "c": "b"},
    {"a": "", "b": "a", "c": "a", "d": "b c"},
    {"a": "", "b": "", "c": "a b", "d": "c", "e": "c"},
)
SAY = (
    'echo "$BACKENDAI_PIPELINE_JOB_ID $BACKENDAI_PIPELINE_TASK_NAME $BACKENDAI_PIPELINE_TASK_ATTEMPT"'
    " >> /pipeline/vfroot/ran; sleep {0:.2f}; "
)
FAILS_AT_FIRST = '[ "$BACKENDAI_PIPELINE_TASK_ATTEMPT" -ge 2 ]'


@dataclass(frozen=True)
class Plan:
    """One job that will be submitted."""

    at: float
    """Seconds from the start."""
    text: str
    verdicts: frozenset[JobState]
    cancel_after: float | None = None


def plan(jobs: int, seconds: float, rng: random.Random) -> list[Plan]:
    """So many jobs over so many seconds: of ten, six go well, two fail at first, one fails for good, one is cancelled."""
    plans = []
    for number in range(jobs):
        shape = rng.randrange(len(GRAPHS))
        kind = ("plain", "plain", "flaky", "plain", "cancelled", "plain", "failing", "plain", "flaky", "plain")[
            number % 10
        ]
        graph, victim = GRAPHS[shape], rng.choice(list(GRAPHS[shape]))
        tasks = {name: {"command": SAY.format(rng.uniform(0, 1))} for name in graph}
        if kind == "flaky":
            tasks[victim] |= {"command": tasks[victim]["command"] + FAILS_AT_FIRST, "retry": {"max_attempts": 3}}
        elif kind == "failing":
            tasks[victim] |= {
                "command": tasks[victim]["command"] + "exit 3",
                "retry": {"max_attempts": 2, "delay": 0.5},
            }
        verdicts = {JobState.FAILED} if kind == "failing" else {JobState.SUCCEEDED}
        if kind == "cancelled":
            verdicts.add(JobState.CANCELLED)
        text = a_file(graph, f"{kind}-{shape}", **tasks)
        after = rng.uniform(0, 3) if kind == "cancelled" else None
        plans.append(Plan(rng.uniform(0, seconds), text, frozenset(verdicts), after))
    return sorted(plans, key=lambda p: p.at)


class People:
    """Whoever submits, cancels and watches: they repeat what was not answered, and remember what was."""

    def __init__(self, database: Database, project: ProjectId, doorbell: Doorbell) -> None:
        self.database = database
        self.project = project
        self.doorbell = doorbell
        self.promised: dict[JobId, Plan] = {}
        self.watched: list[tuple[JobId, int]] = []
        self.done: Counter[str] = Counter()
        self.slowest = 0.0

    async def run(self, plans: list[Plan]) -> None:
        """Each job in its time."""
        start = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for number, planned in enumerate(plans):
                await asyncio.sleep(max(0, start + planned.at - asyncio.get_running_loop().time()))
                group.create_task(self._one(number, planned))

    async def _one(self, number: int, planned: Plan) -> None:
        asked_at = asyncio.get_running_loop().time()
        request = RunRequest(by="chaos", idempotency_key=f"job-{number}")

        async def work() -> Submitted:
            return await self.database.run(lambda db: self._submit(db, planned.text, request))  # type: ignore[arg-type]

        job = (await self._until_answered(work)).job_id
        self.slowest = max(self.slowest, asyncio.get_running_loop().time() - asked_at)
        self.promised[job] = planned
        await self.doorbell.ring([job])
        if planned.cancel_after is None:
            return
        await asyncio.sleep(planned.cancel_after)
        await self._until_answered(lambda: self.database.run(lambda db: cancel(db, self.project, job)))
        self.done["cancels asked for"] += 1
        await self.doorbell.ring([job])

    async def _submit(self, db, text: str, request: RunRequest) -> Submitted:  # type: ignore[no-untyped-def]
        published = await publish(db, self.project, text, by="chaos")
        return await submit(
            db, self.project, published.version, published.compiled, request, now=datetime.now(UTC),
            job_id=JobId(new_id()),
        )  # fmt: skip

    async def _until_answered(self, work: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await work()
            except Unavailable:
                self.done["answers missed"] += 1
                await asyncio.sleep(0.1)

    async def watch(self) -> None:
        """Follow the feed from its beginning; after every interruption on from the last cursor (I9)."""
        feed = Feed(self.database, self.project)
        head = await self.database.run(read_head)
        cursor = Cursor(head.epoch, 0)
        while True:
            try:
                async for reached, event in feed.follow(cursor, every=0.2):
                    cursor = reached
                    self.watched.append((event.job_id, event.seq))
            except Unavailable:
                self.done["streams resumed"] += 1
                await asyncio.sleep(0.1)


def executions(state_dir: Path) -> Counter[tuple[str, str, int]]:
    """How often the command of each attempt ran: (job, task, attempt)."""
    found: Counter[tuple[str, str, int]] = Counter()
    for file in state_dir.glob("pipelines/*/vfroot/ran"):
        for line in file.read_text().splitlines():
            job, task, attempt = line.split()
            found[job, task, int(attempt)] += 1
    return found
