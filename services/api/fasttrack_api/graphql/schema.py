"""The schema's assembly and the route that serves it.

Others add to it here: a root for subscriptions, and more mixins of `Query` and `Mutation` for more nouns.
"""

from __future__ import annotations

from functools import lru_cache

import strawberry
from fastapi import APIRouter
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionContext

from fasttrack.settings import Settings

from . import errors as telling
from .context import context_of
from .extensions import extensions_of
from .measuring import Limits
from .mutations import Mutation
from .queries import Query
from .router import Router

EXTRA_TYPES: tuple[type, ...] = ()
"""Types that are reached by an interface only."""


class Schema(strawberry.Schema):
    """Answers errors by their codes, and logs those that are ours."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Called with every list of errors before it is answered."""
        del execution_context
        telling.tell(errors)


@lru_cache(maxsize=16)
def make_schema(limits: Limits) -> Schema:
    """The schema with these limits; the same object for the same limits."""
    return Schema(
        query=Query,
        mutation=Mutation,
        subscription=None,  # the root of streams goes here
        types=EXTRA_TYPES,
        extensions=extensions_of(limits),
        config=StrawberryConfig(sort_schema=True, disable_field_suggestions=not limits.introspection),
    )


def make_router(settings: Settings) -> APIRouter:
    """The route of GraphQL over HTTP, server-sent events and sockets."""
    router = Router(
        make_schema(Limits.of(settings)),
        path="/graphql",
        context_getter=context_of,
        allow_queries_via_get=False,
        graphql_ide=None,
        subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
    )
    router.most_bytes = settings.api_body_bytes
    return router
