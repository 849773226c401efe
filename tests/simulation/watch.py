"""Looks on while a world runs: what must hold at every step, and what must have happened in some world."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fasttrack.domain.states import INSTANCE_MOVES, JOB_MOVES, InstanceState, JobState
from fasttrack.domain.transitions import SKIPPED_BY
from fasttrack.ids import parse_session_name
from fasttrack_scheduler.backends.base import Observation

from .cluster import Session

if TYPE_CHECKING:
    from .world import World

SOMETIMES = frozenset(
    {
        "adopted after a lost answer",
        "adopted a dead session",
        "waited for a fence",
        "late create met its name",
        "stale fact ignored",
        "ghost swept",
        "pre-emption",
        "create decided anew",
        "cancelled while starting",
        "job held by another scheduler",
        "commit lost on the way back",
        "cursor resumed",
        "killed before a commit",
        "killed after a commit",
        "killed after a request",
        "two requests under one key",
        "late create beyond its fence",
        "stopped in a transaction",
        "session lost",
        "a paused job went on",
        "set back by a pause",
        "a pipeline was paused with work to do",
        "run again as a whole",
        "run again from its failure",
        "run again from a task",
        "a task was reused",
        "skipped again",
        "skipped while PENDING",
        "skipped while READY",
        "skipped after an attempt",
        "too late to skip",
        "a task had other resources",
        "waited for a slot",
        "a limit was full",
        "a pipeline was full",
        "an older job made room",
        "a pipeline took no more",
    }
)
"""What a run of many seeds must have seen at least once each, else it proves nothing about it."""

_MOST_FENCES = 60


class Watch:
    """What one world has shown so far."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: Counter[str] = Counter()
        self.violations: list[str] = []
        self.answered: set[str] = set()
        """Names whose create was answered to somebody who was alive."""
        self.unknown_at: dict[str, list[datetime]] = {}
        """When a name was looked up in vain."""
        self._fences: Counter[str] = Counter()
        self.fences: dict[str, datetime] = {}
        """Until when a create of that name may arrive."""
        self.seen_alive: set[str] = set()
        """Names that some scheduler was told to be alive."""
        self.instances: dict[UUID, tuple[UUID, int]] = {}
        """Job and index of each task instance."""
        self._task_states: dict[tuple[UUID, int], InstanceState] = {}
        self._attempts: Counter[tuple[UUID, int]] = Counter()
        self._job_states: dict[UUID, JobState] = {}
        self._pipelines: dict[UUID, UUID] = {}
        """Of each job."""
        self._begun: set[UUID] = set()
        """Jobs that have begun and are not over."""

    def violate(self, invariant: str, what: str) -> None:
        """Note that an invariant does not hold."""
        self.violations.append(f"{invariant} at {self.world.elapsed():.3f} s: {what}")

    # -- steps --------------------------------------------------------------------------------------------------

    def created(self, session: Session) -> None:
        """I1: no task instance has two living sessions. Beyond the fence the cluster's own rule is all there is."""
        instance, _ = _owner(session)
        others = [s for s in self.world.cluster.living() if s is not session and _owner(s)[0] == instance]
        if others and not self.world.faults.is_beyond_fence:
            self.violate("I1", f"{session.name} was created while {others[0].name} lives")
        self._count_slots(session)
        if self.world.cluster.ledger.creates[session.name] > 1:
            self.seen["create decided anew"] += 1

    def _count_slots(self, new: Session) -> None:
        """I15: no limit is ever exceeded; counted from what really lives, ghosts of late requests apart."""
        if self.world.faults.is_beyond_fence:
            return
        taken: Counter[tuple[str, str]] = Counter()
        for session in self.world.cluster.living():
            taken["project", ""] += 1
            taken["resource_group", session.spec.resource_group] += 1
            taken[
                "pool", self.world.pools.get((session.spec.workspace.pipeline_id, session.spec.workspace.task), "")
            ] += 1
        for of, slots in self.world.workload.limits.items():
            if taken[of] > slots:
                self.violate("I15", f"{new.name} was created as number {taken[of]} of {slots} for {' '.join(of)}")
            self.seen["a limit was full"] += taken[of] == slots

    def _count_jobs(self, job: UUID) -> None:
        """I15: no more jobs of a pipeline have begun, and are not over, than it lets in."""
        pipeline = self._pipelines.get(job)
        most = self.world.most_jobs.get(pipeline) if pipeline else None
        begun = [j for j in self._begun if self._pipelines.get(j) == pipeline]
        if most is not None and len(begun) > most:
            self.violate("I15", f"job {job} began as number {len(begun)} of {most} of its pipeline")
        self.seen["a pipeline was full"] += most is not None and len(begun) == most

    def submitted(self, job: UUID, pipeline: UUID) -> None:
        """A job is being stored."""
        self._pipelines[job] = pipeline

    def committed(self, events: list[tuple[Any, ...]]) -> None:
        """I6: only legal moves, each from where the last one led."""
        for job, seq, _, kind, task, payload in events:
            self.world.log(f"event {str(job)[-6:]} {seq} {kind} {'' if task is None else task} {dict(payload)}")
            if kind == "job.submitted":
                self._job_states[job] = JobState.PENDING
            if "to" not in payload:
                continue
            if task is None:
                at, source, target = self._job_states.get(job), JobState(payload["from"]), JobState(payload["to"])
                legal = target in JOB_MOVES[source]
                self._job_states[job] = target
                if target is JobState.RUNNING:
                    self._begun.add(job)
                    self._count_jobs(job)
                elif target.is_terminal:  # type: ignore[union-attr]
                    self._begun.discard(job)
                    self._recognise_end(payload)
            else:
                at = self._task_states.get((job, task), InstanceState.PENDING)  # type: ignore[assignment]
                source, target = InstanceState(payload["from"]), InstanceState(payload["to"])  # type: ignore[assignment]
                legal = target in INSTANCE_MOVES[source]  # type: ignore[index]
                self._task_states[job, task] = target  # type: ignore[assignment]
                self._attempts[job, task] = payload.get("attempt", self._attempts[job, task])
                self._recognise(source, target, payload, self._attempts[job, task])  # type: ignore[arg-type]
            if not legal or source is not at:
                self.violate("I6", f"{kind} of {job} task {task}: {source} → {target}, and it was {at}")

    def _recognise(self, source: InstanceState, target: InstanceState, payload: dict[str, Any], attempt: int) -> None:
        if source is InstanceState.RUNNING and target in (InstanceState.QUEUED, InstanceState.PREPARING):
            self.seen["pre-emption"] += 1
        if source is InstanceState.STARTING and "cancelled" in payload.get("reason", ""):
            self.seen["cancelled while starting"] += 1
        if source.has_session and target is InstanceState.READY and "paused" in payload.get("reason", ""):
            self.seen["set back by a pause"] += 1
        if target is InstanceState.READY and "waits for a slot" in payload.get("reason", ""):
            self.seen["waited for a slot"] += 1
        if target is InstanceState.SUCCEEDED and payload.get("reason") == "reused":
            self.seen["a task was reused"] += 1
        if target is InstanceState.SKIPPED and attempt and payload.get("reason", "").startswith(SKIPPED_BY):
            self.seen["skipped after an attempt"] += 1
        if "lost" in payload.get("reason", ""):
            self.seen["session lost"] += 1

    def _recognise_end(self, payload: dict[str, Any]) -> None:
        if payload.get("reason", "").startswith("skipped:"):
            self.seen["a pipeline took no more"] += 1

    def fenced(self, name: str, until: datetime) -> None:
        """I4: an attempt is decided anew once in a fence, not again and again."""
        if self.fences.get(name) != until:
            self.fences[name] = until
            self._fences[name] += 1
            if self._fences[name] == _MOST_FENCES:
                self.violate("I4", f"{name} was decided anew {_MOST_FENCES} times")

    # -- sightings ----------------------------------------------------------------------------------------------

    def unknown(self, name: str) -> None:
        """A name was looked up, and there is no session of it."""
        self.unknown_at.setdefault(name, []).append(self.world.now())

    def has_begun(self, job: UUID) -> bool:
        """Whether something was started in the job, or it is over."""
        return self._job_states.get(job, JobState.PENDING) is not JobState.PENDING

    def has_ended(self, job: UUID) -> bool:
        """Whether the job is over."""
        return self._job_states.get(job, JobState.PENDING).is_terminal

    def waits_again(self, job: UUID) -> str | None:
        """A task of the job that was tried, and is to be tried again; `None`: there is none now."""
        states = self._task_states.items()
        waiting = [t for t, state in states if t[0] == job and state is InstanceState.READY and self._attempts[t]]
        return f"t{waiting[0][1]}" if waiting else None

    def is_over(self, name: str) -> bool:
        """Whether the attempt of that name has ended, so that a session of it would be nobody's."""
        instance, attempt = parse_session_name(name) or (None, 0)
        task = self.instances.get(instance) if instance else None
        if task is None:
            return False
        state = self._task_states.get(task, InstanceState.PENDING)
        return self._attempts[task] > attempt or (self._attempts[task] == attempt and not state.has_session)

    def told(self, answer: object) -> None:
        """A scheduler gets an answer; it may be older than what is known by now."""
        for seen in answer if isinstance(answer, list) else [answer]:
            if not isinstance(seen, Observation) or seen.status.is_terminal:
                continue
            self.seen_alive.add(seen.name)
            instance, _ = parse_session_name(seen.name) or (None, 0)
            state = self._task_states.get(self.instances.get(instance, (None, 0)))  # type: ignore[arg-type]
            if state is not None and state.is_terminal:
                self.seen["stale fact ignored"] += 1

    def arrived(self, verb: str, name: str) -> None:
        """A request has reached the cluster."""
        taken = self.world.cluster.ledger.name_taken
        swept = self.world.cluster.ledger.swept
        if verb == "terminate" and swept and swept[-1] == name:
            self.seen["ghost swept"] += 1
        if verb == "create" and taken and taken[-1] == name:
            self.seen["late create met its name"] += 1


def _owner(session: Session) -> tuple[UUID, int]:
    owner = parse_session_name(session.name)
    assert owner is not None, session.name
    return owner
