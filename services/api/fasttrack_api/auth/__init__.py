"""Who is calling, for HTTP and sockets alike."""

from .callers import caller_of, caller_of_token
from .desk import running

__all__ = ["caller_of", "caller_of_token", "running"]
