"""The GraphQL side."""

from fastapi import APIRouter

from fasttrack.settings import Settings

from .schema import make_router


def routers(settings: Settings) -> tuple[APIRouter, ...]:
    """What the application serves of it."""
    return (make_router(settings),)
