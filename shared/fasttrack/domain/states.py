"""The state machine: every state, what it means, and every legal move.

`python -m fasttrack.domain.states` prints `docs/states.md`; `make check` compares. Every write of a state passes
`require_move`, in production too (I6: only edges of this table, and terminal states are final).
"""

from __future__ import annotations

from enum import StrEnum

from ..errors import IllegalTransition


class InstanceState(StrEnum):
    """Where one task of one job stands."""

    PENDING = "PENDING"
    """Waits for its dependencies."""
    READY = "READY"
    """May run; waits for a scheduler, a concurrency slot or its retry time (the reason is stored)."""
    STARTING = "STARTING"
    """An attempt is open: its session is being created, or an unknown answer is being settled."""
    QUEUED = "QUEUED"
    """The backend has the session and has not started it."""
    PREPARING = "PREPARING"
    """The backend prepares the session: pulls the image, mounts folders."""
    RUNNING = "RUNNING"
    """The command runs."""
    STOPPING = "STOPPING"
    """The session is being ended: a cancel or a time-out."""
    SUCCEEDED = "SUCCEEDED"
    """The command ended with exit code 0."""
    FAILED = "FAILED"
    """The last attempt failed and no retry is left."""
    CANCELLED = "CANCELLED"
    """Ended, or never started, because of a cancel."""
    SKIPPED = "SKIPPED"
    """Not run, by request (counts as done) or because its `run_if` did not hold."""
    UPSTREAM_FAILED = "UPSTREAM_FAILED"
    """Never ran: something it needs failed."""

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can follow."""
        return self in TERMINAL_INSTANCE_STATES

    @property
    def has_session(self) -> bool:
        """Whether an attempt is open, so that a compute session exists or may exist."""
        return self in OPEN_SESSION_STATES


class JobState(StrEnum):
    """Where a pipeline job stands."""

    PENDING = "PENDING"
    """Accepted; waits for a scheduler, its pipeline's limit or the pipeline's pause (the reason is stored)."""
    RUNNING = "RUNNING"
    """Let in by its pipeline's limit; its tasks are being run."""
    PAUSED = "PAUSED"
    """Starts nothing new until resumed."""
    CANCELLING = "CANCELLING"
    """A cancel was asked for; sessions are being ended."""
    SUCCEEDED = "SUCCEEDED"
    """Every task ended well or was skipped."""
    FAILED = "FAILED"
    """At least one task failed that was not allowed to."""
    CANCELLED = "CANCELLED"
    """Ended by a cancel."""

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can follow."""
        return self in TERMINAL_JOB_STATES


class FailureClass(StrEnum):
    """Why an attempt did not succeed; retry policies choose by it."""

    USER = "user"
    """The command ended with a code other than 0, or by a signal of its own making."""
    TIMEOUT = "timeout"
    """It waited or ran longer than `timeouts` allows."""
    OUT_OF_MEMORY = "out_of_memory"
    """It used more memory than it asked for and was killed."""
    INFRASTRUCTURE = "infrastructure"
    """The session was lost, or the backend failed; not the command's fault."""
    QUOTA = "quota"
    """A limit of the project or the user was reached."""
    PREEMPTED = "preempted"
    """The backend took the resources away for something more urgent."""
    CANCELLED = "cancelled"
    """Someone ended it."""
    REFUSED = "refused"
    """The backend will never accept this session: unknown folder, impossible resources."""


_Task, _Job = InstanceState, JobState

TERMINAL_INSTANCE_STATES = frozenset(
    {_Task.SUCCEEDED, _Task.FAILED, _Task.CANCELLED, _Task.SKIPPED, _Task.UPSTREAM_FAILED}
)
TERMINAL_JOB_STATES = frozenset({_Job.SUCCEEDED, _Job.FAILED, _Job.CANCELLED})
OPEN_SESSION_STATES = frozenset({_Task.STARTING, _Task.QUEUED, _Task.PREPARING, _Task.RUNNING, _Task.STOPPING})

# A backend may report any later stage first (a short task is over before it is seen running) and may move a session
# back (pre-emption, rescheduling), so among the states with a session every order is legal. READY is reached from
# them only by a new attempt.
_ENDS = frozenset({_Task.READY, _Task.SUCCEEDED, _Task.FAILED, _Task.CANCELLED})

