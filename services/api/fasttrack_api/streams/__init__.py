"""Streams: the feed read once per process and handed to everyone who follows it, by cursor, without gap or repeat."""

from __future__ import annotations

from .access import Ended, Ticket
from .asked import Asked, start_of
from .hub import Hub, TooManyStreams, closing, end_streams
from .messages import Chunk, Message
from .subscriber import Subscriber

__all__ = [
    "Asked",
    "Chunk",
    "Ended",
    "Hub",
    "Message",
    "Subscriber",
    "Ticket",
    "TooManyStreams",
    "closing",
    "end_streams",
    "start_of",
]
