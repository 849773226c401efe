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
    several,
    starts,
    statistics,
    templates,
    tokens,
    uploads,
    whoami,
)

sweeping = uploads.sweeping

ROUTERS: tuple[APIRouter, ...] = (
    pipelines.router,
    pipelines.of_files,
    drafts.router,
    catalog.router,
    runs.router,
    templates.router,
    templates.of_pipelines,
    starts.router,
    jobs.router,
    several.router,
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
    whoami.router,
    health.router,
)
"""Every router, in the order of the documentation."""
