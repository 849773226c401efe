"""Stored operations: asked for by the hash of their text, and examined when they are stored."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, parse, validate

from fasttrack.db.operations import find_places
from fasttrack.errors import InvalidInput, NotFound
from fasttrack.ids import ProjectId
from fasttrack.workflow.operations import hash_of

from ..auth import StoredOnly
from ..examining import Examined
from ..parts import Parts
from .context import Context
from .measuring import Limits, measure

LIFETIME = 2.0
"""Seconds that a text is known for: what was removed cannot be run by its hash after them."""
_MOST_KNOWN = 1000
_MOST_ERRORS = 5


class NotStored(NotFound):
    """No such operation is stored for you; send its text, or store it first."""

    code = "PERSISTED_QUERY_NOT_FOUND"  # what clients of Apollo look for, to send the text then


class WrongHash(InvalidInput):
    """The hash is not that of the text which came with it: SHA-256 of the text as it stands."""

    code = "PERSISTED_QUERY_HASH_MISMATCH"


class StoredOperations:
    """What one process knows of them."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[float, str, frozenset[ProjectId | None]]] = OrderedDict()

    @classmethod
    def of(cls, parts: Parts) -> StoredOperations:
        """Those of the process that has these parts."""
        found = parts.kept.get(cls)
        if found is None:
            found = parts.kept[cls] = cls()
        assert isinstance(found, cls)
        return found

    async def find(self, context: Context, key: bytes) -> str | None:
        """The text of that hash, if it is stored for the caller."""
        now = asyncio.get_running_loop().time()
        known = self._known.get(key)
        if known is None or known[0] <= now:
            async with context.reading() as db:
                found = await find_places(db, key)
            if found is None:
                self._known.pop(key, None)
                return None
            known = self._known[key] = (now + LIFETIME, *found)
            self._known.move_to_end(key)
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        _, text, places = known
        projects = context.caller.projects
        is_theirs = None in places or projects is None or not places.isdisjoint(projects)
        return text if is_theirs else None


async def text_for(context: Context, text: str | None, extensions: Mapping[str, Any] | None) -> str | None:
    """The text of the operation that is asked for by its text, by its hash, or both; `None`: by neither.

    :param extensions: of the request, with its `documentId` among them.
    :raises NotStored: no operation of that hash is stored for the caller.
    :raises WrongHash: it is not that of the text. :raises InvalidInput: it is no hash.
    :raises StoredOnly: the caller runs stored operations only, and this is none.
    """
    key = _hash_in(extensions or {})
    if text and key is not None and hash_of(text) != key:
        raise WrongHash
    if text and not context.caller.is_stored_only:
        return text
    if key is None and not text:
        return None
    found = await StoredOperations.of(context.parts).find(context, key or hash_of(text or ""))
    if found is None:
        raise StoredOnly if text else NotStored
    context.stored.add(found)
    return found


def _hash_in(extensions: Mapping[str, Any]) -> bytes | None:
    given = extensions.get("documentId")
    persisted = extensions.get("persistedQuery")
    if given is None and persisted is not None:
        given = persisted.get("sha256Hash", "") if isinstance(persisted, dict) else ""
    if given is None:
        return None
    try:
        key = bytes.fromhex(given.removeprefix("sha256:")) if isinstance(given, str) and given.isascii() else b""
    except ValueError:
        key = b""
    if len(key) != 32:
        raise InvalidInput("a stored operation is asked for by SHA-256 of its text: 64 digits from 0 to f")
    return key


def examine(text: str, schema: GraphQLSchema, limits: Limits) -> Examined:
    """What a text is, which may be stored.

    :raises InvalidInput: it is no operation of the schema, or larger than the limits allow.
    """
    try:
        document = parse(text, max_tokens=limits.tokens)
    except (GraphQLError, RecursionError) as error:
        raise InvalidInput(f"the text is not GraphQL: {_said(error)}") from None
    names = [d.name.value if d.name else None for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    if not names:
        raise InvalidInput("the text has no operation: it needs a query, a mutation or a subscription")
    costs = [measure(document, schema, name, {}, limits) for name in names]
    errors = validate(schema, document, max_errors=_MOST_ERRORS)
    if errors:
        raise InvalidInput("the schema does not have this operation: " + "; ".join(map(_said, errors)))
    return Examined(tuple(name for name in names if name), max(costs))


def _said(error: Exception) -> str:
    if not isinstance(error, GraphQLError):
        return "it is nested too deeply"
    place = error.locations[0] if error.locations else None
    return f"line {place.line}, column {place.column}: {error.message[:200]}" if place else error.message[:200]
