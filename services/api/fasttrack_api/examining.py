"""What the GraphQL side knows of a text before it is run, for whoever stores texts: it knows the schema, others need not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from starlette.requests import HTTPConnection

from fasttrack.errors import InvalidInput
from fasttrack.workflow.operations import hash_of

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Examined:
    """What is known of a text before it is run."""

    operations: tuple[str, ...]
    """The names of its operations; empty for one without."""
    cost: int
    """Of the dearest one, without variables."""

    @property
    def name(self) -> str:
        """What it is called when nobody says."""
        return ", ".join(self.operations)[:_LONGEST_NAME] or "query"


Examine = Callable[[str], Examined]
"""What a text is, which may be stored. :raises InvalidInput: it is no operation of the schema, or larger than allowed."""


def examine_of(connection: HTTPConnection) -> Examine:
    """That of the application that serves this request."""
    return cast("Examine", connection.app.state.examine)


def examine_all(examine: Examine, texts: Sequence[str]) -> list[Examined]:
    """What each of the texts is. :raises InvalidInput: one is none, by the first digits of its SHA-256."""
    found = []
    for text in texts:
        try:
            found.append(examine(text))
        except InvalidInput as error:
            raise InvalidInput(f"{hash_of(text).hex()[:12]}: {error.message}") from None
    return found
