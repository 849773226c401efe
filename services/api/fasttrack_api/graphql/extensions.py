"""What every operation passes on its way: its text is bounded, measured, and only then validated and run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar

from graphql import ASTValidationRule, DocumentNode, ExecutionResult, GraphQLError, GraphQLSchema
from strawberry.extensions import ParserCache, SchemaExtension
from strawberry.extensions.validation_cache import DEFAULT_MAXSIZE
from strawberry.schema.schema import validate_document
from strawberry.types import ExecutionContext

from .errors import LimitExceeded
from .measuring import Limits, measure

_MOST_STORED = 1000


def _validate(
    schema: GraphQLSchema, document: DocumentNode, rules: tuple[type[ASTValidationRule], ...], told: bool
) -> list[GraphQLError]:
    errors = validate_document(schema, document, rules)
    for error in [] if told else errors:
        error.message = without_hint(error.message)
    return errors


# What is stored apart from other texts, which anybody can send and push it out with.
_PARSE_STORED = ParserCache(_MOST_STORED).cached_parse_document
_VALIDATE = lru_cache(DEFAULT_MAXSIZE)(_validate)
_VALIDATE_STORED = lru_cache(_MOST_STORED)(_validate)


def is_told(execution: ExecutionContext) -> bool:
    """Whether the caller may have the schema described."""
    return bool(getattr(execution.context, "is_told_the_schema", True))


def without_hint(message: str) -> str:
    """The message without names like the one that was written."""
    return message.split(" Did you mean ")[0]


def _is_stored(execution: ExecutionContext) -> bool:
    return execution.query in getattr(execution.context, "stored", ())


class BoundedParsing(ParserCache):
    """Parses a text once, and none with more tokens than the limit."""

    limits: ClassVar[Limits] = Limits()

    def on_parse(self) -> Iterator[None]:
        """Before the text is parsed."""
        if _is_stored(self.execution_context):
            self.cached_parse_document = _PARSE_STORED
        self.execution_context.parse_options["max_tokens"] = self.limits.tokens
        yield from super().on_parse()


class MeasuredValidation(SchemaExtension):
    """Refuses what is too large before it is validated; validates a text once; tells the cost with the answer."""

    limits: ClassVar[Limits] = Limits()

    def __init__(self) -> None:
        self._cost: int | None = None

    def on_validate(self) -> Iterator[None]:
        """Before the operation is validated."""
        context = self.execution_context
        assert context.graphql_document is not None
        variables = context.variables if isinstance(context.variables, dict) else {}
        schema, told = context.schema._schema, is_told(context)
        limits = replace(self.limits, introspection=told)
        try:
            self._cost = measure(context.graphql_document, schema, context.operation_name, variables, limits)
        except LimitExceeded as refused:
            context.pre_execution_errors = [GraphQLError(refused.message, original_error=refused)]
            yield
            return
        validate = _VALIDATE_STORED if _is_stored(context) else _VALIDATE
        context.pre_execution_errors = validate(schema, context.graphql_document, context.validation_rules, told)
        yield

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
