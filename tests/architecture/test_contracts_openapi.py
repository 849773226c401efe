"""A change of the REST API that breaks a client is found; one that was announced a year before is let through."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from contracts import openapi_changes

RELEASED, TODAY = date(2026, 11, 24), date(2028, 1, 10)
Document = dict[str, Any]


def document() -> Document:
    """One operation with everything that a client can rely on."""
    job = {
        "type": "object",
        "required": ["id", "state"],
        "properties": {
            "id": {"type": "string"},
            "state": {"$ref": "#/components/schemas/State"},
            "note": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "origin": {"$ref": "#/components/schemas/Job"},
        },
    }
    wish = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "maxLength": 20, "minLength": 1},
            "state": {"$ref": "#/components/schemas/State"},
            "size": {"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
    }
    return {
        "paths": {
            "/jobs": {
                "post": {
                    "parameters": [
                        {"in": "query", "name": "dry", "schema": {"type": "boolean"}},
                        {"in": "header", "name": "Idempotency-Key", "schema": {"type": "string", "maxLength": 255}},
                    ],
                    "requestBody": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Wish"}},
                            "application/yaml": {"schema": {"type": "string"}},
                        }
                    },
                    "responses": {
                        "200": {
                            "content": {
                                "application/json": {"schema": {"$ref": "#/components/schemas/Job"}},
                                "text/csv": {"schema": {"type": "string"}},
                            }
                        },
                        "201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}}},
                        "404": {"content": {"application/problem+json": {}}},
                    },
                }
            }
        },
        "components": {
            "schemas": {"Job": job, "Wish": wish, "State": {"type": "string", "enum": ["ON", "OFF"]}},
        },
    }


def found(change: Callable[[Document], object], *, before: Document | None = None, today: date = TODAY) -> list[str]:
    before = before or document()
    now = copy.deepcopy(before)
    change(now)
    return [str(c) for c in openapi_changes.changes(before, now, RELEASED, today)]


def post(it: Document) -> Document:
    operation: Document = it["paths"]["/jobs"]["post"]
    return operation


def schema(it: Document, name: str) -> Document:
    made: Document = it["components"]["schemas"][name]
    return made


def fields(it: Document, name: str) -> Document:
    made: Document = schema(it, name)["properties"]
    return made


def answer(it: Document) -> Document:
    made: Document = post(it)["responses"]["200"]["content"]
    return made


NEW_PARAMETER = {"in": "query", "name": "must", "required": True, "schema": {}}
BREAKING: dict[str, tuple[Callable[[Document], object], list[str]]] = {
    "a path goes": (lambda it: it["paths"].pop("/jobs"), ["POST /jobs: it is gone"]),
    "a method goes": (lambda it: it["paths"]["/jobs"].pop("post"), ["POST /jobs: it is gone"]),
    "a parameter goes": (
        lambda it: post(it)["parameters"].pop(0),
        ["POST /jobs: the query parameter `dry` is gone"],
    ),
    "a parameter becomes necessary": (
        lambda it: post(it)["parameters"][0].update(required=True),
        ["POST /jobs: the query parameter `dry` has become necessary"],
    ),
    "a necessary parameter comes": (
        lambda it: post(it)["parameters"].append(NEW_PARAMETER),
        ["POST /jobs: the query parameter `must` is new and necessary"],
    ),
    "a parameter takes less": (
        lambda it: post(it)["parameters"][1]["schema"].update(maxLength=64),
        ["POST /jobs the header parameter `idempotency-key`: `maxLength` is 64 now, and was 255"],
    ),
    "a body becomes necessary": (
        lambda it: post(it)["requestBody"].update(required=True),
        ["POST /jobs: a body has become necessary"],
    ),
    "a body of another kind is not taken": (
        lambda it: post(it)["requestBody"]["content"].pop("application/yaml"),
        ["POST /jobs: it does not take application/yaml any more"],
    ),
    "no body is taken": (
        lambda it: post(it).pop("requestBody"),
        [f"POST /jobs: it does not take application/{kind} any more" for kind in ("json", "yaml")],
    ),
    "a field that is sent goes": (
        lambda it: fields(it, "Wish").pop("size"),
        ["POST /jobs body: the field `size` is gone"],
    ),
    "a field that is sent becomes necessary": (
        lambda it: schema(it, "Wish")["required"].append("size"),
        ["POST /jobs body: the field `size` has become necessary"],
    ),
    "a necessary field comes": (
        lambda it: (fields(it, "Wish").update(must={}), schema(it, "Wish")["required"].append("must")),
        ["POST /jobs body: the field `must` has become necessary"],
    ),
    "null is not taken": (
        lambda it: fields(it, "Wish").update(size={"type": "integer", "maximum": 9}),
        ["POST /jobs body .size: null is not taken any more"],
    ),
    "an upper bound comes down": (
        lambda it: fields(it, "Wish")["size"]["anyOf"][0].update(maximum=8),
        ["POST /jobs body .size: `maximum` is 8 now, and was 9"],
    ),
    "an upper bound comes": (
        lambda it: fields(it, "Wish")["tags"].update(maxItems=5),
        ["POST /jobs body .tags: `maxItems` is 5 now, and was not there"],
    ),
    "a lower bound goes up": (
        lambda it: fields(it, "Wish")["name"].update(minLength=2),
        ["POST /jobs body .name: `minLength` is 2 now, and was 1"],
    ),
    "a pattern comes": (
        lambda it: fields(it, "Wish")["name"].update(pattern="^a"),
        ["POST /jobs body .name: `pattern` is '^a' now, and was 'not there'"],
    ),
    "items take less": (
        lambda it: fields(it, "Wish")["tags"]["items"].update(enum=["a"]),
        ["POST /jobs body .tags[]: the value anything else is not taken any more"],
    ),
    "an enum is narrowed": (
        lambda it: schema(it, "State")["enum"].remove("OFF"),
        ["POST /jobs body .state: the value OFF is not taken any more"],
    ),
    "an answer's status goes": (
        lambda it: post(it)["responses"].pop("201"),
        ["POST /jobs: it does not answer 201 any more"],
    ),
    "an answer's media type goes": (
        lambda it: answer(it).pop("text/csv"),
        ["POST /jobs: it does not answer text/csv any more"],
    ),
    "a field that is answered goes": (
        lambda it: fields(it, "Job").pop("note"),
        ["POST /jobs → 200: the field `note` is gone"],
    ),
    "a field that is answered may be missing": (
        lambda it: schema(it, "Job")["required"].remove("state"),
        ["POST /jobs → 200: the field `state` may be missing now"],
    ),
    "a field that is answered may be null": (
        lambda it: fields(it, "Job").update(id={"type": ["string", "null"]}),
        ["POST /jobs → 200 .id: null may come now"],
    ),
    "a field that is answered changes its type": (
        lambda it: fields(it, "Job").update(id={"type": "integer"}),
        ["POST /jobs → 200 .id: integer may come now"],
    ),
}


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_a_client_is_found(name: str) -> None:
    change, says = BREAKING[name]
    assert found(change) == says


@pytest.mark.parametrize(
    "change",
    [
        lambda it: None,
        lambda it: it["paths"].update({"/more": {"get": {"responses": {}}}}),
        lambda it: post(it)["parameters"].append({"in": "query", "name": "more", "schema": {}}),
        lambda it: post(it)["parameters"][1].update(name="idempotency-key"),
        lambda it: fields(it, "Wish").update(more={"type": "string"}),
        lambda it: fields(it, "Job").update(more={"type": "string"}),
        lambda it: schema(it, "State")["enum"].append("SLOW"),
        lambda it: fields(it, "Job").update(note={"type": "string"}),
        lambda it: fields(it, "Wish")["name"].update(maxLength=40, minLength=0),
        lambda it: fields(it, "Wish").update(name={"type": ["string", "null"], "maxLength": 20, "minLength": 1}),
        lambda it: schema(it, "Wish")["required"].remove("name"),
        lambda it: schema(it, "Job")["required"].append("note"),
        lambda it: post(it)["responses"].pop("404"),
    ],
)
def test_what_breaks_nobody_is_not_worth_a_word(change: Callable[[Document], object]) -> None:
    assert found(change) == []


@pytest.mark.parametrize(("today", "is_allowed"), [(TODAY, True), (date(2028, 1, 9), False)])
def test_what_was_marked_more_than_a_year_ago_may_go(today: date, is_allowed: bool) -> None:
    """An operation, a parameter, and a field."""
    mark = {"deprecated": True, "x-deprecated-since": "2027-01-09"}
    for marked, change in (
        (post, lambda it: it["paths"].clear()),
        (lambda it: post(it)["parameters"][0], lambda it: post(it)["parameters"].pop(0)),
        (lambda it: fields(it, "Job")["note"], lambda it: fields(it, "Job").pop("note")),
    ):
        before = document()
        marked(before).update(mark)
        assert (found(change, before=before, today=today) == []) == is_allowed


def test_a_mark_has_a_date_that_is_not_before_the_release_without_it() -> None:
    assert found(lambda it: post(it).update(deprecated=True)) == [
        "POST /jobs: its mark has to begin with a date: `2026-11-24: use …`, and not 'no date'"
    ]
    undated = "its mark has to begin with a date: `2026-11-24: use …`, and not 'no date'"
    assert found(lambda it: post(it)["parameters"][0].update(deprecated=True)) == [f"POST /jobs query dry: {undated}"]
    assert found(lambda it: fields(it, "Job")["note"].update(deprecated=True)) == [f"Job.note: {undated}"]
    assert found(lambda it: post(it).update({"x-deprecated-since": "2026-01-01"})) == [
        "POST /jobs: it is deprecated since 2026-01-01, but was released on 2026-11-24 without a mark"
    ]
