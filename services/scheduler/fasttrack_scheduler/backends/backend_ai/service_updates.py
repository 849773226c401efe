"""Updating a service that stays, in steps and under its own address: from 26.9 on, by a revision of what is served.

A service that is being updated carries the session of the job that asked for it, and that it is an update. Given up in the
middle, it is let go and not ended: what served before may serve on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from fasttrack.backend_ai.answers import Refused
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.backend_ai.generation import Generation
from fasttrack.domain.pipeline import Service as Asked
from fasttrack.ids import PipelineId

from ..base import SessionSpec
from .creation import amount_of
from .mounting import Mounted
from .service_requests import MODEL_TARGET, SESSION_VARIABLE, environment_of, strategy_of, tag_of
from .services import Service

_ENVIRON = "query($id: UUID!) { endpoint(endpoint_id: $id) { environ } }"


async def update(
    gateway: Gateway,
    there: Service,
    spec: SessionSpec,
    asked: Asked,
    mounts: Sequence[tuple[Mounted, UUID]],
    *,
    image: UUID,
    generation: Generation,
) -> None:
    """Have the service that is there become what is asked for. May be repeated: the last revision is what counts.

    :raises Refused: it cannot be updated to that.
    """
    path = f"/v2/deployments/{there.id}"
    variant = await _variant(gateway, asked.runtime_variant)
    wanted = {"replica_count": asked.replicas, "open_to_public": asked.open_to_public, **strategy_of(asked)}
    await gateway.call("PUT", path, body=wanted)
    revision = revision_of(there, spec, asked, mounts, image=image, variant=variant, generation=generation)
    await gateway.call("POST", f"{path}/revisions", body=revision)
    # Last: a session that is found under its tag has had its revision asked for.
    tag = tag_of(spec.name, spec.workspace.pipeline_id, is_update=True)
    await gateway.call("PUT", path, body={"tags": [tag]})


async def let_go(gateway: Gateway, service: Service, pipeline: PipelineId) -> None:
    """Take the session off a service: it is the pipeline's as before, and the attempt's no more."""
    await gateway.call("PUT", f"/v2/deployments/{service.id}", body={"tags": [tag_of("", pipeline)]})


async def serves_what_was_asked(gateway: Gateway, service: Service) -> bool:
    """Whether what serves now is of the service's session, and not what served before, to which managers go back."""
    found = (await gateway.graphql(_ENVIRON, {"id": service.id})).get("endpoint") or {}
    variables = found.get("environ")
    if isinstance(variables, str):  # an object in a text, as everything of that type
        variables = orjson.loads(variables)
    return isinstance(variables, dict) and variables.get(SESSION_VARIABLE) == service.session


def revision_of(
    there: Service,
    spec: SessionSpec,
    asked: Asked,
    mounts: Sequence[tuple[Mounted, UUID]],
    *,
    image: UUID,
    variant: str,
    generation: Generation,
) -> dict[str, Any]:
    """`POST /v2/deployments/{id}/revisions`."""
    resources: dict[str, Any] = {
        "resource_slots": {
            "entries": [{"resource_type": slot, "quantity": amount_of(slot, spec)} for slot in spec.slots]
        }
    }
    if spec.shmem:
        resources["resource_opts"] = {"entries": [{"name": "shmem", "value": str(spec.shmem)}]}
    variables = environment_of(spec, mounts, generation)
    definition = asked.model_definition_path.lstrip("/")
    return {
        "deployment_id": there.id,
        "cluster_config": {"mode": spec.cluster_mode.value, "size": spec.cluster_size},
        "resource_config": resources,
        "image": {"id": str(image)},
        "model_runtime_config": {
            "runtime_variant_id": variant,
            "environ": {"entries": [{"name": name, "value": value} for name, value in variables.items()]},
        },
        "model_mount_config": {
            "vfolder_id": asked.model,
            "mount_destination": asked.model_mount_destination or MODEL_TARGET,
            **({"definition_path": definition} if definition else {}),
        },
        "extra_mounts": [
            {
                "vfolder_id": str(folder),
                "mount_destination": mount.target,
                "mount_perm": "ro" if mount.is_read_only else "rw",
                **({"subpath": mount.path} if mount.path else {}),
            }
            for mount, folder in mounts
        ],
        "options": {"auto_activate": True},
    }


async def _variant(gateway: Gateway, name: str) -> str:
    body = {"filter": {"name": {"equals": name}}, "limit": 1}
    answer = await gateway.call("POST", "/v2/runtime-variants/search", body=body, is_write=False)
    items = answer.get("items") if isinstance(answer, dict) else None
    if not items:
        raise Refused(f"the cluster has no runtime variant {name!r} (`service.runtime_variant`)")
    return str(items[0]["id"])
