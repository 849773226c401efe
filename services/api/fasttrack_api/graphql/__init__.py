"""The GraphQL side."""

from functools import partial

from fastapi import APIRouter

from fasttrack.settings import Settings

from ..examining import Examine
from .measuring import Limits
from .schema import make_router, make_schema
from .stored import examine


def routers(settings: Settings) -> tuple[APIRouter, ...]:
    """What the application serves of it."""
    return (make_router(settings),)


def examiner(settings: Settings) -> Examine:
    """What says of a text whether it may be stored, within the limits of the settings."""
    limits = Limits.of(settings)
    return partial(examine, schema=make_schema(limits)._schema, limits=limits)
