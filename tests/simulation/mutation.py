"""What a mutant is to a world: the product with one safeguard taken out, for as long as the world runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .world import World


def _as_it_is(sql: str) -> str:
    return sql


@dataclass(frozen=True)
class Mutation:
    """One safeguard less."""

    name: str
    sentence: str
    """What is wrong with it."""
    patch: Callable[[World], AbstractContextManager[object]]
    """Takes the safeguard out of this process while the block runs."""
    statement: Callable[[str], str] = _as_it_is
    """How it speaks to the database."""
