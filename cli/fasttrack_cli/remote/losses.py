"""Whether an answer may have been lost: then the next try may be told of what the first one did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Loss:
    """Of one request. Its `note` is what `Connection.call` takes as `was_lost`."""

    is_possible: bool = False

    def note(self) -> None:
        """An answer may have been lost."""
        self.is_possible = True
