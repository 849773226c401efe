"""What every operation passes on its way: its text is bounded, measured, and only then validated and run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from graphql import ExecutionResult, GraphQLError
from strawberry.extensions import ParserCache, SchemaExtension, ValidationCache
from strawberry.types import ExecutionContext

from .errors import LimitExceeded
from .measuring import Limits, measure

# Apart from those of other texts, which anybody can send and push them out with.
_OF_STORED = (ParserCache(1000).cached_parse_document, ValidationCache(1000).cached_validate_document)


def _is_stored(execution: ExecutionContext) -> bool:
    return execution.query in getattr(execution.context, "stored", ())


class BoundedParsing(ParserCache):
    """Parses a text once, and none with more tokens than the limit."""

    limits: ClassVar[Limits] = Limits()

    def on_parse(self) -> Iterator[None]:
        """Before the text is parsed."""
        if _is_stored(self.execution_context):
            self.cached_parse_document = _OF_STORED[0]
        self.execution_context.parse_options["max_tokens"] = self.limits.tokens
        yield from super().on_parse()


class MeasuredValidation(ValidationCache):
    """Refuses what is too large before it is validated; tells the cost with the answer."""

    limits: ClassVar[Limits] = Limits()

    def __init__(self) -> None:
        super().__init__()
        self._cost: int | None = None

    def on_validate(self) -> Iterator[None]:
        """Before the operation is validated."""
        context = self.execution_context
        assert context.graphql_document is not None
        variables = context.variables if isinstance(context.variables, dict) else {}
        schema = context.schema._schema
        try:
            self._cost = measure(context.graphql_document, schema, context.operation_name, variables, self.limits)
        except LimitExceeded as refused:
            context.pre_execution_errors = [GraphQLError(refused.message, original_error=refused)]
            yield
            return
        if _is_stored(context):
            self.cached_validate_document = _OF_STORED[1]
        yield from super().on_validate()

    def on_execute(self) -> Iterator[None]:
        """Before the operation is run: not at all if only its cost was asked for."""
        if (self.execution_context.operation_extensions or {}).get("costOnly") is True:
            self.execution_context.result = ExecutionResult(data=None)
        yield

    def get_results(self) -> dict[str, Any]:
        """What stands in the answer's `extensions`."""
        return {} if self._cost is None else {"cost": {"requested": self._cost, "limit": self.limits.cost}}


def extensions_of(limits: Limits) -> list[type[SchemaExtension]]:
    """The extensions of a schema with these limits."""
    return [
        type("BoundedParsing", (BoundedParsing,), {"limits": limits}),
        type("MeasuredValidation", (MeasuredValidation,), {"limits": limits}),
    ]
