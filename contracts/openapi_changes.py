"""What has changed in the OpenAPI description since it was released, as far as it breaks a client.

What a client sends must stay welcome: no operation, parameter, field, value or media type goes, nothing becomes necessary or
narrower. What a client gets must stay what it was: no field goes or becomes optional, no type is added to what a field may
be. Values of enums that are answered may be added, as the contract says. `x-deprecated-since` on an operation, a parameter or
a field lets it go a year later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from .deprecation import Change, may_go, wrong_marks

Node = Mapping[str, Any]
METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
MARK = "x-deprecated-since"
_UPPER = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
_LOWER = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")


def changes(before: Node, now: Node, released: date, today: date) -> list[Change]:
    """Everything that breaks a client, from one description to another, and marks that are not as they have to be."""
    found = list(_Comparison(before, now, today).operations())
    return found + list(wrong_marks(dict(_marks(before)), dict(_marks(now)), released))


@dataclass
class _Shape:
    """What a schema allows, with references followed and alternatives put together."""

    types: set[str] = field(default_factory=set)
    values: set[str] | None = None
    """`None`: any."""
    properties: dict[str, Node] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    items: Node | None = None
    extra: Node | None = None
    bounds: dict[str, Any] = field(default_factory=dict)


class _Comparison:
    def __init__(self, before: Node, now: Node, today: date) -> None:
        self._before, self._now, self._today = before, now, today
        self._seen: set[tuple[str, str, bool]] = set()

    def operations(self) -> Iterator[Change]:
        for path, methods in self._before["paths"].items():
            for method in METHODS:
                if method in methods:
                    where = f"{method.upper()} {path}"
                    new = self._now["paths"].get(path, {}).get(method)
                    if new is not None:
                        yield from self._operation(where, methods[method], new)
                    elif not self._may_go(methods[method]):
                        yield Change(where, "it is gone")

    def _operation(self, where: str, old: Node, new: Node) -> Iterator[Change]:
        yield from self._parameters(where, old, new)
        yield from self._request(where, old.get("requestBody"), new.get("requestBody"))
        for status, answer in old.get("responses", {}).items():
            if status >= "300":
                continue
            there = new["responses"].get(status)
            if there is None:
                yield Change(where, f"it does not answer {status} any more")
                continue
            for media, content in answer.get("content", {}).items():
                if media not in there.get("content", {}):
                    yield Change(where, f"it does not answer {media} any more")
                else:
                    schemas = content.get("schema", {}), there["content"][media].get("schema", {})
                    yield from self._schemas(f"{where} → {status}", *schemas, is_sent=False)

    def _parameters(self, where: str, old: Node, new: Node) -> Iterator[Change]:
        before, now = _by_name(self._before, old), _by_name(self._now, new)
        for key, parameter in before.items():
            there = now.get(key)
            name = f"the {key[0]} parameter `{key[1]}`"
            if there is None:
                if not self._may_go(parameter):
                    yield Change(where, f"{name} is gone")
                continue
            if there.get("required") and not parameter.get("required"):
                yield Change(where, f"{name} has become necessary")
            schemas = parameter.get("schema", {}), there.get("schema", {})
            yield from self._schemas(f"{where} {name}", *schemas, is_sent=True)
        for key in now.keys() - before.keys():
            if now[key].get("required"):
                yield Change(where, f"the {key[0]} parameter `{key[1]}` is new and necessary")

    def _request(self, where: str, old: Node | None, new: Node | None) -> Iterator[Change]:
        if new is not None and new.get("required") and not (old or {}).get("required"):
            yield Change(where, "a body has become necessary")
        if old is None:
            return
        for media, content in old.get("content", {}).items():
            there = (new or {}).get("content", {}).get(media)
            if there is None:
                yield Change(where, f"it does not take {media} any more")
            else:
                schemas = content.get("schema", {}), there.get("schema", {})
                yield from self._schemas(f"{where} body", *schemas, is_sent=True)

    def _schemas(self, where: str, old: Node, new: Node, *, is_sent: bool) -> Iterator[Change]:
        pair = (str(old.get("$ref")), str(new.get("$ref")), is_sent)
        if "$ref" in old and "$ref" in new:
            if pair in self._seen:
                return  # compared already; a schema may hold itself
            self._seen.add(pair)
        before, now = _shape(self._before, old), _shape(self._now, new)
        narrow, wide = (now, before) if is_sent else (before, now)
        if narrow.types and (lost := wide.types - narrow.types if wide.types else {"anything"}):
            verb = "is not taken any more" if is_sent else "may come now"
            yield Change(where, f"{', '.join(sorted(lost))} {verb}")
        if is_sent and now.values is not None and (gone := (before.values or {"anything else"}) - now.values):
            yield Change(where, f"the value {', '.join(sorted(gone))} is not taken any more")
        if is_sent:
            yield from _narrowed(where, before.bounds, now.bounds)
        yield from self._properties(where, before, now, is_sent=is_sent)
        for part in ("items", "extra"):
            parts = getattr(before, part), getattr(now, part)
            if parts[0] is not None and parts[1] is not None:
                yield from self._schemas(f"{where}[]", *parts, is_sent=is_sent)

    def _properties(self, where: str, old: _Shape, new: _Shape, *, is_sent: bool) -> Iterator[Change]:
        for name, schema in old.properties.items():
            there = new.properties.get(name)
            if there is not None:
                yield from self._schemas(f"{where} .{name}", schema, there, is_sent=is_sent)
            elif not self._may_go(schema):
                yield Change(where, f"the field `{name}` is gone")
        if is_sent:
            for name in sorted(new.required - old.required):
                yield Change(where, f"the field `{name}` has become necessary")
        else:
            for name in sorted((old.required - new.required) & new.properties.keys()):
                yield Change(where, f"the field `{name}` may be missing now")

    def _may_go(self, node: Node) -> bool:
        return may_go(_mark(node), self._today)


def _narrowed(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in _UPPER:
        if name in new and (name not in old or new[name] < old[name]):
            yield Change(where, f"`{name}` is {new[name]} now, and was {old.get(name, 'not there')}")
    for name in _LOWER:
        if name in new and (name not in old or new[name] > old[name]) and not (name not in old and new[name] == 0):
            yield Change(where, f"`{name}` is {new[name]} now, and was {old.get(name, 'not there')}")
    for name in ("pattern", "format"):
        if name in new and new[name] != old.get(name):
            yield Change(where, f"`{name}` is {new[name]!r} now, and was {old.get(name, 'not there')!r}")


def _shape(document: Node, schema: Node) -> _Shape:
    """What a schema allows. Alternatives are put together: what any of them allows is allowed."""
    schema = _followed(document, schema)
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        return _together([_shape(document, part) for part in alternatives])
    shape = _Shape()
    kind = schema.get("type")
    shape.types = {kind} if isinstance(kind, str) else set(kind or ())
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    shape.values = None if values is None else {str(value) for value in values}
    shape.properties = dict(schema.get("properties", {}))
    shape.required = set(schema.get("required", ()))
    shape.items = schema.get("items")
    extra = schema.get("additionalProperties")
    shape.extra = extra if isinstance(extra, Mapping) else None
    shape.bounds = {name: schema[name] for name in (*_UPPER, *_LOWER, "pattern", "format") if name in schema}
    return shape


def _together(parts: list[_Shape]) -> _Shape:
    made = _Shape(types=set().union(*(part.types for part in parts)))
    if any(not part.types for part in parts):
        made.types = set()  # one of them is open
    said = [part for part in parts if part.types != {"null"}]
    if said and all(part.values is not None for part in said):
        made.values = set().union(*(part.values or set() for part in said))
    objects = [part for part in said if part.properties]
    for part in objects:
        made.properties = {**part.properties, **made.properties}
    if objects:
        made.required = set.intersection(*(part.required for part in objects))
    made.items = next((part.items for part in said if part.items is not None), None)
    made.extra = next((part.extra for part in said if part.extra is not None), None)
    if len(said) == 1:
        made.bounds = said[0].bounds
    return made


def _followed(document: Node, schema: Node) -> Node:
    while "$ref" in schema:
        found: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        schema = found
    return schema


def _by_name(document: Node, operation: Node) -> dict[tuple[str, str], Node]:
    parameters = [_followed(document, parameter) for parameter in operation.get("parameters", ())]
    return {(parameter["in"], parameter["name"].lower()): parameter for parameter in parameters}


def _mark(node: Node) -> str | None:
    """The mark of something deprecated, in the form of GraphQL's: with the date in front."""
    return f"{node[MARK]}: deprecated" if MARK in node else ("no date" if node.get("deprecated") else None)


def _marks(document: Node) -> Iterator[tuple[str, str]]:
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                yield from _marked(f"{method.upper()} {path}", methods[method])
                for (place, name), parameter in _by_name(document, methods[method]).items():
                    yield from _marked(f"{method.upper()} {path} {place} {name}", parameter)
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        for property_name, node in schema.get("properties", {}).items():
            yield from _marked(f"{name}.{property_name}", node)


def _marked(where: str, node: Node) -> Iterator[tuple[str, str]]:
    mark = _mark(node)
    if mark is not None:
        yield where, mark
