"""Model services: so many inference sessions behind one address. They are placed and run; nothing answers at the address."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .bodies import object_of, schema_violation
from .catalogue import IMAGES, image_row
from .creation import session_of
from .ledger import Session
from .manager import Manager
from .problems import Problem

_NAME = re.compile(r"\w[\w-]{2,22}\w\Z")
MOST_RETRIES = 5
VARIANT = str(uuid5(NAMESPACE_URL, "custom"))


@dataclass
class Service:
    """One model service."""

    name: str
    owner: str
    replicas: int
    asked: dict[str, Any]
    model: str
    is_public: bool
    id: str = field(default_factory=lambda: str(uuid4()))
    routes: dict[str, Session] = field(default_factory=dict)
    is_going: bool = False
    is_healthy: bool = True
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    tag: str = ""
    strategy: dict[str, Any] = field(default_factory=dict)
    cleared: set[str] = field(default_factory=set)

    @property
    def living(self) -> list[Session]:
        return [session for session in self.routes.values() if not session.is_over]

    @property
    def serving(self) -> dict[str, Session]:
        return {key: s for key, s in self.routes.items() if s.status == "RUNNING" and self.is_healthy}

    @property
    def stage(self) -> str:
        """Where it is in its life, as 26.x has it."""
        if self.is_going:
            return "destroying" if self.living else "destroyed"
        if len(self.serving) >= self.replicas:
            return "ready"
        return "deploying" if any(session.has_slots for session in self.living) else "pending"

    @property
    def retries(self) -> int:
        """How often a session that did not start was tried again: here the first one was all."""
        failed = [s for s in self.routes.values() if s.is_over and s.id not in self.cleared]
        return MOST_RETRIES + 1 if failed and not self.is_going else 0

    def errors(self) -> list[dict[str, Any]]:
        """Of each session that ended, or serves nothing, what is known."""
        bad = [s for s in self.routes.values() if s.is_over or (s.status == "RUNNING" and not self.is_healthy)]
        return [
            {"session_id": s.id, "error": s.data.get("error") or {"src": "app-proxy", "name": "UNHEALTHY", "repr": ""}}
            for s in bad
            if s.id not in self.cleared
        ]


class Services:
    """`/services`."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._all: dict[str, Service] = {}
        manager.queries.endpoint = self._row
        manager.queries.endpoints = self._rows

    async def create(self, request: Request, key: str) -> Response:
        given = await object_of(request)
        name = str(given.get("name") or given.get("service_name") or "")
        if not _NAME.match(name):
            raise schema_violation("name", r"String should match pattern '^\w[\w-]{2,22}\w$'")
        if self._manager.faults.no_app_proxy:
            raise Problem(503, "service-unavailable", title="No coordinator configured for this resource group")
        # 23.09 holds a name to be one service's, whoever's it is; 26 takes it any number of times.
        if self._manager.generation.is_strict and any(
            s.name == name and s.stage != "destroyed" for s in self._all.values()
        ):
            raise Problem(400, "invalid-api-params", "Cannot create multiple services with same name")
        config = given.get("config") or {}
        replicas = int(given.get("replicas", given.get("desired_session_count", 1)))
        folder = self._manager.folders.find(key, str(config.get("model") or ""))
        if folder.usage_mode != "model":
            raise Problem(400, "invalid-api-params", "Selected VFolder is not a model folder")
        is_public = bool(given.get("open_to_public"))
        service = Service(name, key, replicas, _session_body(given, config), str(UUID(folder.id)), is_public)
        service.tag = str(given.get("tag") or "")
        self._fill(service)
        self._all[service.id] = service
        return JSONResponse(self._shown(service), 201)

    async def listing(self, request: Request, key: str) -> Response:
        wanted = request.query_params.get("name")
        mine = [s for s in self._all.values() if s.owner == key and s.stage != "destroyed" and wanted in (None, s.name)]
        return JSONResponse(
            [
                {
                    "id": s.id,
                    "name": s.name,
                    **self._count(s),
                    "active_route_count": len(s.serving),
                    "service_endpoint": _address(s),
                    "is_public": s.is_public,
                }
                for s in mine
            ]
        )

    async def read(self, request: Request, key: str) -> Response:
        return JSONResponse(self._shown(self._find(request, key)))

    async def delete(self, request: Request, key: str) -> Response:
        service = self._find(request, key)
        service.is_going, service.replicas = True, 0
        await self._shrink(service)
        return JSONResponse({"success": True})

    async def scale(self, request: Request, key: str) -> Response:
        service = self._find(request, key)
        wanted = (await object_of(request)).get("to")
        if not isinstance(wanted, int) or wanted < 0:
            raise schema_violation("to", "Input should be greater than or equal to 0")
        before, service.replicas = len(service.living), wanted
        self._fill(service)
        await self._shrink(service)
        return JSONResponse({"current_route_count": before, "target_count": wanted})

    async def update(self, request: Request, key: str) -> Response:
        """`PUT /v2/deployments/{id}`."""
        service = self._find(request, key)
        given = await object_of(request)
        service.strategy = given.get("default_deployment_strategy") or service.strategy
        service.replicas = int(given.get("replica_count", service.replicas))
        service.is_public = bool(given.get("open_to_public", service.is_public))
        if "tags" in given:
            service.tag = ",".join(given["tags"] or [])
        return JSONResponse({"deployment": {"id": service.id}})

    async def revise(self, request: Request, key: str) -> Response:
        """`POST /v2/deployments/{id}/revisions`: all at once, and not in steps as a manager does it."""
        service = self._find(request, key)
        given = await object_of(request)
        runtime, model = given["model_runtime_config"], given["model_mount_config"]
        if runtime["runtime_variant_id"] != VARIANT:
            raise Problem(404, "entity-not-found", title="No such runtime variant.")
        extra = {
            mount["vfolder_id"]: {**mount, "permission": mount.get("mount_perm")}
            for mount in given.get("extra_mounts") or ()
        }
        config = {
            "model": model["vfolder_id"],
            "model_mount_destination": model["mount_destination"],
            "resources": {
                e["resource_type"]: e["quantity"] for e in given["resource_config"]["resource_slots"]["entries"]
            },
            "environ": {e["name"]: e["value"] for e in runtime["environ"]["entries"]},
            "scaling_group": service.asked["config"]["scaling_group"],
            "extra_mounts": extra,
        }
        image = next(name for name in IMAGES if image_row(name)["id"] == given["image"]["id"])
        before, wanted = service.asked, service.replicas
        service.replicas = 0
        await self._shrink(service)
        service.replicas = wanted
        service.asked = _session_body({**before, "image": image}, config)
        self._fill(service)
        return JSONResponse({"revision": {"id": str(uuid4())}}, 201)

    async def variants(self, request: Request, key: str) -> Response:
        """`POST /v2/runtime-variants/search`: there is `custom` alone."""
        wanted = ((await object_of(request)).get("filter") or {}).get("name", {}).get("equals", "custom")
        return JSONResponse({"items": [{"id": VARIANT, "name": "custom"}] if wanted == "custom" else []})

    async def errors(self, request: Request, key: str) -> Response:
        found = self._find(request, key).errors()
        return JSONResponse({"errors": found, "retries": MOST_RETRIES if found else 0})

    async def clear(self, request: Request, key: str) -> Response:
        service = self._find(request, key)
        service.cleared |= {entry["session_id"] for entry in service.errors()}
        return Response(status_code=204)

    def _find(self, request: Request, key: str) -> Service:
        found = self._all.get(request.path_params["service"])
        if found is None or found.owner != key or found.stage == "destroyed":
            raise Problem(404, "object-not-found", title="No such model service.")
        return found

    def _fill(self, service: Service) -> None:
        m = self._manager
        service.is_healthy = not m.faults.never_healthy
        for _ in range(service.replicas - len(service.living)):
            body = {**service.asked, "name": f"{service.name}-{uuid4()}"}
            session, _ = session_of(body, service.owner, m.generation, m.agents, m.folders)
            m.policy.check(session, m.ledger, m.generation)
            service.routes[str(uuid4())] = session
            m.lives.begin(session)

    async def _shrink(self, service: Service) -> None:
        for session in service.living[service.replicas :]:
            service.cleared.add(session.id)
            await self._manager.lives.end(session, forced=True)

    def _count(self, service: Service) -> dict[str, int]:
        count = {"desired_session_count": service.replicas}
        return count if self._manager.generation.is_strict else {"replicas": service.replicas, **count}

    def _shown(self, service: Service) -> dict[str, Any]:
        ratio = 1.0
        routes = [{"route_id": i, "session_id": s.id, "traffic_ratio": ratio} for i, s in service.serving.items()]
        return {
            "endpoint_id": service.id,
            "model_id": service.model,
            "extra_mounts": [],
            "name": service.name,
            **self._count(service),
            "model_definition_path": None,
            "active_routes": routes,
            "service_endpoint": _address(service),
            "is_public": service.is_public,
            "runtime_variant": "custom",
        }

    def _row(self, key: str, identifier: str) -> dict[str, Any] | None:
        """As GraphQL shows it: only there is told where it is in its life."""
        service = self._all.get(identifier)
        return None if service is None or service.owner != key else self._told(service)

    def _rows(self, key: str) -> list[dict[str, Any]]:
        """The newest first; 23.09 leaves out those that are over."""
        is_old = self._manager.generation.is_strict
        rows = [self._told(s) for s in self._all.values() if s.owner == key and not (is_old and s.stage == "destroyed")]
        return rows[::-1]

    def _told(self, service: Service) -> dict[str, Any]:
        is_old, stage = self._manager.generation.is_strict, service.stage
        health = "HEALTHY" if stage == "ready" else "UNHEALTHY" if service.errors() else "PROVISIONING"
        return {
            "endpoint_id": service.id,
            "name": service.name,
            "desired_session_count": service.replicas,
            "lifecycle_stage": "created" if is_old and not service.is_going else stage,
            "status": stage.upper() if service.is_going else health,
            "url": _address(service),
            "tag": service.tag,
            "resource_group": service.asked["config"]["scaling_group"],
            "environ": json.dumps(service.asked["config"]["environ"]),
            "retries": service.retries,
            "created_at": service.made_at.isoformat(),
            "routings": [self._route(service, i, s) for i, s in service.routes.items() if not service.is_going],
        }

    def _route(self, service: Service, identifier: str, session: Session) -> dict[str, Any]:
        serves, is_old = identifier in service.serving, self._manager.generation.is_strict
        status = "FAILED_TO_START" if session.is_over else "PROVISIONING"
        if session.status == "RUNNING":
            status = ("HEALTHY" if serves else "UNHEALTHY") if is_old else "RUNNING"
        errors = [e["error"] for e in service.errors() if e["session_id"] == session.id and session.is_over]
        told = {"type": "session_cancelled", "session_id": session.id, "errors": errors} if errors else None
        return {
            "routing_id": identifier,
            "session": session.id,
            "status": status,
            "health_status": "HEALTHY" if serves else "NOT_CHECKED",
            "traffic_ratio": 1.0,
            "error_data": json.dumps(told) if told else None,
        }


def _address(service: Service) -> str | None:
    return f"http://{service.name}.app-proxy.test/" if service.stage == "ready" else None


def _session_body(given: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The request for one of its sessions."""
    model = str(config.get("model"))
    target = str(config.get("model_mount_destination") or config.get("modelMountDestination") or "/models")
    extra = config.get("extra_mounts") or {}
    return {
        "image": given.get("image") or given.get("lang"),
        "architecture": given.get("arch") or given.get("architecture") or "x86_64",
        "type": "inference",
        "startupCommand": given.get("startupCommand") or given.get("startup_command"),
        "group": given.get("group"),
        "domain": given.get("domain"),
        "tag": given.get("tag"),
        "config": {
            "scaling_group": config.get("scaling_group") or config.get("scalingGroup"),
            "resources": config.get("resources") or {},
            "resource_opts": config.get("resource_opts") or {},
            "environ": config.get("environ") or {},
            "mounts": [model, *extra],
            "mount_map": {model: target, **{folder: option["mount_destination"] for folder, option in extra.items()}},
            **({"mount_options": extra} if extra else {}),
        },
    }
