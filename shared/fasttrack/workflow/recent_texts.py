"""What was found out about texts lately, kept per process within a number of characters."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")
MOST_CHARACTERS = 1024 * 1024  # a tree has about 25 bytes for each character of its text


class RecentTexts(Generic[V]):
    """Values by text; beyond the limit those that were not used for longest are dropped. Safe between threads."""

    def __init__(self, most: int = MOST_CHARACTERS) -> None:
        self._most = most
        self._size = 0
        self._values: OrderedDict[tuple[str, str], V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, text: str, name: str = "") -> V | None:
        """What is kept for the text, and the name if that plays a part."""
        with self._lock:
            if (text, name) in self._values:
                self._values.move_to_end((text, name))
            return self._values.get((text, name))

    def take(self, text: str, name: str = "") -> V | None:
        """The same, for one who changes it: it is kept no longer."""
        with self._lock:
            found = self._values.pop((text, name), None)
            self._size -= len(text) if found is not None else 0
        return found

    def put(self, value: V, text: str, name: str = "") -> None:
        """Keep a value."""
        with self._lock:
            if (text, name) not in self._values:
                self._size += len(text)
            self._values[text, name] = value
            while self._size > self._most:
                (dropped, _), _ = self._values.popitem(last=False)
                self._size -= len(dropped)
