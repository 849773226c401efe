"""The request that makes a session, for each generation of managers. Pure: it says what is sent, and sends nothing.

Spellings are those that every release takes: up to 26.2 an unknown key is an error, and so is a null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from fasttrack.backend_ai.generation import Generation

from ..base import SessionSpec
from .mounting import OUTPUTS, VFROOT, Mounted
from .wrapper import quote

_ENDLESS = 10 * 365 * 86400
"""Seconds; where a release ends batches that have no time-out. Ours is measured by the engine."""
RUNNERS_OWN = frozenset(
    {"PATH", "HOME", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "SHELL", "USER", "LOGNAME", "TERM"}
)
"""What runs the command needs these itself: with a `PATH` that lacks /usr/sbin no container of 26.9.6 starts."""
_USUAL_PRIORITY, _MOST_PRIORITY = 10, 100


def v1_body(
    spec: SessionSpec,
    command: str,
    mounts: Sequence[Mounted],
    generation: Generation,
    *,
    domain: str,
    architecture: str,
) -> dict[str, Any]:
    """`POST /session` of releases to 26.4.3: parts of folders are mounted by names as `folder/part`."""
    config: dict[str, Any] = {
        "scaling_group": spec.resource_group,
        "resources": {slot: amount_of(slot, spec) for slot in spec.slots},
        "environ": environment(spec),
        "mounts": [mount.source for mount in mounts],
        "mount_map": {mount.source: mount.target for mount in mounts},
    }
    if generation.has_mount_options:
        read_only = [mount.source for mount in mounts if mount.is_read_only]
        config["mount_options"] = {source: {"permission": "ro"} for source in read_only}
    if spec.shmem:
        config["resource_opts"] = {"shmem": str(spec.shmem)}
    body: dict[str, Any] = {
        "name": spec.name,
        "type": "batch",
        "image": spec.image,
        "architecture": architecture,
        "domain": domain,
        "group": spec.project,
        "cluster_mode": spec.cluster_mode.value,
        "cluster_size": spec.cluster_size,
        "startupCommand": command,
        "enqueueOnly": True,
        "reuseIfExists": False,
        "tag": spec.workspace.pipeline_id.hex,
        "config": config,
    }
    if generation.has_priority:
        body["priority"] = _priority(spec)
    if generation.ends_batches_without_timeout:
        body["batch_timeout"] = _ENDLESS
    return body


def v2_body(
    spec: SessionSpec,
    command: str,
    mounts: Sequence[tuple[Mounted, UUID]],
    *,
    image: UUID,
    project: UUID,
) -> dict[str, Any]:
    """`POST /v2/sessions/enqueue` from 26.4.4 on, where the older call mounts each folder once."""
    body: dict[str, Any] = {
        "session_name": spec.name,
        "session_type": "batch",
        "image_id": str(image),
        "project_id": str(project),
        "resource_group": spec.resource_group,
        "resource_entries": [{"resource_type": slot, "quantity": amount_of(slot, spec)} for slot in spec.slots],
        "cluster_mode": spec.cluster_mode.value,
        "cluster_size": spec.cluster_size,
        "mounts": [
            {
                "vfolder_id": str(folder),
                "mount_path": mount.target,
                "permission": "ro" if mount.is_read_only else "rw",
                **({"subpath": mount.path} if mount.path else {}),
            }
            for mount, folder in mounts
        ],
        "environ": environment(spec),
        "priority": _priority(spec),
        "batch": {"startup_command": command},
        "tag": spec.workspace.pipeline_id.hex,
    }
    if spec.shmem:
        body["resource_opts"] = {"shmem": {"expr": str(spec.shmem)}}
    return body


def command_of(spec: SessionSpec) -> str:
    """The command, after the variables that clusters cannot pass on: 23.09 answers 500 to an empty value, 26.9.6 cuts one
    at its first line break, and those that the container itself starts by are not ours to set.
    """
    given = variables(spec).items()
    exports = [f"export {name}={quote(value)}\n" for name, value in given if not _is_passed_on(name, value)]
    if spec.cluster_size > 1 and "NODE_RANK" not in spec.envs:
        # The cluster's own name for it says local, and counts over all containers. What numbers processes (RANK,
        # LOCAL_RANK) is left to what starts them: a program that finds it waits for others that nobody may have started.
        exports.append('export NODE_RANK="${BACKENDAI_CLUSTER_LOCAL_RANK:-0}"\n')
    return "".join(exports) + spec.command


def _is_passed_on(name: str, value: str) -> bool:
    return bool(value) and name not in RUNNERS_OWN and "\n" not in value and "\r" not in value


def environment(spec: SessionSpec) -> dict[str, str]:
    """Variables that the cluster gives to every container of the session."""
    return {name: value for name, value in variables(spec).items() if _is_passed_on(name, value)}


def variables(spec: SessionSpec) -> dict[str, str]:
    """All that the task finds set by us. What it asks for goes over what names its folders; the cluster adds its own."""
    inputs = [f"/pipeline/input{number}" for number in range(1, len(spec.workspace.inputs) + 1)]
    found = {
        "PIPELINE_VFROOT": VFROOT,
        "PIPELINE_OUTPUT_ROOT": OUTPUTS,
        "PIPELINE_INPUT_ROOT": inputs[0] if inputs else "",
    }
    if spec.cluster_size > 1:
        found |= {"MASTER_ADDR": "main1", "MASTER_PORT": "29500", "WORLD_SIZE": str(spec.cluster_size)}
        found |= {"NNODES": str(spec.cluster_size)}
    found |= spec.envs
    found |= {"FASTTRACK_VFROOT": VFROOT, "FASTTRACK_OUTPUTS": OUTPUTS}
    return found | {f"FASTTRACK_INPUT{number}": path for number, path in enumerate(inputs, 1)}


def session_id_of(answer: Any) -> str | None:
    """The id in the answer to either request."""
    if not isinstance(answer, Mapping):
        return None
    if isinstance(session := answer.get("session"), Mapping):
        return str(session["id"])
    return str(answer["sessionId"]) if "sessionId" in answer else None


def amount_of(slot: str, spec: SessionSpec) -> str:
    """What is asked for of a slot, as managers read it."""
    amount = spec.slots[slot]
    return str(int(amount)) if amount == int(amount) else format(amount.normalize(), "f")


def _priority(spec: SessionSpec) -> int:
    return max(0, min(_MOST_PRIORITY, _USUAL_PRIORITY + spec.priority))
