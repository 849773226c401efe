"""The JSON Schema of pipeline files, for editors: completion, descriptions, types while writing.

It is generated from the models of `document`, with the words of older generations added, and kept in
`docs/pipeline.schema.json`. It says less than `load`: references, cycles and amounts are not for a schema.
"""

from __future__ import annotations

import json
from typing import Any

from .dialects import KINDS
from .document import Document


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a pipeline file of any generation; unknown keys are allowed everywhere."""
    schema = Document.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    for part in (schema, *definitions.values()):
        _loosen(part)
    _accept_older_words(schema, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "FastTrack pipeline",
        "description": "A graph of tasks that FastTrack runs as compute sessions.",
        **{key: value for key, value in schema.items() if key not in ("title", "description")},
    }


def _loosen(part: dict[str, Any]) -> None:
    """What a field may hold besides its proper type: nothing at all, and for a text an unquoted number or boolean."""
    for name, field in part.get("properties", {}).items():
        field.pop("title", None)
        if field.get("anyOf") == [{"type": "string"}, {"type": "null"}]:
            del field["anyOf"]
            field["type"] = "string"
        if field.get("type") == "string" and "enum" not in field:
            field["type"] = ["string", "number", "boolean", "null"]
        elif field.get("type") in ("object", "array") and name != "tasks":
            field["type"] = [field["type"], "null"]
        values = field.get("additionalProperties")
        if isinstance(values, dict) and values.get("type") == "string":
            values["type"] = ["string", "number", "boolean", "null"]


def _accept_older_words(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    task, owner = definitions["TaskSpec"]["properties"], definitions["Ownership"]["properties"]
    for part, pattern in (
        (task, "^[A-Za-z0-9_-]{1,64}$"),
        (definitions["ParamSpec"]["properties"], "^[A-Za-z_][A-Za-z0-9_]{0,63}$"),
    ):
        part["name"] = {"type": ["string", "number"], "pattern": pattern}
    task["type"] = {
        **task["type"],
        "enum": list(KINDS),
        "description": "What the task is, by its name of any generation.",
    }
    owner["domain_name"] = {"type": "string", "deprecated": True, "description": "The older name of `domain`."}
    owner["scope"]["enum"] = ["user", "project", "personal"]
    for key in ("resources", "resource_opts", "mounts"):
        schema["properties"][key] = {**task[key], "deprecated": True, "description": "The default of every task."}
    common = definitions["PipelineEnvironment"]["properties"]
    for key in ("scaling-group", "image"):
        common[key] = {"type": "string", "deprecated": True, "description": "The default of every task."}


def as_text() -> str:
    """The schema as it is kept in `docs/pipeline.schema.json`."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
