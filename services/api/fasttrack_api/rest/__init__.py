"""The REST side: one router per noun."""

from fastapi import APIRouter

from . import (
    accounts,
    audit,
    catalog,
    drafts,
    events,
    exports,
    files,
    health,
    jobs,
    limits,
    logs,
    members,
    pipelines,
    projects,
    resources,
    runs,
    secrets,
    statistics,
    templates,
    tokens,
    uploads,
)

sweeping = uploads.sweeping

ROUTERS: tuple[APIRouter, ...] = (
    pipelines.router,
    catalog.router,
    drafts.router,
    catalog.router,
    runs.router,
    templates.router,
    templates.of_pipelines,
    jobs.router,
    logs.router,
    files.router,
    uploads.router,
    events.router,
    projects.router,
    limits.router,
    resources.router,
    statistics.router,
    secrets.router,
    members.router,
    accounts.router,
    tokens.router,
    audit.router,
    exports.router,
    health.router,
)
"""Every router, in the order of the documentation."""
