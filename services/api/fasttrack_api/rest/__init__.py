"""The REST side: one router per noun."""

from fastapi import APIRouter

from . import events, exports, health, jobs, limits, pipelines, projects, resources, runs, secrets, statistics

ROUTERS: tuple[APIRouter, ...] = (
    pipelines.router,
    runs.router,
    jobs.router,
    events.router,
    projects.router,
    limits.router,
    resources.router,
    statistics.router,
    secrets.router,
    exports.router,
    health.router,
)
"""Every router, in the order of the documentation."""
