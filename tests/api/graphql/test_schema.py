"""The committed schema is the one that is served, and reads like documentation."""

from __future__ import annotations

from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    is_specified_directive,
    is_specified_scalar_type,
)

from fasttrack_api.graphql.measuring import Limits
from fasttrack_api.graphql.printing import as_text
from fasttrack_api.graphql.schema import make_schema

ROOT = Path(__file__).parents[3]


def test_the_committed_schema_is_what_the_types_print() -> None:
    assert (ROOT / "schema.graphql").read_text() == as_text(), "run make graphql"


def test_everything_has_a_description_and_whatever_may_be_null_says_when() -> None:
    schema = make_schema(Limits())._schema
    silent: list[str] = []
    vague: list[str] = []

    def look(place: str, description: str | None, may_be_null: bool = False) -> None:
        if not description or len(description) < 5:
            silent.append(place)
        elif may_be_null and "null" not in description.lower() and "Without" not in description:
            vague.append(place)

    for name, kind in schema.type_map.items():
        if name.startswith("__") or is_specified_scalar_type(kind):
            continue
        look(name, kind.description)
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in kind.fields.items():
                look(f"{name}.{field_name}", field.description, not str(field.type).endswith("!"))
                for argument_name, argument in field.args.items():
                    look(f"{name}.{field_name}({argument_name})", argument.description)
        elif isinstance(kind, GraphQLInputObjectType):
            for field_name, field in kind.fields.items():
                look(f"{name}.{field_name}", field.description, not str(field.type).endswith("!"))
        elif isinstance(kind, GraphQLEnumType):
            for value_name, value in kind.values.items():
                look(f"{name}.{value_name}", value.description)
    assert silent == []
    assert vague == []
    assert all(d.description for d in schema.directives if not is_specified_directive(d))


def test_each_mutation_takes_one_input_and_answers_errors_as_data() -> None:
    schema = make_schema(Limits())._schema
    assert schema.mutation_type is not None
    for name, field in schema.mutation_type.fields.items():
        assert list(field.args) == ["input"], name
        payload = schema.get_type(str(field.type).rstrip("!"))
        assert isinstance(payload, GraphQLObjectType)
        told = payload.fields["problems" if name == "validatePipeline" else "errors"]
        assert str(told.type) in ("[MutationError!]!", "[PipelineProblem!]!"), name
