"""What has changed in the GraphQL schema since it was released: graphql-core's findings, less what was deprecated in time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from graphql import (
    BreakingChangeType,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    find_breaking_changes,
    find_dangerous_changes,
    get_named_type,
)

from .deprecation import Change, may_go, wrong_marks

_REMOVED = re.compile(r"(?:Field |Enum value |Argument )?(\S+) was removed\.")
_REMOVALS = {
    BreakingChangeType.TYPE_REMOVED,
    BreakingChangeType.FIELD_REMOVED,
    BreakingChangeType.ARG_REMOVED,
    BreakingChangeType.VALUE_REMOVED_FROM_ENUM,
}


def changes(before: str, now: str, released: date, today: date) -> list[Change]:
    """Everything that a client may notice, breaking or not, from one schema to another."""
    old, new = build_schema(before), build_schema(now)
    gone = _Gone(old, today)
    found = []
    for change in find_breaking_changes(old, new):
        match = _REMOVED.fullmatch(change.description)
        if change.type not in _REMOVALS or match is None or not gone.may(match[1]):
            found.append(Change("GraphQL", change.description))
    found += [Change("GraphQL", c.description, is_breaking=False) for c in find_dangerous_changes(old, new)]
    return found + list(wrong_marks(dict(_marks(old)), dict(_marks(new)), released))


class _Gone:
    """What of a released schema may be gone today."""

    def __init__(self, schema: GraphQLSchema, today: date) -> None:
        self._today = today
        self._marks = dict(_marks(schema))
        self._uses: dict[str, set[tuple[str, str]]] = {}
        """Of each type: the places that name it, each with the type it is in."""
        for place, holder, of in _places(schema):
            self._uses.setdefault(of, set()).add((place, holder))

    def may(self, coordinate: str) -> bool:
        """A field, argument or enum value: when it was deprecated in time. A type: when all that leads to it may go."""
        if "." in coordinate:
            return may_go(self._marks.get(coordinate), self._today)
        return self._may_type(coordinate, frozenset())

    def _may_type(self, name: str, above: frozenset[str]) -> bool:
        uses = {(place, holder) for place, holder in self._uses.get(name, set()) if holder != name}
        return bool(uses) and all(
            self.may(place) or (holder not in above and self._may_type(holder, above | {name}))
            for place, holder in uses
        )


def _fields(schema: GraphQLSchema) -> Iterator[tuple[str, str, object]]:
    """Every field, input field and argument: its coordinate, the type it is in, and itself."""
    for name, kind in schema.type_map.items():
        if not name.startswith("__") and isinstance(
            kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType
        ):
            for field_name, field in kind.fields.items():
                yield f"{name}.{field_name}", name, field
                for argument_name, argument in getattr(field, "args", {}).items():
                    yield f"{name}.{field_name}({argument_name}:)", name, argument


def _places(schema: GraphQLSchema) -> Iterator[tuple[str, str, str]]:
    """Every place that names a type: its coordinate, the type it is in, and the type it names."""
    for coordinate, holder, field in _fields(schema):
        yield coordinate, holder, get_named_type(field.type).name  # type: ignore[attr-defined]


def _marks(schema: GraphQLSchema) -> Iterator[tuple[str, str]]:
    """Everything that is deprecated, by its coordinate, with the reason."""
    for coordinate, _, field in _fields(schema):
        if (reason := getattr(field, "deprecation_reason", None)) is not None:
            yield coordinate, reason
    for name, kind in schema.type_map.items():
        if isinstance(kind, GraphQLEnumType) and not name.startswith("__"):
            for value_name, value in kind.values.items():
                if value.deprecation_reason is not None:
                    yield f"{name}.{value_name}", value.deprecation_reason
