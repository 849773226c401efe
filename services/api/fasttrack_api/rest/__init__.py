"""The REST side: one router per noun."""

from fastapi import APIRouter

from . import health

ROUTERS: tuple[APIRouter, ...] = (health.router,)
"""Every router, in the order of the documentation."""
