"""Every operation is called with what its description allows and with what it does not: none of them fails on our side, and
each answers as it says it does.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as bounds
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, openapi
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fasttrack.db import Database
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack_api.server import address_of, listen, serving
from tests.api.rest.test_access import a_world

load_all_checks()
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
EXAMPLES = 6


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", list(GenerationMode))
async def test_no_call_that_a_client_can_make_is_a_fault_of_ours(
    app: FastAPI, settings: Settings, database: Database, project: ProjectId, mode: GenerationMode
) -> None:
    names = await a_world(database, project)
    (settings.state_dir / "local").mkdir(parents=True)
    (settings.state_dir / "local" / "site").write_text(f"{uuid4()}\n")  # a local backend has run here
    schema = openapi.from_dict(app.openapi())
    listening = listen("127.0.0.1", 0)
    async with serving(app, settings, listening):
        called = await asyncio.to_thread(_call_all, schema, address_of(listening), names, mode)
    assert called >= 60


def _call_all(schema: Any, address: str, names: dict[str, str], mode: GenerationMode) -> int:
    called = 0

    def check(case: Case) -> None:
        nonlocal called
        called += 1
        if isinstance(case.query, dict):
            case.query.pop("follow", None)  # it would wait for a task that nobody runs
        response = case.call(base_url=address)
        case.validate_response(response, checks=CHECKS)

    for found in schema.get_all_operations():
        operation = found.ok()
        parameters = {name: names[name] for name in names if "{" + name + "}" in operation.path}
        own = {"path_parameters": parameters} if parameters else {}
        # With ids of things that are there, so that calls get past the first look; and with any.
        for given_path in ({}, own) if own else ({},):
            try:
                strategy = operation.as_strategy(mode, **given_path)
                bounds(
                    max_examples=EXAMPLES,
                    derandomize=True,
                    deadline=None,
                    database=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )(given(case=strategy)(check))()
            except Unsatisfiable:  # nothing about it can be wrong
                continue
    return called
