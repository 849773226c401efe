"""The schema's assembly and the route that serves it."""

from __future__ import annotations

import strawberry
from fastapi import APIRouter
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.fastapi import GraphQLRouter
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from fasttrack.settings import Settings

from .context import Context, context_of


@strawberry.type(description="Everything that can be asked.")
class Query:
    """The root of reads."""

    @strawberry.field(description="The name of who is calling.")
    def viewer_name(self, info: strawberry.Info[Context]) -> str:
        """Who calls."""
        return info.context.caller.name


SCHEMA = strawberry.Schema(query=Query, extensions=[ParserCache, ValidationCache])


def make_router(settings: Settings) -> APIRouter:
    """The route of GraphQL over HTTP, server-sent events and sockets."""
    del settings
    router: APIRouter = GraphQLRouter(
        SCHEMA,
        path="/graphql",
        context_getter=context_of,
        allow_queries_via_get=False,
        graphql_ide=None,
        subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
    )
    return router
