"""What a key may have at once, and why a session of it waits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from .generations import Generation
from .ledger import Ledger, Session
from .problems import Problem

_PREDICATES = (
    "reserved_time", "dependencies", "concurrency", "keypair_resource_limit", "user_resource_limit",
    "user_group_resource_limit", "domain_resource_limit",
)  # fmt: skip


@dataclass
class Policy:
    """The limits of every key. The defaults are those of the cluster that was recorded."""

    max_concurrent_sessions: int = 30
    max_containers_per_session: int = 8
    max_vfolder_count: int = 0
    """0: no limit."""
    max_pending_session_count: int | None = None
    """Only 26.x has it; `None`: no limit."""
    total_resource_slots: dict[str, Decimal] = field(default_factory=dict)
    """What is not named is not limited."""
    hides_agents: bool = False
    """Whether users are shown none, as an admin can have it."""

    def change(self, given: Mapping[str, Any]) -> None:
        """Take new limits by name. :raises ValueError: there is no such limit."""
        for name, value in given.items():
            if name not in self.__dataclass_fields__:
                raise ValueError(f"{name} must be one of {', '.join(sorted(self.__dataclass_fields__))}")
            if name == "total_resource_slots":
                value = {slot: Decimal(str(amount)) for slot, amount in value.items()}
            setattr(self, name, value)

    def row(self) -> dict[str, Any]:
        """As GraphQL shows it."""
        return {
            "name": "default",
            "default_for_unspecified": "UNLIMITED",
            "total_resource_slots": json.dumps({n: str(a) for n, a in self.total_resource_slots.items()}),
            "max_concurrent_sessions": self.max_concurrent_sessions,
            "max_containers_per_session": self.max_containers_per_session,
            "max_session_lifetime": 0,
            "idle_timeout": 0,
            "allowed_vfolder_hosts": json.dumps(
                {
                    "local:volume1": [
                        "create-vfolder",
                        "delete-vfolder",
                        "download-file",
                        "upload-file",
                        "mount-in-session",
                    ]
                }
            ),
        }

    def check(self, session: Session, ledger: Ledger, generation: Generation) -> None:
        """:raises Problem: it has too many containers, or too many sessions of its key wait already (26.x)."""
        size, most, key = len(session.kernels), self.max_containers_per_session, session.access_key
        if size > most and generation.is_strict:
            message = f"You cannot create session with more than {most} containers."
            raise Problem(412, "quota-exceeded", message)
        if size > most:
            message = f"Session requests {size} kernels, exceeding the keypair limit of {most} containers per session."
            raise Problem(400, "quota-exceeded", message)
        if generation.is_strict:
            return
        limit = self.max_pending_session_count
        pending = sum(s.status == "PENDING" and s.access_key == key for s in ledger.sessions.values())
        if limit and pending + 1 > limit:
            message = (
                f"You already have {pending} pending sessions, which exceeds the pending-session limit of {limit}."
            )
            raise Problem(400, "quota-exceeded", message)

    def failed(self, ledger: Ledger, session: Session) -> tuple[str, str] | None:
        """The check that keeps a session waiting, and its words. None of them is an error when it is created."""
        mine = [s for s in ledger.sessions.values() if s.access_key == session.access_key and s.has_slots]
        if len(mine) >= self.max_concurrent_sessions:
            return "concurrency", f"You cannot run more than {self.max_concurrent_sessions} concurrent sessions"
        used = used_by(mine) if self.total_resource_slots else {}
        over = [
            f"{slot}={limit}"
            for slot, limit in self.total_resource_slots.items()
            if used.get(slot, Decimal(0)) + session.slots.get(slot, Decimal(0)) * len(session.kernels) > limit
        ]
        if over:
            return "keypair_resource_limit", f"Your keypair resource quota is exceeded. ({' '.join(over)})"
        return None


def used_by(sessions: list[Session]) -> dict[str, Decimal]:
    """What the sessions have together."""
    used: dict[str, Decimal] = {}
    for session in sessions:
        for slot, amount in session.slots.items():
            used[slot] = used.get(slot, Decimal(0)) + amount * len(session.kernels)
    return used


def scheduler_data(failed: tuple[str, str] | None, no_room: str) -> dict[str, Any]:
    """What 23.09 writes of a session that a check keeps waiting, or else the lack of room."""
    told = {
        "retries": 1,
        "last_try": datetime.now(UTC).isoformat(),
        "failed_predicates": [{"msg": failed[1], "name": failed[0]}] if failed else [],
        "passed_predicates": [{"name": name} for name in _PREDICATES if failed is None or name != failed[0]],
    }
    return {"scheduler": told if failed else {"msg": no_room, **told}}
