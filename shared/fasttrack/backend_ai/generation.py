"""What a manager of some release can do: every difference between releases that anything here asks for, in one place.

Told by `GET /`, which needs no key. Releases as read from the tags, and as seen on 23.09.10, 24.03.11 and 26.9.6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_NUMBERS = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
NEWEST_API = "v9.20250722"
"""The newest API version that is written for here."""

# A manager accepts each version up to its own; these are all there were since the oldest release that is supported.
_API_VERSIONS = ("v7.20230615", "v8.20240315", "v8.20240915", NEWEST_API)


class UnsupportedManager(ValueError):
    """The address is not that of a manager that can be worked with."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One manager's release, and the API version to speak with it."""

    release: tuple[int, int, int]
    api_version: str

    @classmethod
    def of(cls, answer: Any) -> Generation:
        """From the answer to `GET /`. :raises UnsupportedManager: it is none, or older than 23.09."""
        if not isinstance(answer, dict) or not isinstance(answer.get("manager"), str):
            raise UnsupportedManager("what answers there is not a Backend.AI manager: `GET /` names none")
        found = _NUMBERS.match(answer["manager"])
        if found is None:
            raise UnsupportedManager(f"the manager's release {answer['manager'][:40]!r} cannot be read")
        release = (int(found[1]), int(found[2]), int(found[3] or 0))
        if release < (23, 9, 0):
            raise UnsupportedManager(
                f"the manager is of release {answer['manager'][:40]}; 23.09 is the oldest supported"
            )
        offered = str(answer.get("version", ""))
        spoken = [v for v in _API_VERSIONS if _order(v) <= _order(offered)]
        if not spoken:
            raise UnsupportedManager(f"the manager speaks API {offered[:40]!r}; v7 is the oldest that is supported")
        return cls(release, spoken[-1])

    def __str__(self) -> str:
        return ".".join(str(part) for part in self.release)

    @property
    def has_priority(self) -> bool:
        """`priority` of a session, and as a field of GraphQL."""
        return self.release >= (24, 9, 0)

    @property
    def has_mount_options(self) -> bool:
        """`config.mount_options`: a mount that can only be read. 23.09 answers 500 to it, and mounts all to be written."""
        return self.release >= (24, 3, 0)

    @property
    def has_v2_sessions(self) -> bool:
        """`POST /v2/sessions/enqueue`, which mounts several parts of one folder; the older call mounts a folder once."""
        return self.release >= (26, 4, 4)

    @property
    def passes_empty_variables(self) -> bool:
        """A variable may be empty; before, the request is answered with 500."""
        return self.release >= (24, 9, 0)

    @property
    def has_runtime_variants(self) -> bool:
        """Services are started in several ways, by a definition of any name, with folders besides that of the model."""
        return self.release >= (24, 3, 5)

    @property
    def lists_ended_services(self) -> bool:
        """The listing of services holds those that are over, and can be filtered; before, it does neither."""
        return self.release >= (24, 3, 0)

    @property
    def has_health_of_routes(self) -> bool:
        """A replica's health is a field of its own; before, its status tells."""
        return self.release >= (26, 4, 2)

    @property
    def has_deployments(self) -> bool:
        """`/v2/deployments`, by which a service is updated in steps, and parts of folders in services. Read from 26.9.6."""
        return self.release >= (26, 9, 0)

    @property
    def makes_several_directories(self) -> bool:
        """One request makes many directories; before, each is one."""
        return self.release >= (24, 3, 0)

    @property
    def has_trash(self) -> bool:
        """A deleted folder is in the trash, where it keeps its name until it is deleted from there."""
        return self.release >= (24, 3, 0)

    @property
    def ends_batches_without_timeout(self) -> bool:
        """26.1 ends a batch session at once that has no `batch_timeout`."""
        return (26, 1, 0) <= self.release < (26, 2, 0)

    @property
    def living(self) -> str:
        """Statuses of sessions that are not over, as a filter; a name that a manager does not know fails the query."""
        found = ["PENDING", "SCHEDULED", "PREPARING", "PULLING", "RUNNING", "RESTARTING", "RUNNING_DEGRADED"]
        found += ["TERMINATING"]
        if self.release >= (24, 12, 0):
            found += ["PREPARED", "CREATING"]
        if self.release >= (26, 1, 0):
            found += ["DEPRIORITIZING"]
        if self.release >= (26, 8, 0):
            found += ["RESERVED", "PREEMPTED", "RESCHEDULING"]
        return ",".join(found)


def _order(api_version: str) -> tuple[int, int]:
    """Its number and its date, to compare by; one that cannot be read is older than all."""
    found = re.fullmatch(r"v(\d{1,4})\.(\d{8})", api_version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
