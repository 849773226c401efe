"""What resource groups have, what is taken of it, and by whom: pure sums over what is open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from .resources import Slots, add, scale
from .states import InstanceState

ANY_GROUP = ""
"""The one resource group of a site that makes no difference between them."""
DEFAULT_GROUP = "default"
"""What that one is called for people: the name that pipeline files have by default."""
MOST_USES = 100
"""Of one group; what is beyond is summed."""

HOLDING = frozenset({InstanceState.PREPARING, InstanceState.RUNNING, InstanceState.STOPPING})
"""States of a task whose session was given what it asked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Sessions that are alike, and what one of them asks for."""

    site: str
    resource_group: str
    user: User | None
    """Whose they are; `None`: of somebody whose name is not for whoever asks."""
    state: InstanceState
    count: int
    slots: Slots


@dataclass(frozen=True, slots=True)
class User:
    """Who takes of a group."""

    project: str
    pipeline: str
    submitted_by: str


@dataclass(slots=True)
class Use:
    """What one takes of a group, or those that are not named one by one together."""

    user: User | None
    """`None`: the others."""
    sessions: int = 0
    """That hold their slots."""
    waiting: int = 0
    """Sessions that are not given them yet."""
    slots: Slots = field(default_factory=dict)
    """That are held."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a site last told of one of its groups. A slot that is not in a map of it is not known."""

    capacity: Slots
    seen_at: datetime
    used: Slots = field(default_factory=dict)
    """By anybody, sessions that are not FastTrack's included."""
    free: Slots = field(default_factory=dict)
    largest_free: Slots = field(default_factory=dict)
    """The most that is free on one agent."""
    agents: int | None = None
    """Alive."""


@dataclass(slots=True)
class ResourceGroup:
    """One group of a site."""

    site: str
    name: str
    is_whole_site: bool
    """Whether sessions of any group's name are placed here."""
    told: Told | None
    """What the site told of it; `None`: nothing, and only what is used by our own sessions is known."""
    used: Slots = field(default_factory=dict)
    waiting: Slots = field(default_factory=dict)
    """Asked for by sessions that are not given it yet."""
    uses: list[Use] = field(default_factory=list)

    @property
    def seen_at(self) -> datetime | None:
        """When its capacity was last told."""
        return None if self.told is None else self.told.seen_at

    @property
    def capacity(self) -> Slots:
        """What it has in all; empty where that was never told."""
        return {} if self.told is None else self.told.capacity

    def used_by_anybody(self, slot: str) -> Decimal | None:
        """What is taken, sessions that are not ours included; `None` where it is not known."""
        told = None if self.told is None else self.told.used.get(slot)
        return None if told is None else max(told, self.used.get(slot, Decimal(0)))

    def largest_free(self, slot: str) -> Decimal | None:
        """The most that was free on one agent; `None` where it is not known."""
        told, free = None if self.told is None else self.told.largest_free.get(slot), self.free(slot)
        return None if told is None or free is None else min(told, free)

    @property
    def slots(self) -> list[str]:
        """Every slot of which it has something, or of which something is taken."""
        return in_order(self.capacity.keys() | self.used.keys() | self.waiting.keys())

    def free(self, slot: str) -> Decimal | None:
        """How much is taken neither by our sessions now nor, when it was told, by others; `None` where nobody knows how much
        there is.
        """
        if slot not in self.capacity:
            return None
        left = max(self.capacity[slot] - self.used.get(slot, Decimal(0)), Decimal(0))
        return left if self.told is None else min(left, self.told.free.get(slot, left))


def in_order(slots: Iterable[str]) -> list[str]:
    """The slots as people read them: `cpu`, `mem`, then accelerators by name."""
    return sorted(slots, key=lambda slot: (slot != "cpu", slot != "mem", slot))


def sum_up(told: Mapping[tuple[str, str], Told], asked: Iterable[Asked]) -> list[ResourceGroup]:
    """The groups by site and name, each with who takes of it: the largest first, those that are not named at the end.

    :param told: by site and resource group.
    """
    groups = {
        (site, name): ResourceGroup(site, name or DEFAULT_GROUP, name == ANY_GROUP, group)
        for (site, name), group in told.items()
    }
    uses: dict[tuple[str, str], dict[User | None, Use]] = {}
    for sessions in asked:
        name = ANY_GROUP if (sessions.site, ANY_GROUP) in groups else sessions.resource_group
        key = (sessions.site, name)
        if key not in groups:
            groups[key] = ResourceGroup(sessions.site, name, is_whole_site=False, told=None)
        group, taken = groups[key], scale(sessions.slots, sessions.count)
        use = uses.setdefault(key, {}).setdefault(sessions.user, Use(sessions.user))
        if sessions.state in HOLDING:
            use.sessions += sessions.count
            use.slots = add(use.slots, taken)
            group.used = add(group.used, taken)
        else:
            use.waiting += sessions.count
            group.waiting = add(group.waiting, taken)
    for key, found in uses.items():
        groups[key].uses = _ordered(found)
    return [groups[key] for key in sorted(groups)]


def _ordered(uses: dict[User | None, Use]) -> list[Use]:
    others = uses.pop(None, Use(None))
    by_size: Callable[[Use], object] = lambda use: (-use.sessions, -use.waiting, str(use.user))  # noqa: E731
    named = sorted(uses.values(), key=by_size)  # type: ignore[arg-type]
    for use in named[MOST_USES:]:
        others.sessions += use.sessions
        others.waiting += use.waiting
        others.slots = add(others.slots, use.slots)
    is_anybody = others.sessions or others.waiting
    return [*named[:MOST_USES], *([others] if is_anybody else [])]
