"""What the clients ask is what the schema allows, and they stand on nothing but what their README says."""

from __future__ import annotations

import ast
import importlib.util
import re
from types import ModuleType

import pytest
from graphql import build_schema, parse, validate

from .conftest import EXAMPLES

CLIENTS = EXAMPLES / "clients"
SCHEMA = (EXAMPLES.parent / "schema.graphql").read_text()


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", CLIENTS / "typescript" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_operations_are_those_of_the_schema(generate: ModuleType) -> None:
    assert (CLIENTS / "typescript" / "operations.ts").read_text() == generate.operations_ts(), "run make clients"


def test_an_operation_is_typed_as_the_schema_says(generate: ModuleType) -> None:
    """Lists, nulls, enums, inputs and optional variables; a comment cannot be ended by a description."""
    schema = build_schema("""
        enum Colour { RED GREEN }
        input Wish { colour: Colour!  size: Int = 3  more: [Wish!] }
        "Ends */ early."
        type Thing { names: [String]! colour: Colour "When; null before." at: Float owner: Thing }
        type Query { thing(wish: Wish, id: ID!): Thing }
    """)
    text = "query Look($wish: Wish, $id: ID!) { thing(wish: $wish, id: $id) { names it: colour owner { at } } }"
    made = generate.Writer(schema).module(text)
    assert made.startswith(generate.HEAD)
    assert "export type Colour =\n" in made
    assert '  | "RED"' in made
    assert "  colour: Colour;\n  size?: number | null;\n  more?: Wish[] | null;\n" in made
    assert "  wish?: Wish | null;\n  id: string;\n" in made
    assert "    names: (string | null)[];\n    it: Colour | null;\n" in made
    assert "      /** When; null before. */\n      at: number | null;\n    } | null;\n  } | null;\n" in made
    assert "export const Look: Operation<LookVariables, LookData> = {\n  text: `query Look(" in made


def test_an_operation_that_the_schema_does_not_allow_is_refused_with_its_place(generate: ModuleType) -> None:
    with pytest.raises(SystemExit) as refused:
        generate.Writer(build_schema(SCHEMA)).module("query Who {\n  viewer { nmae }\n}")
    assert "Cannot query field 'nmae' on type 'Viewer'" in str(refused.value)
    assert "2:12" in str(refused.value)


def test_the_python_client_asks_what_the_schema_allows() -> None:
    tree = ast.parse((CLIENTS / "python" / "watch.py").read_text())
    texts = [
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and "{" in str(node.value.value)
    ]
    assert len(texts) == 3
    for text in texts:
        assert validate(build_schema(SCHEMA), parse(str(text))) == []


def test_the_clients_need_nothing_but_what_they_say() -> None:
    typescript = {
        name
        for file in (CLIENTS / "typescript").glob("*.ts")
        for name in re.findall(r'from "([^"]+)"', file.read_text())
    }
    assert typescript == {"node:process", "./client.ts", "./operations.ts"}
    assert "node:" not in (CLIENTS / "typescript" / "client.ts").read_text(), "it runs in browsers too"
    python = {
        name
        for file in (CLIENTS / "python").glob("*.py")
        for name in re.findall(r"^(?:import|from) (\w+)", file.read_text(), re.M)
    }
    assert python <= {"__future__", "client", "collections", "contextlib", "httpx", "json", "os", "random", "shutil",
                      "sys", "time", "typing"}  # fmt: skip
