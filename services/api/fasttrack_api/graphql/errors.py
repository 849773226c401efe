"""Errors of GraphQL answers: a code for programs, a sentence for people, and nothing about our insides."""

from __future__ import annotations

from uuid import uuid4

import structlog
from graphql import GraphQLError

from fasttrack.errors import FastTrackError, IllegalTransition, InvalidInput, Unavailable

log = structlog.get_logger()

_LONGEST = 400  # of a message: what a client wrote may be in it
_MOST = 20  # errors in one answer
_UNSTORABLE = {"22021", "22P05"}  # what PostgreSQL answers to a NUL in a text


class LimitExceeded(InvalidInput):
    """The request is larger than what one request may be."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TookTooLong(Unavailable):
    """The request took longer than one may; ask for less at once."""

    code = "QUERY_TOO_SLOW"


class MaybeDone(Unavailable):
    """It took too long, and it is not known whether it was done: look, or call again with the same idempotency key."""

    code = "OUTCOME_UNKNOWN"
    retryable = False


def tell(errors: list[GraphQLError]) -> None:
    """Make these errors fit to be answered, in place, and log those that are ours: one line, however many there are.

    A second time changes nothing: what validation found is kept for the next request of the same text.
    """
    number = ""
    for error in errors:
        if error.extensions and "code" in error.extensions:
            continue
        public = public_of(error)
        if public is None:
            if not number:
                number = uuid4().hex[:12]
                log.error("a GraphQL field failed", error_id=number, exc_info=error.original_error or error)
            error.message = f"something went wrong here; the log has it as {number}"
            error.extensions = {"code": "INTERNAL", "retryable": False, "errorId": number}
        else:
            error.message, error.extensions = public
    del errors[_MOST:]


def public_of(error: GraphQLError) -> tuple[str, dict[str, object]] | None:
    """What may be told of it; `None`: nothing, since it is a fault of ours."""
    original = error.original_error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
    if getattr(original, "sqlstate", None) in _UNSTORABLE:
        return "a text holds a character that cannot be stored", {"code": "INVALID_INPUT", "retryable": False}
    match original:
        case None | GraphQLError():
            return _shortened(error.message), {"code": "GRAPHQL_INVALID", "retryable": False}
        case IllegalTransition():
            return None
        case FastTrackError():
            return _shortened(original.message), {"code": original.code, "retryable": original.retryable}
        case RecursionError() if error.path is None:
            return "the request is nested too deeply", {"code": "QUERY_TOO_DEEP", "retryable": False}
        case ValueError() if error.path is None and error.nodes:
            # A variable or argument that its scalar refused.
            return _shortened(error.message), {"code": "GRAPHQL_INVALID", "retryable": False}
    return None


def _shortened(message: str) -> str:
    return message if len(message) <= _LONGEST else message[: _LONGEST - 1] + "…"
