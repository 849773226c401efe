"""What differs between managers of 23.09 and of 26.x, each rule as it was seen on a real one (23.09.10, 26.9.6)."""

from __future__ import annotations

from dataclasses import dataclass

_VERSIONS = (
    "v4.20181215", "v4.20190115", "v4.20190315", "v4.20190615", "v5.20191215", "v6.20200815", "v6.20220315",
    "v6.20220615", "v6.20221201", "v6.20230315", "v7.20230615", "v8.20240315", "v8.20240915", "v9.20250722",
)  # fmt: skip

_STATUSES = frozenset(
    {
        "PENDING", "SCHEDULED", "PREPARING", "PULLING", "RUNNING", "RESTARTING", "RUNNING_DEGRADED", "TERMINATING",
        "TERMINATED", "ERROR", "CANCELLED",
    }
)  # fmt: skip
_NEW_STATUSES = frozenset({"DEPRIORITIZING", "RESERVED", "PREPARED", "CREATING", "PREEMPTED", "RESCHEDULING"})


@dataclass(frozen=True)
class Generation:
    """One manager's habits."""

    release: str
    api_version: str
    steps: tuple[str, ...]
    """Statuses between PENDING and RUNNING."""
    is_strict: bool
    """Unknown keys and odd names are refused."""
    unknown_name: str
    """The type of the problem when a name finds no session."""
    failed_info: str
    """`status_info` of a session whose command failed."""
    tells_exit_codes: bool
    """Events of success and failure carry the exit code."""
    deletes_any_time: bool
    """A session can be ended in any status, and the answer does not wait for its end."""
    leaves_sessions_behind: bool
    """A command that ends before RUNNING is written leaves its session RUNNING for ever."""
    trash: bool
    """Deleted folders keep their name, and one that a living session has mounted is not deleted."""
    has_v2: bool
    """There are routes below `/v2`, which take UUIDs and mount several parts of a folder."""

    @property
    def statuses(self) -> frozenset[str]:
        """Of sessions: those that GraphQL can be asked for."""
        return _STATUSES if self.is_strict else _STATUSES | _NEW_STATUSES

    @property
    def versions(self) -> frozenset[str]:
        """API versions that are taken."""
        return frozenset(_VERSIONS[: _VERSIONS.index(self.api_version) + 1])


GENERATIONS = {
    "23.09": Generation(
        release="23.09.10",
        api_version="v7.20230615",
        steps=("SCHEDULED", "PREPARING"),
        is_strict=True,
        unknown_name="object-not-found",
        failed_info="task-finished",
        tells_exit_codes=True,
        deletes_any_time=False,
        leaves_sessions_behind=True,
        trash=False,
        has_v2=False,
    ),
    "26": Generation(
        release="26.9.6",
        api_version="v9.20250722",
        steps=("SCHEDULED", "PREPARING", "PREPARED", "CREATING"),
        is_strict=False,
        unknown_name="entity-not-found",
        failed_info="task-failed",
        tells_exit_codes=False,
        deletes_any_time=True,
        leaves_sessions_behind=False,
        trash=True,
        has_v2=True,
    ),
}