INSTANCE_MOVES: dict[InstanceState, frozenset[InstanceState]] = {
    # Straight to STARTING when nothing is waited for: parent's success and child's start are one commit.
    # Straight to SUCCEEDED by reuse: what an earlier job made stands for it.
    _Task.PENDING: frozenset(
        {_Task.READY, _Task.STARTING, _Task.SUCCEEDED, _Task.SKIPPED, _Task.UPSTREAM_FAILED, _Task.CANCELLED}
    ),
    _Task.READY: frozenset({_Task.STARTING, _Task.FAILED, _Task.SKIPPED, _Task.CANCELLED}),
    _Task.STARTING: frozenset({_Task.QUEUED, _Task.PREPARING, _Task.RUNNING, _Task.STOPPING}) | _ENDS,
    _Task.QUEUED: frozenset({_Task.PREPARING, _Task.RUNNING, _Task.STOPPING}) | _ENDS,
    _Task.PREPARING: frozenset({_Task.QUEUED, _Task.RUNNING, _Task.STOPPING}) | _ENDS,
    _Task.RUNNING: frozenset({_Task.QUEUED, _Task.PREPARING, _Task.STOPPING}) | _ENDS,
    _Task.STOPPING: _ENDS,
    _Task.SUCCEEDED: frozenset(),
    _Task.FAILED: frozenset(),
    _Task.CANCELLED: frozenset(),
    _Task.SKIPPED: frozenset(),
    _Task.UPSTREAM_FAILED: frozenset(),
}

JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    _Job.PENDING: frozenset({_Job.RUNNING, _Job.PAUSED, _Job.CANCELLING}) | TERMINAL_JOB_STATES,
    _Job.RUNNING: frozenset({_Job.PAUSED, _Job.CANCELLING}) | TERMINAL_JOB_STATES,
    _Job.PAUSED: frozenset({_Job.PENDING, _Job.RUNNING, _Job.CANCELLING}) | TERMINAL_JOB_STATES,
    # A cancel that comes after the last task has ended changes nothing: the verdict is the tasks'.
    _Job.CANCELLING: frozenset(TERMINAL_JOB_STATES),
    _Job.SUCCEEDED: frozenset(),
    _Job.FAILED: frozenset(),
    _Job.CANCELLED: frozenset(),
}


def require_move(entity: object, source: StrEnum, target: StrEnum) -> None:
    """Pass if `source → target` is in the table.

    :raises IllegalTransition: otherwise; the transaction around it must not commit.
    """
    moves: frozenset[StrEnum] = (
        frozenset(INSTANCE_MOVES[source])
        if isinstance(source, InstanceState)
        else frozenset(JOB_MOVES[JobState(source)])
    )
    if target not in moves:
        raise IllegalTransition(f"{entity} may not go from {source} to {target}", source=source, target=target)


def _section(
    title: str,
    states: type[StrEnum],
    moves: dict[InstanceState, frozenset[InstanceState]] | dict[JobState, frozenset[JobState]],
) -> str:
    import ast
    import inspect

    body = ast.parse(inspect.getsource(states)).body[0]
    assert isinstance(body, ast.ClassDef)
    texts: dict[str, str] = {}
    for node, following in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(node, ast.Assign)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            assert isinstance(node.targets[0], ast.Name)
            texts[node.targets[0].id] = str(following.value.value)
    rows = []
    for state, targets in moves.items():
        following_states = ", ".join(sorted(targets)) or "– (final)"
        rows.append(f"| `{state}` | {texts[state.name]} | {following_states} |")
    edges = [f"    {state} --> {target}" for state, targets in moves.items() for target in sorted(targets)]
    return "\n".join(
        [
            f"## {title}",
            "",
            "| State | Meaning | May become |",
            "|---|---|---|",
            *rows,
            "",
            "```mermaid",
            "stateDiagram-v2",
            *edges,
            "```",
            "",
        ]
    )


def as_markdown() -> str:
    """The page `docs/states.md`."""
    return "\n".join(
        [
            "# States",
            "",
            "Generated by `make states` from `shared/fasttrack/domain/states.py`; every write is checked against it.",
            "",
            _section("Task instance", InstanceState, INSTANCE_MOVES),
            _section("Pipeline job", JobState, JOB_MOVES),
        ]
    )


if __name__ == "__main__":
    print(as_markdown(), end="")
