"""Who is calling, for HTTP and sockets alike."""

from .callers import caller_of

__all__ = ["caller_of"]
