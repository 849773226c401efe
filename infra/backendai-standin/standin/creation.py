"""What is taken as a request for a session, and what is refused with which words."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from . import mounts
from .agents import Agents
from .catalogue import DOMAIN, IMAGES, PROJECT
from .folders import Folders
from .generations import Generation
from .ledger import Session
from .problems import Problem

MINIMUM_MEMORY = 64 * 1024**2
DEFAULT_SHMEM = 64 * 1024**2
_LONGEST_TAG = 64
_NAME = re.compile(r"(?=.{4,64}\Z)\w[\w.-]*\w\Z", re.ASCII)
_KEYS = {
    "name", "clientSessionToken", "session_name", "image", "lang", "architecture", "arch", "type", "sessionType",
    "group", "groupName", "group_name", "domain", "domainName", "domain_name", "cluster_size", "clusterSize",
    "cluster_mode", "clusterMode", "config", "tag", "enqueueOnly", "maxWaitSeconds", "reuseIfExists",
    "startupCommand", "bootstrap_script", "bootstrapScript", "starts_at", "startsAt", "dependencies", "callback_url",
    "callbackUrl", "callbackURL", "owner_access_key",
}  # fmt: skip
_CONFIG_KEYS = {
    "resources", "resource_opts", "resourceOpts", "environ", "scaling_group", "scalingGroup", "mounts", "mount_map",
    "mountMap", "preopen_ports", "preopenPorts", "agent_list", "agentList",
    "attach_network", "mount_ids", "mount_id_map",
}  # fmt: skip
_SUFFIXES: dict[str, int] = {suffix: 1024**power for power, suffix in enumerate("kmgtpe", 1)}


def session_of(
    given: Any, access_key: str, generation: Generation, agents: Agents, folders: Folders
) -> tuple[Session, bool]:
    """The session that is asked for, and whether an existing one of its name may stand for it.

    :raises Problem: it is refused.
    """
    if not isinstance(given, dict):
        raise Problem(400, "invalid-api-params", "Malformed body")
    _check_keys(given, generation)
    name = str(_first(given, "name", "session_name", "clientSessionToken") or "")
    if generation.is_strict and not _NAME.match(name):
        raise _invalid("name", r"does not match pattern ^(?=.{4,64}$)\w[\w.-]*\w$")
    kind = str(_first(given, "type", "sessionType", "session_type") or "interactive").lower()
    if kind not in ("interactive", "batch", "inference"):
        raise _invalid("sessionType", "value is not a valid member of SessionTypes")
    mode = str(_first(given, "cluster_mode", "clusterMode") or "single-node").lower().replace("_", "-")
    if mode not in ("single-node", "multi-node"):
        raise _invalid("cluster_mode", "value is not a valid member of ClusterMode")
    size = int(_first(given, "cluster_size", "clusterSize") or 1)
    image = str(_first(given, "image", "lang") or "")
    if image not in IMAGES:
        raise Problem(
            404, "object-not-found", f"Unknown image references: ref:'{image}'", title="No such environment image."
        )
    command = str(_first(given, "startupCommand", "startup_command") or "")
    if kind == "batch" and not command:
        raise Problem(400, "invalid-api-params", "Batch sessions must have a non-empty startup command.")
    _check_project(given, generation)
    config = given.get("config") or {}
    group = group_of(_first(config, "scaling_group", "scalingGroup"), agents)
    options = _first(config, "resource_opts", "resourceOpts") or {}
    slots = slots_of(config.get("resources") or {}, options.get("shmem"), generation, agents)
    resolved = dict(config)
    for new, old in (("mount_map", "mountMap"), ("mount_options", "mountOptions")):
        resolved.setdefault(new, config.get(old) or {})
    session = Session(
        name=name,
        access_key=access_key,
        image=image,
        architecture=str(_first(given, "architecture", "arch") or "x86_64"),
        kind=kind,
        command=command,
        group=group,
        slots=slots,
        environ={str(k): str(v) for k, v in (config.get("environ") or {}).items()},
        cluster_mode=mode,
        cluster_size=size,
        project=PROJECT,
        mounts=mounts.of_config(folders, access_key, resolved, once_per_folder=not generation.is_strict),
        callback_url=_first(given, "callback_url", "callbackUrl", "callbackURL"),
        tag=given.get("tag"),
        timeout=None if given.get("batch_timeout") is None else float(given["batch_timeout"]),
        priority=int(given.get("priority", 10)),
    )
    return session, bool(given.get("reuseIfExists", given.get("reuse", True)))


def _check_keys(given: dict[str, Any], generation: Generation) -> None:
    if not generation.is_strict:
        return
    for key in given.keys() - _KEYS:
        raise _invalid(key, f"{key} is not allowed key")
    config = given.get("config")
    if not isinstance(config, dict):
        return
    blanks = [name for name, value in (config.get("environ") or {}).items() if value == ""]
    if config.keys() - _CONFIG_KEYS or blanks or len(str(given.get("tag") or "")) > _LONGEST_TAG:
        raise Problem(500, "internal-server-error")


def _check_project(given: dict[str, Any], generation: Generation) -> None:
    group = _first(given, "group", "groupName", "group_name") or PROJECT
    domain = _first(given, "domain", "domainName", "domain_name") or DOMAIN
    if domain != DOMAIN:
        if not generation.is_strict:
            raise Problem(404, "entity-not-found", "No ProjectRow matches the given key")
        raise Problem(400, "invalid-api-params", "You can only set the domain to your domain.")
    if group != PROJECT:
        if not generation.is_strict:
            raise Problem(404, "entity-not-found", "No ProjectRow matches the given key")
        raise Problem(400, "invalid-api-params", "Invalid group")


def group_of(name: Any, agents: Agents) -> str:
    """The resource group of that name, or the first. :raises Problem: there is none of that name."""
    group = str(name or agents.groups[0])
    if group not in agents.groups:
        message = (
            f"The scaling group '{group}' does not exist or you do not have access to the scaling group '{group}'."
        )
        raise Problem(404, "object-not-found", message, title="No such scaling group.")
    return group


def slots_of(
    resources: dict[str, Any], shared_memory: Any, generation: Generation, agents: Agents
) -> dict[str, Decimal]:
    """What a container gets, with the least that an image needs filled in. :raises Problem: it cannot be had."""
    known = agents.slot_types()
    found: dict[str, Decimal] = {}
    for name, value in resources.items():
        if name not in known:
            if generation.is_strict:
                raise Problem(400, "invalid-api-params", f"Invalid resource allocation: Unknown slot type: '{name}'")
            raise Problem(400, "unknown-resource-slot-type", f"Unknown slot type: '{name}'")
        try:
            found[name] = size_of(value) if known[name] == "bytes" else Decimal(str(value))
        except (InvalidOperation, ValueError):
            message = f"Invalid resource allocation: Cannot convert the slot '{name}' to decimal: '{value}'"
            raise Problem(400, "invalid-api-params", message) from None
        if found[name] < 0 and not generation.is_strict:
            message = f"Resource slot '{name}' cannot be negative: {value}"
            raise Problem(400, "invalid-resource-slot-quantity", message)
    shmem = size_of(shared_memory or DEFAULT_SHMEM)
    found.setdefault("cpu", Decimal(1))
    memory = found.setdefault("mem", MINIMUM_MEMORY + shmem)
    if memory < MINIMUM_MEMORY + shmem or memory <= shmem:
        least = int(MINIMUM_MEMORY + shmem) // 1024**2
        raise Problem(
            400,
            "invalid-api-params",
            f"Your resource request is smaller than the minimum required by the image. (cpu=1 mem={least}m)",
        )
    return found


def size_of(value: Any) -> Decimal:
    """Bytes, from a number or a text such as `256m`. :raises ValueError: it is none."""
    text = str(value).strip().lower().removesuffix("b").removesuffix("i")
    factor = _SUFFIXES.get(text[-1:], 1)
    return Decimal(text[:-1] if factor > 1 else text) * factor


def _first(given: dict[str, Any], *names: str) -> Any:
    return next((given[name] for name in names if given.get(name) is not None), None)


def _invalid(key: str, message: str) -> Problem:
    return Problem(400, "invalid-api-params", "Input validation error", data={key: message})
