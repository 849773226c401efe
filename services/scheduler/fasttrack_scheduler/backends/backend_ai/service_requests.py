"""What a model service is called and how it is asked for, for each generation of managers. Pure: it sends nothing.

A manager takes names of 4 to 24 characters, too few for a session's name. So a service carries that of its session in its
tag, with the pipeline's id beside it: by it a service is found, and told from one that somebody else made.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fasttrack.backend_ai.generation import Generation
from fasttrack.domain.pipeline import Service
from fasttrack.ids import PipelineId, parse_session_name

from ..base import SessionRefused, SessionSpec
from .creation import RUNNERS_OWN, amount_of
from .mounting import VFROOT, Mounted

MODEL_TARGET = "/models"
"""Where managers mount the model folder unless they are told."""
_NAME = re.compile(r"\w[\w-]{2,22}\w", re.ASCII)
_KEPT, _DIGEST = 13, 10
_UPDATE = "u"
SESSION_VARIABLE = "FASTTRACK_SESSION"
"""Tells which attempt made what serves now."""
_DEFINITIONS = frozenset({"", "model-definition.yaml", "model-definition.yml"})


def name_of(session: str, service: Service) -> str:
    """Its name on the cluster: the file's for one that stays, one of its own for each attempt of one that ends with its
    job, so that two jobs of a pipeline never meet.

    :raises SessionRefused: no manager takes the file's name.
    """
    if _NAME.fullmatch(service.name) is None:
        raise SessionRefused(
            f"the service's name {service.name!r} (`service.name`) cannot be one: it has 4 to 24 letters, digits, `-` and "
            "`_`, and begins and ends with one that is not `-`"
        )
    return f"{service.name[:_KEPT]}-{_digest(session)}" if service.ephemeral else service.name


def ends_with_its_job(name: str, session: str) -> bool:
    """Whether a service of this name was made to end with its job."""
    return bool(session) and name.endswith(f"-{_digest(session)}")


@dataclass(frozen=True, slots=True)
class Tag:
    """What a service carries of ours."""

    session: str = ""
    """Whose attempt it is; empty: nobody's any more, or not ours at all."""
    pipeline: PipelineId | None = None
    is_update: bool = False
    """Whether it served before that session asked for it."""

    @classmethod
    def read(cls, tag: str) -> Tag:
        """From what a manager keeps."""
        session, _, rest = tag.partition(":")
        text, _, mark = rest.partition(":")
        if len(text) != 26 or (session and parse_session_name(session) is None):
            return cls()
        try:
            return cls(session, PipelineId(UUID(bytes=base64.b32decode(text.upper() + "======"))), mark == _UPDATE)
        except ValueError:
            return cls()


def tag_of(session: str, pipeline: PipelineId, *, is_update: bool = False) -> str:
    """What the service carries: at most 64 characters, which is what managers keep."""
    return f"{session}:{_text(pipeline.bytes)}" + (f":{_UPDATE}" if is_update else "")


def body_of(
    spec: SessionSpec,
    service: Service,
    generation: Generation,
    mounts: Sequence[tuple[Mounted, UUID]],
    *,
    domain: str,
    architecture: str,
) -> dict[str, Any]:
    """`POST /services`. Spellings are those that every release takes. :raises SessionRefused: this release cannot do it."""
    config: dict[str, Any] = {
        "model": service.model,
        "modelMountDestination": service.model_mount_destination or MODEL_TARGET,
        "scalingGroup": spec.resource_group,
        "resources": {slot: amount_of(slot, spec) for slot in spec.slots},
        "environ": environment_of(spec, mounts, generation),
    }
    if spec.shmem:
        config["resource_opts"] = {"shmem": str(spec.shmem)}
    body: dict[str, Any] = {
        "name": name_of(spec.name, service),
        "desired_session_count": service.replicas,
        "lang": spec.image,
        "arch": architecture,
        "domain": domain,
        "group": spec.project,
        "open_to_public": service.open_to_public,
        "tag": tag_of(spec.name, spec.workspace.pipeline_id),
        "config": config,
    }
    if spec.cluster_size > 1:
        body |= {"clusterSize": spec.cluster_size, "clusterMode": spec.cluster_mode.value}
    if spec.command.strip():
        body["startupCommand"] = spec.command
    definition = service.model_definition_path.lstrip("/")
    if generation.has_runtime_variants:
        body["runtime_variant"] = service.runtime_variant
        if definition:
            config["model_definition_path"] = definition
        if mounts:
            config["extra_mounts"] = {str(folder): _mount(mount) for mount, folder in mounts}
        return body
    for field, value, possible in (
        ("runtime_variant", service.runtime_variant, service.runtime_variant == "custom"),
        ("model_definition_path", definition, definition in _DEFINITIONS),
    ):
        if not possible:
            raise SessionRefused(
                f"a manager of release {generation} starts services by the model-definition.yaml at the top of the model "
                f"folder alone: leave out `service.{field}`, which is {value!r}"
            )
    if mounts:
        raise SessionRefused(
            f"a manager of release {generation} mounts nothing in a service but its model folder: leave out `mounts`"
        )
    return body


def strategy_of(service: Service) -> dict[str, Any]:
    """What is told to `PUT /v2/deployments/{id}`: how many replicas are exchanged at a time when it is updated."""
    rolling = {"max_surge": {"count": service.max_surge}, "max_unavailable": {"count": service.max_unavailable}}
    return {"default_deployment_strategy": {"type": "ROLLING", "rolling_update": rolling}}


def _mount(mount: Mounted) -> dict[str, str]:
    permission = "ro" if mount.is_read_only else "rw"
    return {"mount_destination": mount.target, "permission": permission} | (
        {"subpath": mount.path} if mount.path else {}
    )


def environment_of(
    spec: SessionSpec, mounts: Sequence[tuple[Mounted, UUID]], generation: Generation
) -> Mapping[str, str]:
    """Its variables. No text of ours runs in a service that could set what a manager cannot pass on."""
    found = {**spec.envs, SESSION_VARIABLE: spec.name}
    if any(mount.target == VFROOT for mount, _ in mounts):
        found |= {"PIPELINE_VFROOT": VFROOT, "FASTTRACK_VFROOT": VFROOT}
    for name, value in found.items():
        if name in RUNNERS_OWN or "\n" in value or "\r" in value:
            why = "is the container's own" if name in RUNNERS_OWN else "holds a line break"
            raise SessionRefused(
                f"its variable {name} {why}, and a service cannot be given that (`environment.envs`): write it to a file in "
                "the model folder"
            )
    return {name: value for name, value in found.items() if value or generation.passes_empty_variables}


def _digest(session: str) -> str:
    return _text(hashlib.sha256(session.encode()).digest())[:_DIGEST]


def _text(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").lower()
