"""What must hold when a world has become quiet: the invariants, each from the rows, the events and the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from fasttrack.db.feed import PLACED
from fasttrack.domain.states import FailureClass
from fasttrack.domain.transitions import SKIPPED_BY
from fasttrack.ids import InstanceId, parse_session_name, session_name
from fasttrack_scheduler.backends.base import SessionStatus

from .cluster import Session
from .faults import FENCE
from .workload import tasks_of

if TYPE_CHECKING:
    from .people import People
    from .world import World

_GOOD = "SUCCEEDED"
_BAD = ("FAILED", "CANCELLED", "UPSTREAM_FAILED")


def check(world: World, people: People) -> None:
    """Check everything; what does not hold is told to `world.watch`."""
    Checks(world, people).all()


class Checks:
    """One world's rows, read once."""

    def __init__(self, world: World, people: People) -> None:
        self.world = world
        self.people = people
        ask = world.postgres.rows
        self.jobs = {r["id"]: r for r in ask("SELECT * FROM job ORDER BY id")}
        self.instances = {r["id"]: r for r in ask("SELECT * FROM task_instance ORDER BY id")}
        self.attempts = ask("SELECT * FROM attempt ORDER BY instance_id, number")
        self.events: dict[UUID, list[asyncpg.Record]] = defaultdict(list)
        for event in ask(f"SELECT * FROM ({PLACED}) AS e ORDER BY job_id, seq"):
            self.events[event["job_id"]].append(event)
        self.head = ask("SELECT pos FROM feed_head")[0]["pos"]
        self.sessions: dict[str, list[Session]] = defaultdict(list)
        for session in world.cluster.ledger.sessions:
            self.sessions[session.name].append(session)
        self.tasks = [tasks_of(file) for file in world.workload.files]
        self.is_promised = not world.faults.is_beyond_fence
        """Whether what rests on the fence may be asked for."""

    def violate(self, invariant: str, what: str) -> None:
        self.world.watch.violate(invariant, what)

    def all(self) -> None:
        self.one_execution_per_attempt()
        self.no_ghosts()
        self.attempts_tell_what_happened()
        self.history_is_whole()
        self.feed_is_whole()
        self.subscriber_got_everything()
        self.promises_were_kept()
        self.nothing_outlives_its_job()
        self.needs_came_first()
        self.what_is_paused_starts_nothing()
        self.a_pause_ends_no_task()
        self.what_is_skipped_stays_so()
        self.what_a_run_has_otherwise_it_gets()
        self.what_is_reused_is_not_run()
        self.sightings()

    # -- the cluster ----------------------------------------------------------------------------------------------

    def one_execution_per_attempt(self) -> None:
        """I2: whatever was lost or late, one attempt is one session at most, and it ran once at most."""
        if not self.is_promised:
            return
        for name, sessions in self.sessions.items():
            kept = [s for s in sessions if not s.is_forgotten]  # a cluster that forgets can be told twice
            if len(kept) > 1:
                self.violate("I2", f"{name} had {len(kept)} sessions")
        known = {session_name(a["instance_id"], a["number"]) for a in self.attempts}
        for name in self.sessions.keys() - known:
            self.violate("I2", f"{name} is no attempt's session")

    def no_ghosts(self) -> None:
        """I3: every job is over, so whatever lives is nobody's."""
        for session in self.world.cluster.living():
            self.violate("I3", f"{session.name}, made at {session.created_at:%T}, still lives")

    def needs_came_first(self) -> None:
        """I14: no session of a task before what it needs has ended as its `run_if` says."""
        ended: dict[tuple[UUID, int], Any] = {}
        for job, events in self.events.items():
            for event in events:
                if event["task"] is not None and event["payload"].get("to") in (_GOOD, *_BAD, "SKIPPED"):
                    ended[job, event["task"]] = event
        for sessions in self.sessions.values():
            for session in sessions:
                owner = parse_session_name(session.name)
                row = self.instances.get(owner[0]) if owner else None
                if row is None:
                    continue
                tasks = self.tasks[self._pipeline_of(row["job_id"])]
                names = [t["name"] for t in tasks]
                task = tasks[row["index"]]
                needs = [
                    (tasks[names.index(n)], ended.get((row["job_id"], names.index(n)))) for n in task["dependencies"]
                ]
                if any(end is None or (_is_of_time(end) and end["at"] > session.created_at) for _, end in needs):
                    self.violate("I14", f"{session.name} of {task['name']} began before its needs had ended")
                elif not _holds(task.get("run_if", "success"), needs):
                    self.violate("I14", f"{session.name} of {task['name']} ran although its condition does not hold")

    def _pipeline_of(self, job: UUID) -> int:
        version = self.jobs[job]["version_id"]
        return next(i for i, (known, _) in enumerate(self.world.versions) if known.id == version)

    # -- rows against the ledger --------------------------------------------------------------------------------------

    def attempts_tell_what_happened(self) -> None:
        """I5, I16: how an attempt ended follows from its session; none failed because an answer was missing."""
        for attempt in self.attempts:
            name = session_name(InstanceId(attempt["instance_id"]), attempt["number"])
            sessions = self.sessions.get(name, [])
            why = self._why_not(attempt, sessions, name)
            if why:
                found = [(str(s.status), s.exit_code, str(s.failure)) for s in sessions]
                told = {k: attempt[k] for k in ("state", "failure", "stop", "exit_code", "reason")}
                self.violate("I5/I16", f"{name}: {why}; stored {told}, really {found}")

    def _why_not(self, attempt: asyncpg.Record, sessions: Sequence[Session], name: str) -> str:
        failure, stop = attempt["failure"], attempt["stop"]
        match attempt["state"]:
            case "SUCCEEDED":
                right = any(s.status is SessionStatus.SUCCEEDED for s in sessions)
            case "CANCELLED":
                right = stop is not None or any(s.failure is FailureClass.CANCELLED for s in sessions)
            case "FAILED" if failure == FailureClass.REFUSED:
                right = name in self.world.cluster.ledger.refused
            case "FAILED" if failure == FailureClass.TIMEOUT:
                right = stop == FailureClass.TIMEOUT
            case "FAILED":
                right = any(str(s.failure) == failure and s.exit_code == attempt["exit_code"] for s in sessions)
            case state:
                return f"{state} is no end"
        if not right:
            return "nothing of the kind happened"
        if stop is None and self.is_promised and any(s.status is SessionStatus.SUCCEEDED for s in sessions):
            return "" if attempt["state"] == "SUCCEEDED" else "its session succeeded"
        return ""

    # -- events -------------------------------------------------------------------------------------------------------

    def history_is_whole(self) -> None:
        """I7: numbered without a gap, and read again they give the rows."""
        for job, row in self.jobs.items():
            events = self.events[job]
            if [e["seq"] for e in events] != list(range(1, row["seq"] + 1)):
                self.violate("I7", f"job {job} has seq {row['seq']} and events {[e['seq'] for e in events]}")
            job_state = "PENDING"
            states: dict[int, str] = defaultdict(lambda: "PENDING")
            attempts: dict[int, int] = defaultdict(int)
            for event in events:
                payload, task = event["payload"], event["task"]
                if "to" in payload:
                    before = job_state if task is None else states[task]
                    if payload["from"] != before:
                        self.violate("I6", f"job {job} event {event['seq']}: from {payload['from']}, was {before}")
                    if task is None:
                        job_state = payload["to"]
                    else:
                        states[task] = payload["to"]
                        attempts[task] += payload["to"] == "STARTING"
            if job_state != row["state"]:
                self.violate("I7", f"job {job} is {row['state']}; its events say {job_state}")
            if row["open_tasks"]:
                self.violate("I7", f"job {job} is over and counts {row['open_tasks']} open tasks")
            for instance in self.instances.values():
                if instance["job_id"] == job:
                    told = (states[instance["index"]], attempts[instance["index"]])
                    if told != (instance["state"], instance["attempt"]):
                        self.violate("I7", f"task {instance['name']} is {instance['state']}; its events say {told}")

    def feed_is_whole(self) -> None:
        """I8: places 1 to N, each once, in the order of each job."""
        events = [e for of_job in self.events.values() for e in of_job]
        places = sorted(e["pos"] or 0 for e in events)
        if places != list(range(1, len(events) + 1)) or self.head != len(events):
            self.violate("I8", f"{len(events)} events, head {self.head}, places {places[:3]}…{places[-3:]}")
        for job, of_job in self.events.items():
            if sorted(of_job, key=lambda e: e["pos"] or 0) != of_job:
                self.violate("I8", f"places of job {job} do not follow its order")

    def subscriber_got_everything(self) -> None:
        """I9: with its cursor, each event once and in order."""
        events = sorted((e for of_job in self.events.values() for e in of_job), key=lambda e: e["pos"] or 0)
        stored = [(e["job_id"], e["seq"]) for e in events]
        if self.people.read != stored:
            missed, twice = set(stored) - set(self.people.read), len(self.people.read) - len(set(self.people.read))
            self.violate("I9", f"of {len(stored)} events the subscriber missed {len(missed)} and got {twice} twice")

    # -- promises -------------------------------------------------------------------------------------------------------

    def promises_were_kept(self) -> None:
        """I12, I17: one job per key; I13: a cancel that was acknowledged holds."""
        asked = {r.key for r in self.world.workload.requests} | self.people.again.keys()
        if set(self.people.jobs) != asked or set(self.people.jobs.values()) != set(self.jobs):
            self.violate("I12/I17", f"{len(asked)} keys, {len(self.people.jobs)} answers, {len(self.jobs)} jobs")
        for job, (at, before) in self.people.cancelled.items():
            row = self.jobs[job]
            if before.is_terminal:
                continue
            states = {i["state"] for i in self.instances.values() if i["job_id"] == job}
            if row["state"] != "CANCELLED" and "CANCELLED" in states:
                self.violate("I13", f"job {job} was cancelled and is {row['state']}")
            for session in self._of_job(job):
                if self.is_promised and session.created_at > at + timedelta(seconds=FENCE):
                    self.violate("I13", f"{session.name} was created long after its job's cancel")

    def nothing_outlives_its_job(self) -> None:
        """I13: when a job is over, none of its sessions lives, and none comes."""
        if not self.is_promised:
            return
        for job, row in self.jobs.items():
            for session in self._of_job(job):
                if row["ended_at"] and (session.ended_at is None or session.ended_at > row["ended_at"]):
                    self.violate("I13", f"{session.name} outlived job {job}, which ended at {row['ended_at']:%T}")

    # -- pauses, skips and re-runs ---------------------------------------------------------------------------------------------

    def what_is_paused_starts_nothing(self) -> None:
        """Of a job: by its history. Of a pipeline: from the answer to its pause until somebody asks for its end."""
        for job, events in self.events.items():
            state = "PENDING"
            for event in events:
                if event["task"] is None:
                    state = event["payload"].get("to", state)
                elif event["kind"] == "task.starting" and state != "RUNNING":
                    self.violate("pause", f"job {job} event {event['seq']}: a task was started while it was {state}")
        for pipeline, since, until in self.people.paused:
            for job, row in self.jobs.items():
                if self._pipeline_of(job) != pipeline:
                    continue
                if row["created_at"] < until and (row["ended_at"] or until) >= until:
                    self.world.saw("a pipeline was paused with work to do")
                for attempt in self.attempts:
                    if attempt["job_id"] == job and since < attempt["opened_at"] < until:
                        self.violate(
                            "pause", f"job {job} started a task at {attempt['opened_at']:%T} in a paused pipeline"
                        )

    def a_pause_ends_no_task(self) -> None:
        """What a pause stopped begins anew; only a cancel, or somebody outside, cancels a task."""
        newest = {a["instance_id"]: a for a in self.attempts}
        for instance in self.instances.values():
            was_cancelled = self.jobs[instance["job_id"]]["cancel_requested_at"] is not None
            attempt = newest.get(instance["id"])
            is_by_pause = attempt is not None and attempt["stop"] == FailureClass.PREEMPTED
            if instance["state"] == "CANCELLED" and is_by_pause and not was_cancelled:
                self.violate("pause", f"task {instance['name']} was cancelled by a pause")

    def what_is_skipped_stays_so(self) -> None:
        """Once somebody was told so: it has no later session, and the job and whoever runs it again know."""
        for job, task in self.people.skipped:
            row = next(i for i in self.instances.values() if (i["job_id"], i["name"]) == (job, task))
            is_asked_for = row["reason"] == "skipped on request" or row["reason"].startswith(SKIPPED_BY)
            if row["state"] != "SKIPPED" or (is_asked_for and task not in self.jobs[job]["skip"]):
                told = {k: row[k] for k in ("state", "reason")}
                self.violate("skip", f"task {task} of job {job}, which was skipped, is {told}")
            late = [s for s in self._sessions_of(row["id"]) if s.ended_at is None or s.ended_at > row["ended_at"]]
            if late and self.is_promised:
                self.violate("skip", f"{late[0].name} lived on after its task was skipped at {row['ended_at']:%T}")

    def what_a_run_has_otherwise_it_gets(self) -> None:
        """Whichever scheduler makes the session, however late, and in whoever runs the job again."""
        for request in self.world.workload.requests:
            for key in (request.key, f"{request.key}-again"):
                for session in self._of_job(self.people.jobs[key]) if key in self.people.jobs else ():
                    if session.spec.workspace.task != "t0":
                        continue
                    self.world.watch.seen["a task had other resources"] += request.cpus is not None
                    if session.spec.slots["cpu"] != (request.cpus or 1):
                        self.violate(
                            "overrides", f"{session.name} has {session.spec.slots['cpu']} cpu, not {request.cpus}"
                        )

    def what_is_reused_is_not_run(self) -> None:
        """A re-run has no session of what it reuses, and that did succeed where it says; all else runs again."""
        for key, (origin, start) in self.people.again.items():
            how = {"*": "as a whole", "?": "from its failure"}.get(start, "from a task")
            self.world.saw(f"run again {how}")
            job = self.people.jobs[key]
            before = {i["name"]: i for i in self.instances.values() if i["job_id"] == origin}
            for instance in self.instances.values():
                if instance["job_id"] != job:
                    continue
                old = before[instance["name"]]
                self.world.watch.seen["skipped again"] += instance["reason"] == old["reason"] == "skipped on request"
                is_run = instance["state"] not in ("SKIPPED", "CANCELLED") or instance["attempt"]
                if old["reason"].startswith(SKIPPED_BY) and is_run and instance["name"] != start:
                    self.violate("re-run", f"task {instance['name']} of job {job} was skipped before, and is run")
                if instance["reused_from"] is None:
                    continue
                if (instance["state"], instance["attempt"]) != (_GOOD, 0) or self._sessions_of(instance["id"]):
                    self.violate("re-run", f"task {instance['name']} of job {job} is reused, and ran")
                if (
                    instance["reused_from"] != origin
                    or old["state"] != _GOOD
                    or instance["name"] == start
                    or start == "*"
                ):
                    self.violate("re-run", f"task {instance['name']} of job {job} reuses what did not succeed")

    def _sessions_of(self, instance: UUID) -> list[Session]:
        owners = {name: parse_session_name(name) for name in self.sessions}
        return [s for name, owner in owners.items() if owner and owner[0] == instance for s in self.sessions[name]]

    def _of_job(self, job: UUID) -> list[Session]:
        return [s for each in self.sessions.values() for s in each if s.spec.workspace.job_id == job]

    # -- sightings ------------------------------------------------------------------------------------------------------

    def sightings(self) -> None:
        """What this world can prove to have gone through."""
        watch = self.world.watch
        for events in self.events.values():
            watch.seen["an older job made room"] += any(
                "took its place" in e["payload"].get("reason", "") for e in events
            )
        for attempt in self.attempts:
            name = session_name(InstanceId(attempt["instance_id"]), attempt["number"])
            sessions = self.sessions.get(name, [])
            if sessions and name not in watch.answered and attempt["session_id"] is not None:
                watch.seen["adopted after a lost answer"] += 1
                if name not in watch.seen_alive and sessions[0].runs:
                    watch.seen["adopted a dead session"] += 1
            opened = attempt["opened_at"]
            for at in watch.unknown_at.get(name, ()):
                if timedelta(seconds=4) < at - opened < timedelta(seconds=FENCE):
                    watch.seen["waited for a fence"] += 1


def _is_of_time(end: Any) -> bool:
    """Whether it ended while the job ran; what is skipped or reused ends, well, by the clock of whoever submits."""
    return end["payload"].get("reason") not in ("skipped on request", "reused")


def _is_on_request(end: Any) -> bool:
    """Whether it counts as done without having been run."""
    return not _is_of_time(end) or end["payload"].get("reason", "").startswith(SKIPPED_BY)


def _holds(run_if: str, needs: Sequence[tuple[dict[str, Any], Any]]) -> bool:
    ends = [(task, end["payload"]["to"]) for task, end in needs]
    good = [
        to == _GOOD or _is_on_request(end) or (to == "FAILED" and task.get("continue_on_failure", False))
        for (task, to), (_, end) in zip(ends, needs, strict=True)
    ]
    bad = [to in _BAD for _, to in ends]
    match run_if:
        case "always":
            return True
        case "failure":
            return any(bad)
        case "any_success":
            return any(good)
    return all(good)
