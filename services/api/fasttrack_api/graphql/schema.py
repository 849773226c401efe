"""The schema's assembly and the route that serves it.

Others add to it here: a root for subscriptions, and more mixins of `Query` and `Mutation` for more nouns.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any

import strawberry
from fastapi import APIRouter
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext
from strawberry.types.graphql import OperationType

from fasttrack.settings import Settings

from . import errors as telling
from .context import DEADLINE
from .extensions import extensions_of, is_told, without_hint
from .measuring import Limits
from .mutations import Mutation
from .queries import Query
from .sockets import SocketRouter
from .subscriptions import Subscription

_GRACE = 0.5  # seconds for the steps of an operation to say themselves that its time is over
EXTRA_TYPES: tuple[type, ...] = ()
"""Types that are reached by an interface only."""


class Schema(strawberry.Schema):
    """Answers errors by their codes, and logs those that are ours."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Called with every list of errors before it is answered."""
        if execution_context is not None and not is_told(execution_context):
            for error in errors:
                error.message = without_hint(error.message)
        telling.tell(errors)

    async def _execute_operation(self, execution_context: ExecutionContext, *others: Any) -> Any:
        """Run a query or a mutation within its time: its steps end with it, and so does what waits for anything else.

        This is where HTTP, server-sent events and sockets meet; what follows is not public in strawberry, and
        `test_limits.py` holds it.
        """
        seconds = execution_context.context.seconds
        until = asyncio.get_running_loop().time() + seconds
        before = DEADLINE.set(until)
        try:
            async with asyncio.timeout_at(until + _GRACE):
                return await super()._execute_operation(execution_context, *others)
        except TimeoutError:
            if execution_context.operation_type is OperationType.MUTATION:
                raise telling.MaybeDone from None
            raise telling.TookTooLong(f"it took longer than {seconds:g} seconds; ask for less at once") from None
        finally:
            DEADLINE.reset(before)


@lru_cache(maxsize=16)
def make_schema(limits: Limits) -> Schema:
    """The schema with these limits; the same object for the same limits."""
    return Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=EXTRA_TYPES,
        extensions=extensions_of(limits),
        config=StrawberryConfig(sort_schema=True),
    )


def make_router(settings: Settings) -> APIRouter:
    """The route of GraphQL over HTTP, server-sent events and sockets."""
    schema = make_schema(Limits.of(settings))
    return SocketRouter(schema, settings, path="/graphql", allow_queries_via_get=False, graphql_ide=None)
