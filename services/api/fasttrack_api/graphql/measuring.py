"""How large an operation is, told from its text and variables before anything is validated or run.

Validation compares the fields of a selection in pairs, and execution does what is asked: both are kept from a request
that is small as text and large as work. Fragments are measured once each, so this is linear in the text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
)

from fasttrack.settings import Settings

from .errors import LimitExceeded

DEFAULT_PAGE = 50
_MOST_FIELDS = 1500  # of one operation, fragments expanded
_MOST_REPEATS = 100  # of a field under the same name: validation compares them in pairs
_MOST_FRAGMENTS = 60
_INTROSPECTION_DEPTH = 16
_ROOTS = {"query": "query_type", "mutation": "mutation_type", "subscription": "subscription_type"}


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one request may be."""

    tokens: int = 2000
    depth: int = 12
    aliases: int = 30
    roots: int = 20
    cost: int = 10_000
    page: int = 100
    introspection: bool = True
    """Whether the schema is told; that depends on who asks."""

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Those of the settings, for somebody whom the schema is told."""
        return cls(
            tokens=settings.api_query_tokens,
            depth=settings.api_query_depth,
            aliases=settings.api_query_aliases,
            roots=settings.api_query_roots,
            cost=settings.api_query_cost,
            page=settings.api_page_size,
        )


@dataclass(slots=True)
class _Size:
    depth: int = 0
    cost: int = 0
    fields: int = 0
    aliases: int = 0
    names: Counter[str] = field(default_factory=Counter)
    """How often each response name stands in this one selection, fragments expanded."""
    repeats: int = 0

    def take(self, other: _Size) -> None:
        """Beside what is here, in the same selection."""
        self.depth = max(self.depth, other.depth)
        self.cost += other.cost
        self.fields += other.fields
        self.aliases += other.aliases
        self.names.update(other.names)
        self.repeats += other.repeats


def measure(
    document: DocumentNode, schema: GraphQLSchema, operation: str | None, variables: Mapping[str, Any], limits: Limits
) -> int:
    """The cost of the operation: how many objects it may answer, each with the weight of its field.

    :raises LimitExceeded: it, or another operation of the document, is larger than the limits allow.
    """
    fragments = sum(isinstance(d, FragmentDefinitionNode) for d in document.definitions)
    if fragments > _MOST_FRAGMENTS:
        raise _exceeded("WIDE", f"{fragments} fragments; at most {_MOST_FRAGMENTS} may be defined at once")
    costs = []
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            cost = _Measure(document, schema, definition, variables, limits).cost()
            if operation is None or (definition.name is not None and definition.name.value == operation):
                costs.append(cost)
    return costs[0] if costs else 0


class _Measure:
    def __init__(
        self,
        document: DocumentNode,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
        limits: Limits,
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._limits = limits
        self._fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self._measured: dict[str, _Size | None] = {}
        self._inlined = 0
        defaults = {d.variable.name.value: _number(d.default_value) for d in operation.variable_definitions or ()}
        self._variables = {name: variables.get(name, default) for name, default in defaults.items()}

    def cost(self) -> int:
        limits = self._limits
        root = getattr(self._schema, _ROOTS[self._operation.operation.value])
        try:
            size = self._selection(self._operation.selection_set, root, 1)
        except RecursionError:
            raise _exceeded("DEEP", "the request is nested too deeply") from None
        roots = sum(size.names.values())
        if roots > limits.roots:
            raise _exceeded("WIDE", f"{roots} fields at the top; at most {limits.roots} may be asked for at once")
        if size.aliases > limits.aliases:
            raise _exceeded("WIDE", f"{size.aliases} aliases; at most {limits.aliases} may be used at once")
        if size.repeats > _MOST_REPEATS:
            raise _exceeded("WIDE", f"fields are repeated {size.repeats} times; at most {_MOST_REPEATS} may be")
        if size.cost > limits.cost:
            raise _exceeded(
                "EXPENSIVE",
                f"the cost is {_figure(size.cost)}, and may be {limits.cost}: ask for shorter pages, or for less of each",
            )
        return size.cost

    def _selection(self, node: SelectionSetNode, parent: GraphQLNamedType | None, depth: int) -> _Size:
        size = _Size(depth=1)
        for selection in node.selections:
            match selection:
                case FieldNode():
                    part = self._field(selection, parent, depth)
                case InlineFragmentNode():
                    on = parent
                    if selection.type_condition is not None:
                        on = self._schema.get_type(selection.type_condition.name.value)
                    self._inlined += 1
                    if self._inlined > self._limits.depth:
                        raise _exceeded("DEEP", f"fragments stand more than {self._limits.depth} deep in one another")
                    part = self._selection(selection.selection_set, on, depth)
                    self._inlined -= 1
                case FragmentSpreadNode():
                    part = self._fragment(selection.name.value)
                case _:
                    continue
            size.take(part)
            if size.fields > _MOST_FIELDS:
                raise _exceeded("WIDE", f"more than {_MOST_FIELDS} fields, with those of its fragments")
            if depth + size.depth - 1 > self._allowed_depth(parent):
                limit = self._limits.depth
                raise _exceeded("DEEP", f"fields are nested more than {limit} deep, which is the most")
        size.repeats += sum(count - 1 for count in size.names.values())
        return size

    def _allowed_depth(self, parent: GraphQLNamedType | None) -> int:
        is_ours = parent is None or not parent.name.startswith("__")
        return self._limits.depth if is_ours else max(self._limits.depth, _INTROSPECTION_DEPTH)

    def _fragment(self, name: str) -> _Size:
        if name in self._measured:
            known = self._measured[name]
            if known is None:
                raise _exceeded("DEEP", f"fragment {name[:60]} contains itself")
            return known
        definition = self._fragments.get(name)
        if definition is None:
            return _Size()  # validation says so
        self._measured[name] = None
        on = self._schema.get_type(definition.type_condition.name.value)
        size = self._selection(definition.selection_set, on, 1)
        # Repeats inside it were counted; those with its neighbours are counted where it is spread.
        self._measured[name] = size
        return size

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None, depth: int) -> _Size:
        name = node.name.value
        size = _Size(depth=1, fields=1, aliases=node.alias is not None)
        size.names[node.alias.value if node.alias else name] = 1
        for argument in node.arguments or ():
            _require_shallow(argument.value, self._limits.depth)
        if name in ("__schema", "__type"):
            if not self._limits.introspection:
                raise LimitExceeded("INTROSPECTION_OFF", "this server does not describe its schema to you")
            kind: GraphQLNamedType | None = self._schema.get_type("__Schema" if name == "__schema" else "__Type")
            definition = None
        else:
            has_fields = isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
            definition = parent.fields.get(name) if has_fields else None  # type: ignore[union-attr]
            kind = get_named_type(definition.type) if definition is not None else None
        count = self._count(node, definition)
        weight = _metadata(definition).get("cost", 0 if kind is None or is_leaf_type(kind) else 1)
        is_introspection = kind is not None and kind.name.startswith("__")
        size.cost = 0 if is_introspection else weight
        if node.selection_set is not None:
            inner = self._selection(node.selection_set, kind, depth + 1)
            size.depth = inner.depth + 1
            size.fields += inner.fields
            size.aliases += inner.aliases
            size.repeats += inner.repeats
            size.cost += 0 if is_introspection else inner.cost * count
        if is_introspection:
            size.depth = 1  # it has a bound of its own
        if definition is not None and is_list_type(get_nullable_type(definition.type)):
            size.cost += weight * (count - 1)
        return size

    def _count(self, node: FieldNode, definition: GraphQLField | None) -> int:
        """How many objects stand under the field: the page of a connection, what a list is said to hold, or one."""
        if definition is None:
            return 1
        if "first" in definition.args:
            asked = [self._asked(a.value) for a in node.arguments or () if a.name.value in ("first", "last")]
            given = [n for n in asked if n is not None]
            for number in given:
                require_page(number, self._limits.page)
            return max([*given, 0]) or min(DEFAULT_PAGE, self._limits.page)
        if is_list_type(get_nullable_type(definition.type)):
            return int(_metadata(definition).get("size", 10)) if not _is_page_part(definition) else 1
        return 1

    def _asked(self, value: ValueNode) -> int | None:
        if isinstance(value, VariableNode):
            given = self._variables.get(value.name.value)
            return given if isinstance(given, int) and not isinstance(given, bool) else None
        return _number(value)


def require_page(number: int, most: int) -> None:
    """Pass if a page may be of that size. :raises LimitExceeded: it may not."""
    if not 1 <= number <= most:
        raise LimitExceeded("PAGE_SIZE", f"a page has 1 to {most} items; ask for more page by page")


def _exceeded(what: str, message: str) -> LimitExceeded:
    return LimitExceeded(f"QUERY_TOO_{what}", message)


def _figure(number: int) -> str:
    return str(number) if number < 10**12 else "more than 10^12"


def _number(value: ValueNode | None) -> int | None:
    if isinstance(value, IntValueNode) and len(value.value) < 20:
        return int(value.value)
    if value is None or isinstance(value, NullValueNode):
        return None
    return 10**9 if isinstance(value, IntValueNode) else None


def _metadata(definition: GraphQLField | None) -> Mapping[str, Any]:
    if definition is None:
        return {}
    ours = definition.extensions.get("strawberry-definition")
    return getattr(ours, "metadata", None) or {}


def _is_page_part(definition: GraphQLField) -> bool:
    return bool(_metadata(definition).get("page"))


def _require_shallow(value: ValueNode, most: int) -> None:
    waiting = [(value, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > most:
            raise _exceeded("DEEP", f"a value is nested more than {most} deep, which is the most")
        waiting += [(inner, depth + 1) for inner in getattr(node, "values", None) or ()]
        waiting += [(inner.value, depth + 1) for inner in getattr(node, "fields", None) or ()]
