"""The description of the API is whole, is the one that is committed, and the pages need nobody else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fasttrack_api import openapi
from fasttrack_api.pages import STATIC

ROOT = Path(__file__).parents[3]


def operations(app: FastAPI) -> list[tuple[str, dict[str, Any]]]:
    paths = openapi.document(app)["paths"]
    return [(f"{method} {path}", item) for path, methods in paths.items() for method, item in methods.items()]


def test_the_committed_description_is_that_of_the_routes(app: FastAPI) -> None:
    assert (ROOT / "docs" / "openapi.json").read_text() == openapi.as_text(app), "run make openapi"


async def test_it_is_served_as_it_is_committed(client: httpx.AsyncClient) -> None:
    served = (await client.get("/api/v1/openapi.json")).json()
    assert served == json.loads((ROOT / "docs" / "openapi.json").read_text())
    assert served["openapi"] == "3.1.0"


def test_every_operation_says_what_it_does_and_how_it_fails(app: FastAPI) -> None:
    found = operations(app)
    assert len(found) >= 30
    schemas = openapi.document(app)["components"]["schemas"]
    for name, item in found:
        assert item["summary"], name
        assert len(item["description"]) > 20, name
        assert item["tags"], name
        for status, answer in item["responses"].items():
            content = answer.get("content", {})
            if status >= "400" and name != "get /readyz":
                assert list(content) == ["application/problem+json"], (name, status)
            for kind, media in content.items():
                if status < "300" and kind == "application/json":
                    assert _has_example(media["schema"], schemas), (name, status)
        for kind, media in item.get("requestBody", {}).get("content", {}).items():
            assert "examples" in media or _has_example(media["schema"], schemas), (name, kind)
        assert all(p.get("description") for p in item.get("parameters", [])), name


def _has_example(schema: dict[str, Any], schemas: dict[str, Any]) -> bool:
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "examples" in schema:
        return True
    inner = [schema.get("items"), (schema.get("properties") or {}).get("items"), *schema.get("anyOf", [])]
    return any(_has_example(part, schemas) for part in inner if part)


@pytest.mark.parametrize("page", ["/docs", "/graphql/ui"])
async def test_a_page_loads_everything_from_here(client: httpx.AsyncClient, page: str) -> None:
    answer = await client.get(page)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "://" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert len(loaded) >= 4
    assert not re.search(r"<script>|<script [^>]*>[^<]|style=|on\w+=", answer.text), (
        "nothing that the policy would stop"
    )
    for address in loaded:
        if address != "data:,":
            assert address.startswith("/static/")
            file = await client.get(address)
            assert (file.status_code, file.headers["x-content-type-options"]) == (200, "nosniff")
            assert file.headers["content-type"].partition(";")[0] in ("text/javascript", "text/css")
            assert b"sourceMappingURL=" not in file.content[-500:]


async def test_the_top_leads_to_the_documentation(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_every_file_of_others_comes_with_its_licence() -> None:
    listed = (STATIC / "README.md").read_text()
    for file in STATIC.rglob("*"):
        if file.is_file() and file.name != "README.md":
            assert f"`{file.relative_to(STATIC)}`" in listed, file
    assert len((STATIC / "swagger-ui" / "LICENSE").read_text()) > 10_000
    for name in ("graphiql", "react", "react-dom"):
        assert "MIT License" in (STATIC / "graphiql" / f"LICENSE-{name}").read_text()
