"""Changes under `If-Match`: the `ETag` of what was read names its revision."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Header

from fasttrack.errors import InvalidInput
from fasttrack.workflow.revisions import Overtaken

from ..problems import PreconditionFailed

IfMatch = Annotated[
    str | None, Header(max_length=200, description="The `ETag` that was read: another revision is a 412.")
]
IfNoneMatch = Annotated[str | None, Header(max_length=200, description="`*`: there must be none yet.")]

OVERTAKEN: dict[int | str, dict[str, Any]] = {412: {"description": "What is stored is not what `If-Match` asks for."}}
"""What a route says of a precondition that does not hold, where no body brings it along."""

_TAG = re.compile(r'"r(\d{1,10})(?:\.\d{1,10})*"\Z')


def tag_of(revision: int, *counts: int) -> str:
    """The `ETag` of a thing at a revision.

    :param counts: what the answer tells beside it that changes by itself: it makes another tag, and is nobody's change.
    """
    return f'"{".".join(map(str, (f"r{revision}", *counts)))}"'


def expected_of(if_match: str | None, if_none_match: str | None = None) -> int | None:
    """The revision that the thing must be at; 0: there must be none.

    :raises InvalidInput: both are given, or `If-None-Match` is not `*`. :raises PreconditionFailed: no revision has the tag.
    """
    if if_none_match is not None:
        if if_none_match.strip() != "*" or if_match is not None:
            raise InvalidInput("it is stored with `If-None-Match: *`, or with `If-Match`, or with neither")
        return 0
    if if_match is None:
        return None
    found = _TAG.match(if_match.strip())
    # What has no number of ours has not been read here. Revisions begin with 1.
    if found is None or not 0 < int(found[1]) < 2**31:
        raise PreconditionFailed('nothing has this tag: `If-Match` takes the `ETag` that was read, such as "r7"')
    return int(found[1])


@contextmanager
def preconditions() -> Iterator[None]:
    """Answer whoever was overtaken with 412 rather than 409."""
    try:
        yield
    except Overtaken as error:
        raise PreconditionFailed(error.message) from None
