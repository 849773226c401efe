"""Every session that ever was, and what is written of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

if TYPE_CHECKING:
    from .folders import Folder
    from .mounts import Mount

OVER = frozenset({"TERMINATED", "CANCELLED"})


@dataclass
class Kernel:
    """One container of a session."""

    role: str
    index: int
    rank: int
    id: str = field(default_factory=lambda: str(uuid4()))
    agent: str | None = None
    info: str | None = None
    status: str = "PENDING"

    @property
    def host(self) -> str:
        return f"{self.role}{self.index}"


@dataclass
class Session:
    """One compute session."""

    name: str
    access_key: str
    image: str
    architecture: str
    kind: str
    command: str
    group: str
    slots: dict[str, Decimal]
    environ: dict[str, str]
    cluster_mode: str
    cluster_size: int
    project: str
    mounts: list[Mount] = field(default_factory=list)
    callback_url: str | None = None
    tag: str | None = None
    timeout: float | None = None
    priority: int = 10
    id: str = field(default_factory=lambda: str(uuid4()))
    status: str = "PENDING"
    info: str | None = None
    result: str = "UNDEFINED"
    data: dict[str, Any] = field(default_factory=dict)
    history: dict[str, str] = field(default_factory=dict)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    terminated_at: datetime | None = None
    kernels: list[Kernel] = field(default_factory=list)
    log: bytearray = field(default_factory=bytearray)
    executions: int = 0
    """How often its command was started: for tests, no manager tells it."""
    ending: str | None = None
    """Why it is being ended, from the first request on."""

    def __post_init__(self) -> None:
        self.kernels = [
            Kernel("main" if n == 0 else "sub", 1 if n == 0 else n, n) for n in range(max(1, self.cluster_size))
        ]
        self.history["PENDING"] = self.created_at.isoformat()

    @property
    def is_over(self) -> bool:
        return self.status in OVER

    @property
    def has_slots(self) -> bool:
        """Whether it holds a place on agents."""
        return not self.is_over and any(kernel.agent is not None for kernel in self.kernels)

    def enter(self, status: str, info: str | None = "") -> None:
        """Write a new status, with its time."""
        now = datetime.now(UTC)
        self.status = status
        if info is not None:
            self.info = info
        self.history[status] = now.isoformat()
        for kernel in self.kernels:
            if kernel.status in OVER:  # it ended before the others
                continue
            kernel.status = status
            if status in OVER:
                kernel.info = kernel.info or self.info
        if status in OVER:
            self.terminated_at = now

    def row(self) -> dict[str, Any]:
        """As GraphQL shows it: objects are texts of JSON."""
        slots = json.dumps({name: str(amount) for name, amount in self.slots.items()})
        in_all = json.dumps({name: str(amount * len(self.kernels)) for name, amount in self.slots.items()})
        has_slots = self.status not in ("PENDING", *OVER)
        return {
            "id": self.id,
            "session_id": self.id,
            "name": self.name,
            "type": self.kind.upper(),
            "status": self.status,
            "status_info": self.info,
            "status_data": json.dumps(self.data),
            "status_history": json.dumps(self.history),
            "result": self.result,
            "tag": self.tag,
            "image": self.image,
            "architecture": self.architecture,
            "status_changed": self.history.get(self.status),
            "created_at": self.created_at.isoformat(),
            "terminated_at": self.terminated_at.isoformat() if self.terminated_at else None,
            "starts_at": None,
            "scheduled_at": self.history.get("SCHEDULED"),
            "startup_command": None,
            "scaling_group": self.group,
            "cluster_mode": self.cluster_mode,
            "cluster_size": self.cluster_size,
            "access_key": self.access_key,
            "occupying_slots": in_all,  # while it waits too, when it has nothing yet
            "occupied_slots": in_all,
            "requested_slots": slots,
            "priority": self.priority,
            "agents": [k.agent for k in self.kernels if k.agent] or None,
            "mounts": list(dict.fromkeys(m.folder.name for m in self.mounts)),
            "vfolder_mounts": list(dict.fromkeys(str(UUID(m.folder.id)) for m in self.mounts)),
            "containers": [
                {
                    "id": k.id,
                    "cluster_role": k.role,
                    "cluster_idx": k.index,
                    "cluster_hostname": k.host,
                    "local_rank": k.rank,
                    "status": k.status,
                    "status_info": k.info,
                    "status_data": json.dumps({"kernel": {"exit_code": -1}}) if self.is_over else "{}",
                    "agent": k.agent,
                    "container_id": k.id.replace("-", "") if has_slots else None,
                    "occupied_slots": slots,
                }
                for k in self.kernels
            ],
        }


class Ledger:
    """All sessions, by id, in the order they were made."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}

    def add(self, session: Session) -> None:
        self.sessions[session.id] = session

    def living(self, access_key: str, name: str) -> Session | None:
        """The living session of that name: a name is unique among those of one key."""
        return next(
            (s for s in self.sessions.values() if s.name == name and s.access_key == access_key and not s.is_over), None
        )

    def named(self, access_key: str, name: str) -> list[Session]:
        """All that ever had exactly that name, the newest first."""
        return [s for s in reversed(self.sessions.values()) if s.name == name and s.access_key == access_key]

    def mounts(self, folder: Folder) -> bool:
        """Whether a living session has the folder mounted."""
        return any(m.folder.id == folder.id for s in self.sessions.values() if not s.is_over for m in s.mounts)
