"""Prints the schema: `python -m fasttrack_api.graphql.printing > schema.graphql`, which `make graphql` does."""

from __future__ import annotations

from .measuring import Limits
from .schema import make_schema


def as_text() -> str:
    """The file `schema.graphql`."""
    return make_schema(Limits()).as_str() + "\n"


if __name__ == "__main__":
    print(as_text(), end="")  # noqa: T201
