"""The schema's assembly and the route that serves it.

Others add to it here: a root for subscriptions, and more mixins of `Query` and `Mutation` for more nouns.
"""

from __future__ import annotations

from functools import lru_cache

import strawberry
from fastapi import APIRouter
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from fasttrack.settings import Settings

from . import errors as telling
from .extensions import extensions_of
from .measuring import Limits
from .mutations import Mutation
from .queries import Query
from .sockets import SocketRouter
from .subscriptions import Subscription

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
        subscription=Subscription,
        types=EXTRA_TYPES,
        extensions=extensions_of(limits),
        config=StrawberryConfig(sort_schema=True, disable_field_suggestions=not limits.introspection),
    )


def make_router(settings: Settings) -> APIRouter:
    """The route of GraphQL over HTTP, server-sent events and sockets."""
    schema = make_schema(Limits.of(settings))
    return SocketRouter(schema, settings, path="/graphql", allow_queries_via_get=False, graphql_ide=None)
