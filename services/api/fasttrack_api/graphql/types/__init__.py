"""The types of the schema, one module per noun."""

from . import enums  # first: an enum has to be known before the first type that has a field of it

__all__ = ["enums"]
