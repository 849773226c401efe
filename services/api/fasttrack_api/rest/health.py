"""Whether this process lives and can work, its figures, and its version."""

from __future__ import annotations

import asyncio
import hmac
from importlib.metadata import version

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from fasttrack.db import migrate
from fasttrack.errors import Unavailable
from fasttrack.telemetry import CONNECTIONS

from ..parts import Parts
from . import models
from .routing import Route

router = APIRouter(tags=["health"], route_class=Route)

_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_PATIENCE = 2.0


@router.get("/healthz", summary="Does it live?")
async def healthz() -> models.Health:
    """Whether the process answers. It looks at nothing else: a process that cannot reach its database need not be killed."""
    return models.Health(status="ok")


@router.get("/readyz", summary="Can it work?", responses={503: {"description": "It waits.", "model": models.Readiness}})
async def readyz(request: Request, response: Response) -> models.Readiness:
    """Whether the process can work: its database answers and has the schema that it needs. 503 says what it waits for."""
    parts = Parts.of(request)
    waits_for: list[str] = []
    try:
        async with asyncio.timeout(_PATIENCE):
            if not await migrate.is_at_head(parts.database):
                waits_for.append("schema")
    except (Unavailable, TimeoutError):
        waits_for.append("database")
    without = [] if await parts.doorbell.is_near() else ["valkey"]
    if waits_for:
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    response.headers["Cache-Control"] = "no-store"
    return models.Readiness(status="waiting" if waits_for else "ok", waits_for=waits_for, without=without)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"description": "Text, as Prometheus reads it.", "content": {"text/plain": {"example": "x 1\n"}}}},
)
async def metrics(request: Request) -> Response:
    """The figures of this process. From elsewhere than loopback it needs the token of `FASTTRACK_API_METRICS_TOKEN`."""
    parts = Parts.of(request)
    token = parts.settings.api_metrics_token
    peer = request.client.host if request.client else ""
    if peer not in _LOOPBACK and not (token is not None and _is_shown(request, token.get_secret_value())):
        raise HTTPException(404, "Not Found")  # who may not see it need not know of it
    CONNECTIONS.set(parts.database.in_use)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/v1", summary="What answers here?")
async def about(request: Request) -> models.About:
    """The product and its version, and where the API is described."""
    is_told = Parts.of(request).settings.api_docs
    openapi, docs = ("/api/v1/openapi.json", "/docs") if is_told else (None, None)
    return models.About(name="FastTrack", version=version("fasttrack"), openapi=openapi, docs=docs)


def _is_shown(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
