"""The REST side: one router per noun."""

from fastapi import APIRouter

from . import catalog, events, exports, health, jobs, limits, pipelines, projects, runs, secrets, templates

ROUTERS: tuple[APIRouter, ...] = (
    pipelines.router,
    catalog.router,
    runs.router,
    templates.router,
    templates.of_pipelines,
    jobs.router,
    events.router,
    projects.router,
    limits.router,
    secrets.router,
    exports.router,
    health.router,
)
"""Every router, in the order of the documentation."""
