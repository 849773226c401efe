"""`expectedRevision` of limits, secrets and templates: whoever was overtaken gets a CONFLICT, and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.graphql.conftest import Asking
from tests.factories import a_file

POOL = {"scope": "POOL", "name": "gpu"}
STORED = """query($id: ID!) { project(id: $id) { limits { scope name slots revision } secrets { name revision }
            pipelines { nodes { template { scope revision } } } } }"""
CHANGES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], str]] = {
    "limit": ("setLimit", "limit", {**POOL, "slots": 1}, {**POOL, "slots": 2}, "removeLimit"),
    "secret": ("putSecret", "secret", {"name": "A", "value": "x"}, {"name": "A", "value": "y"}, "deleteSecret"),
    "template": ("shareTemplate", "template", {"scope": "PROJECT"}, {"scope": "EVERYONE"}, "unshareTemplate"),
}


@pytest.mark.parametrize("noun", CHANGES)
async def test_a_change_goes_over_the_revision_that_was_seen_and_over_no_other(ask: Asking, noun: str) -> None:
    set_it, field, one, other, remove = CHANGES[noun]
    yaml = a_file({"a": ""}, name="demo")
    made = await ask.do("publishPipeline", "pipeline { id }", projectId=ask.project_id, yaml=yaml)
    owner = {"pipelineId": made["pipeline"]["id"]} if noun == "template" else {"projectId": ask.project_id}
    named = owner | {key: one[key] for key in ("scope", "name") if key in one and noun != "template"}

    async def change(input: dict[str, Any], expected: int | None) -> Any:
        return await ask.do(set_it, f"{field} {{ revision }}", **owner, **input, expectedRevision=expected)

    async def codes(input: dict[str, Any], expected: int) -> list[tuple[str, bool]]:
        payload = await change(input, expected)
        assert payload[field] is None
        return [(e["code"], e["retryable"]) for e in payload["errors"]]

    async def stored() -> Any:
        return await ask(STORED, id=ask.project_id)

    assert await codes(one, 7) == [("CONFLICT", False)]
    first = (await change(one, 0))[field]["revision"]
    second = (await change(other, first))[field]["revision"]
    assert second > first
    before = await stored()
    for seen in (0, first, second + 1, -1):
        assert await codes(one, seen) == [("CONFLICT", False)], seen
    for seen in (0, first):
        refused = await ask.do(remove, "__typename", **named, expectedRevision=seen)
        assert [e["code"] for e in refused["errors"]] == ["CONFLICT"], seen
    assert await stored() == before
    third = (await change(one, None))[field]["revision"]
    assert (await ask.do(remove, "__typename", **named, expectedRevision=third))["errors"] == []
    assert await codes(one, third) == [("CONFLICT", False)]
    again = (await change(one, 0))[field]["revision"]
    assert again > third
    assert str(again) in str(await stored())


async def test_a_template_that_comes_with_fasttrack_has_no_revision(ask: Asking) -> None:
    found = (await ask("{ templates(first: 50) { nodes { isShipped revision } } }"))["templates"]["nodes"]
    assert [(t["isShipped"], t["revision"]) for t in found] == [(True, None)] * 4
