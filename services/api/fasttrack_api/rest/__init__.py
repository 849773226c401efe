"""The REST side: one router per noun."""

from fastapi import APIRouter

from . import events, health

ROUTERS: tuple[APIRouter, ...] = (health.router, events.router)
"""Every router, in the order of the documentation."""
