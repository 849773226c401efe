"""Sessions through `/v2`: what is taken as a request, and how a session is shown there."""

from __future__ import annotations

from decimal import InvalidOperation
from typing import Any
from uuid import UUID

from .agents import Agents
from .bodies import schema_violation
from .catalogue import DOMAIN, IMAGES_BY_ID, PROJECT, PROJECT_ID, id_of
from .creation import group_of, size_of, slots_of
from .folders import Folders
from .generations import Generation
from .ledger import Session
from .mounts import of_entries
from .problems import Problem, not_permitted

_FOLDED = {
    "DEPRIORITIZING": "PENDING", "PULLING": "PREPARING", "ERROR": "CANCELLED", "RUNNING_DEGRADED": "CANCELLED",
    "RESTARTING": "CANCELLED",
}  # fmt: skip


def session_of_v2(given: Any, access_key: str, generation: Generation, agents: Agents, folders: Folders) -> Session:
    """The session that is asked for. :raises Problem: it is refused."""
    if not isinstance(given, dict):
        raise schema_violation("body", "Input should be a valid dictionary")
    name, kind = str(_required(given, "session_name")), str(_required(given, "session_type")).lower()
    if not 1 <= len(name) <= 64:
        raise schema_violation("session_name", "String should have 1 to 64 characters")
    if kind not in ("interactive", "batch"):
        raise schema_violation("session_type", "Input should be 'interactive' or 'batch'")
    image = IMAGES_BY_ID.get(uuid_of(given, "image_id"))
    project = uuid_of(given, "project_id")
    batch = given.get("batch")
    if batch is None:  # taken all the same, and a session with no command succeeds
        batch = {}
    elif not isinstance(batch, dict) or not batch.get("startup_command"):
        raise schema_violation("batch.startup_command", "String should have at least 1 character")
    if len(str(given.get("tag") or "")) > 64:
        raise schema_violation("tag", "String should have at most 64 characters")
    priority = int(given.get("priority", 10))
    if not 0 <= priority <= 100:
        raise schema_violation("priority", "Input should be between 0 and 100")
    mode = str(given.get("cluster_mode") or "single-node").lower().replace("_", "-")
    if mode not in ("single-node", "multi-node"):
        raise schema_violation("cluster_mode", "Input should be 'single-node' or 'multi-node'")
    size = int(given.get("cluster_size") or 1)
    entries = _mounts(given)
    resources = _resources(given)
    if image is None:
        raise Problem(404, "object-not-found", str(given["image_id"]), title="No such environment image.")
    if project != PROJECT_ID:
        raise not_permitted(f"session at scopes [ProjectID('{project}')]")
    group = _group(given, agents)
    _check_slots(resources, group, agents)
    shared = (given.get("resource_opts") or {}).get("shmem") or {}
    if not isinstance(shared, dict):
        raise schema_violation("resource_opts.shmem", "Input should be an object")
    slots = slots_of(resources, shared.get("expr"), generation, agents)
    return Session(
        name=name,
        access_key=access_key,
        image=image,
        architecture="x86_64",
        kind=kind,
        command=str(batch.get("startup_command", "")),
        group=group,
        slots=slots,
        environ={str(k): str(v) for k, v in (given.get("environ") or {}).items()},
        cluster_mode=mode,
        cluster_size=size,
        project=PROJECT,
        mounts=of_entries(folders, access_key, entries),
        callback_url=given.get("callback_url"),
        tag=given.get("tag"),
        timeout=None if batch.get("batch_timeout") is None else float(batch["batch_timeout"]),
        priority=priority,
    )


def node(session: Session) -> dict[str, Any]:
    """A session as `/v2` shows it: without its reasons, and with some statuses taken for others."""
    row = session.row()
    slots = [{"resource_type": name, "quantity": str(amount)} for name, amount in session.slots.items()]
    return {
        "id": session.id,
        "entity_id": session.id,
        "image_ids": [id_of("image", session.image)],
        "domain_name": DOMAIN,
        "user_id": id_of("user", session.access_key),
        "project_id": PROJECT_ID,
        "metadata": {
            "creation_id": session.id.replace("-", "")[:22],
            "name": session.name,
            "session_type": session.kind,
            "access_key": session.access_key,
            "cluster_mode": session.cluster_mode.upper().replace("-", "_"),
            "cluster_size": session.cluster_size,
            "tier": session.priority,
            "priority": session.priority,
            "job_priority": 0,
            "is_preemptible": True,
            "tag": session.tag,
        },
        "resource": {
            "allocation": {"requested": {"entries": slots}, "used": None},
            "resource_group_name": session.group,
        },
        "lifecycle": {
            "status": _FOLDED.get(session.status, session.status),
            "result": session.result.lower(),
            "created_at": row["created_at"],
            "terminated_at": row["terminated_at"],
            "starts_at": None,
            "batch_timeout": None if session.timeout is None else int(session.timeout),
        },
        "runtime": {
            "environ": session.environ,
            "bootstrap_script": None,
            "startup_command": session.command or None,
            "callback_url": session.callback_url,
        },
        "network": {"use_host_network": False, "network_type": None, "network_id": None},
        "replica_id": None,
    }


def uuid_of(given: dict[str, Any], key: str) -> str:
    """A UUID as text with dashes. :raises Problem: it is missing or none."""
    try:
        return str(UUID(str(_required(given, key))))
    except ValueError:
        raise schema_violation(key, "Input should be a valid UUID") from None


def _required(given: dict[str, Any], key: str) -> Any:
    if given.get(key) is None:
        raise schema_violation(key, "Field required")
    return given[key]


def _mounts(given: dict[str, Any]) -> list[dict[str, Any]]:
    entries = given.get("mounts") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise schema_violation("mounts", "Input should be a valid list")
    for number, entry in enumerate(entries):
        if entry.get("subpath") == "":
            raise schema_violation(f"mounts.{number}.subpath", "String should have at least 1 character")
        if entry.get("permission") not in (None, "ro", "rw", "wd"):
            raise Problem(500, "internal-server-error")
    return [{**entry, "vfolder_id": uuid_of(entry, "vfolder_id")} for entry in entries]


def _resources(given: dict[str, Any]) -> dict[str, str]:
    entries = _required(given, "resource_entries")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise schema_violation("resource_entries", "Input should be a valid list")
    return {str(_required(entry, "resource_type")): str(_required(entry, "quantity")) for entry in entries}


def _check_slots(resources: dict[str, str], group: str, agents: Agents) -> None:
    served = {slot for agent in agents.all if agent.group == group for slot in agent.slots}
    if strange := sorted(resources.keys() - served):
        message = f"the request asks for resource slot(s) {strange} that resource group '{group}' does not serve."
        raise Problem(400, "invalid-api-params", f"kernel_specs[0]: {message}")
    for slot, amount in resources.items():
        try:
            size_of(amount)
        except (InvalidOperation, ValueError):
            message = f"Cannot convert the slot '{slot}' to decimal: '{amount}'"
            raise Problem(400, "invalid-resource-slot-quantity", message) from None


def _group(given: dict[str, Any], agents: Agents) -> str:
    if given.get("resource_group_id") is None:
        return group_of(given.get("resource_group"), agents)
    found = agents.group_by_id(uuid_of(given, "resource_group_id"))
    if found is None:
        raise Problem(404, "object-not-found", str(given["resource_group_id"]), title="No such resource group.")
    return found
