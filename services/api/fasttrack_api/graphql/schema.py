"""The schema's assembly and the route that serves it."""

from __future__ import annotations

import strawberry
from fastapi import APIRouter
from strawberry.extensions import ParserCache, ValidationCache

from fasttrack.settings import Settings

from .context import Context
from .sockets import make_socket_router
from .subscriptions import Subscription


@strawberry.type(description="Everything that can be asked.")
class Query:
    """The root of reads."""

    @strawberry.field(description="The name of who is calling.")
    def viewer_name(self, info: strawberry.Info[Context]) -> str:
        """Who calls."""
        return info.context.caller.name


SCHEMA = strawberry.Schema(query=Query, subscription=Subscription, extensions=[ParserCache, ValidationCache])


def make_router(settings: Settings) -> APIRouter:
    """The route of GraphQL over HTTP, server-sent events and sockets."""
    return make_socket_router(SCHEMA, settings, path="/graphql", allow_queries_via_get=False, graphql_ide=None)
