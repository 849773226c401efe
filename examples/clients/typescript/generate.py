"""Print operations.ts: each operation of operations.graphql as a value that carries its types, from schema.graphql.

    make clients

An operation that the schema does not allow is refused with its place. Fragments are not known here: for more than an
example, take the generator of your GraphQL client, and give it the same two files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent, indent

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    get_named_type,
    parse,
    print_ast,
    type_from_ast,
    validate,
)

HERE = Path(__file__).parent
SCHEMA = HERE.parents[2] / "schema.graphql"
HEAD = """\
// Written by `make clients` from schema.graphql and operations.graphql: do not edit.

import type { Operation } from "./client.ts";
"""
SCALARS = {"ID": "string", "String": "string", "DateTime": "string", "Boolean": "boolean", "Int": "number"}
SCALARS |= {"Float": "number", "JSON": "unknown"}


class Writer:
    """Writes operations of one schema, and remembers which of its enums and inputs they need."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._named: dict[str, str] = {}

    def module(self, operations: str) -> str:
        """The whole of operations.ts. :raises SystemExit: an operation that the schema does not allow."""
        document = parse(operations)
        if errors := validate(self._schema, document):
            raise SystemExit("\n\n".join(str(error) for error in errors))
        found = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
        written = [part for operation in found for part in self._operation(operation)]
        return "\n".join([HEAD, *sorted(self._named.values()), *written])

    def _operation(self, operation: OperationDefinitionNode) -> Iterator[str]:
        assert operation.name is not None, "an operation needs a name"
        name = operation.name.value
        root = self._schema.get_root_type(operation.operation)
        assert root is not None
        variables = []
        for variable in operation.variable_definitions or ():
            of = type_from_ast(self._schema, variable.type)
            optional = "" if isinstance(of, GraphQLNonNull) else "?"
            variables.append(f"  {variable.variable.name.value}{optional}: {self._type(of)};\n")
        yield f"export interface {name}Variables {{\n{''.join(variables)}}}\n"
        yield f"export interface {name}Data {self._object(root, operation.selection_set)}\n"
        text = print_ast(operation).replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")
        yield f"export const {name}: Operation<{name}Variables, {name}Data> = {{\n  text: `{text}`,\n}};\n"

    def _object(self, of: GraphQLObjectType, selected: SelectionSetNode) -> str:
        fields = []
        for node in selected.selections:
            assert isinstance(node, FieldNode), "fragments are not known here"
            field = of.fields[node.name.value]
            name = (node.alias or node.name).value
            fields.append(f"{_comment(field.description)}{name}: {self._type(field.type, node.selection_set)};\n")
        return f"{{\n{indent(''.join(fields), '  ')}}}"

    def _type(self, of: object, selected: SelectionSetNode | None = None) -> str:
        if isinstance(of, GraphQLNonNull):
            return self._bare(of.of_type, selected)
        return f"{self._bare(of, selected)} | null"

    def _bare(self, of: object, selected: SelectionSetNode | None) -> str:
        """The type without `null`."""
        if isinstance(of, GraphQLList):
            inner = self._type(of.of_type, selected)
            return f"({inner})[]" if inner.endswith("| null") else f"{inner}[]"
        named = get_named_type(of)  # type: ignore[call-overload]
        if isinstance(named, GraphQLObjectType):
            assert selected is not None
            return self._object(named, selected)
        if isinstance(named, GraphQLEnumType | GraphQLInputObjectType):
            self._remember(named)
            return str(named.name)
        return SCALARS[named.name]

    def _remember(self, named: GraphQLEnumType | GraphQLInputObjectType) -> None:
        if named.name in self._named:
            return
        self._named[named.name] = ""  # an input may hold itself
        if isinstance(named, GraphQLEnumType):
            body = f"type {named.name} =\n" + "\n".join(f'  | "{value}"' for value in named.values) + ";\n"
        else:
            fields = [
                f"{_comment(f.description)}{n}{'' if isinstance(f.type, GraphQLNonNull) else '?'}: {self._type(f.type)};\n"
                for n, f in named.fields.items()
            ]
            body = f"interface {named.name} {{\n{indent(''.join(fields), '  ')}}}\n"
        self._named[named.name] = f"{_comment(named.description)}export {body}"


def _comment(description: str | None) -> str:
    return f"/** {' '.join(dedent(description).split()).replace('*/', '* /')} */\n" if description else ""


def operations_ts() -> str:
    """What operations.ts has to hold."""
    return Writer(build_schema(SCHEMA.read_text())).module((HERE / "operations.graphql").read_text())


if __name__ == "__main__":
    print(operations_ts(), end="")
