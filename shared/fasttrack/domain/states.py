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
    """May run; waits for a slot or for its retry time (the reason is stored)."""
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
    """Accepted; nothing has been started."""
    RUNNING = "RUNNING"
    """At least one attempt was opened."""
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


I, J = InstanceState, JobState

TERMINAL_INSTANCE_STATES = frozenset({I.SUCCEEDED, I.FAILED, I.CANCELLED, I.SKIPPED, I.UPSTREAM_FAILED})
TERMINAL_JOB_STATES = frozenset({J.SUCCEEDED, J.FAILED, J.CANCELLED})
OPEN_SESSION_STATES = frozenset({I.STARTING, I.QUEUED, I.PREPARING, I.RUNNING, I.STOPPING})

# A backend may report any later stage first (a short task is over before it is seen running) and may move a session
# back (pre-emption, rescheduling), so among the states with a session every order is legal. READY is reached from
# them only by a new attempt.
_ENDS = frozenset({I.READY, I.SUCCEEDED, I.FAILED, I.CANCELLED})

INSTANCE_MOVES: dict[InstanceState, frozenset[InstanceState]] = {
    I.PENDING: frozenset({I.READY, I.SKIPPED, I.UPSTREAM_FAILED, I.CANCELLED}),
    I.READY: frozenset({I.STARTING, I.FAILED, I.SKIPPED, I.CANCELLED}),
    I.STARTING: frozenset({I.QUEUED, I.PREPARING, I.RUNNING, I.STOPPING}) | _ENDS,
    I.QUEUED: frozenset({I.PREPARING, I.RUNNING, I.STOPPING}) | _ENDS,
    I.PREPARING: frozenset({I.QUEUED, I.RUNNING, I.STOPPING}) | _ENDS,
    I.RUNNING: frozenset({I.QUEUED, I.PREPARING, I.STOPPING}) | _ENDS,
    I.STOPPING: _ENDS,
    I.SUCCEEDED: frozenset(),
    I.FAILED: frozenset(),
    I.CANCELLED: frozenset(),
    I.SKIPPED: frozenset(),
    I.UPSTREAM_FAILED: frozenset(),
}

JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    J.PENDING: frozenset({J.RUNNING, J.PAUSED, J.CANCELLING}) | TERMINAL_JOB_STATES,
    J.RUNNING: frozenset({J.PAUSED, J.CANCELLING}) | TERMINAL_JOB_STATES,
    J.PAUSED: frozenset({J.PENDING, J.RUNNING, J.CANCELLING}) | TERMINAL_JOB_STATES,
    # A cancel that comes after the last task has ended changes nothing: the verdict is the tasks'.
    J.CANCELLING: frozenset(TERMINAL_JOB_STATES),
    J.SUCCEEDED: frozenset(),
    J.FAILED: frozenset(),
    J.CANCELLED: frozenset(),
}


def require_move(entity: object, source: StrEnum, target: StrEnum) -> None:
    """Pass if `source → target` is in the table.

    :raises IllegalTransition: otherwise; the transaction around it must not commit.
    """
    moves: frozenset[StrEnum] = (
        frozenset(INSTANCE_MOVES[source]) if isinstance(source, InstanceState) else frozenset(JOB_MOVES[JobState(source)])
    )
    if target not in moves:
        raise IllegalTransition(f"{entity} may not go from {source} to {target}", source=source, target=target)


def _section(title: str, states: type[StrEnum], moves: dict[InstanceState, frozenset[InstanceState]] | dict[JobState, frozenset[JobState]]) -> str:
    import ast
    import inspect

    body = ast.parse(inspect.getsource(states)).body[0]
    assert isinstance(body, ast.ClassDef)
    texts: dict[str, str] = {}
    for node, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(node, ast.Assign) and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            assert isinstance(node.targets[0], ast.Name)
            texts[node.targets[0].id] = str(following.value.value)
    rows = []
    for state, targets in moves.items():
        following_states = ", ".join(sorted(targets)) or "– (final)"
        rows.append(f"| `{state}` | {texts[state.name]} | {following_states} |")
    edges = [f"    {state} --> {target}" for state, targets in moves.items() for target in sorted(targets)]
    return "\n".join(
        [f"## {title}", "", "| State | Meaning | May become |", "|---|---|---|", *rows, "", "```mermaid", "stateDiagram-v2", *edges, "```", ""]
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
