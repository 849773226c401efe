"""Who is calling, for HTTP and sockets alike."""

from .callers import TAKES_STORED, StoredOnly, caller_of, caller_of_token
from .desk import running
from .rates import count_caller, count_stranger, room_of

__all__ = [
    "TAKES_STORED",
    "StoredOnly",
    "caller_of",
    "caller_of_token",
    "count_caller",
    "count_stranger",
    "room_of",
    "running",
]
