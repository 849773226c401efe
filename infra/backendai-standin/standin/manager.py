"""One cluster: what the routes of a manager work on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from .agents import Agent, Agents, default_agents
from .events import Events
from .faults import Faults
from .folders import Folders
from .generations import GENERATIONS
from .ledger import Ledger
from .life import Lives
from .policy import Policy
from .queries import Queries
from .rates import Rates

Handler = Callable[[Request, str], Awaitable[Response]]
"""Answers a request that the key given has signed."""


class Manager:
    """One cluster."""

    def __init__(
        self,
        generation: str,
        root: Path,
        *,
        keys: dict[str, str],
        agents: list[Agent] | None = None,
        policy: Policy | None = None,
        step: float = 0.02,
        pretends: bool = False,
        users: dict[str, str] | None = None,
    ) -> None:
        """:param step: seconds per status; real ones take 0.5 to 6 s. :param keys: secret keys by access key.
        :param pretends: no command is run.
        :param users: whose each access key is, by e-mail address; all others are of one user.
        """
        self.policy = policy or Policy()
        self.generation = GENERATIONS[generation]
        self.keys = keys
        self.users = users or {}
        self.ledger = Ledger()
        self.agents = Agents(agents or default_agents())
        self.faults = Faults()
        self.rates = Rates(self.generation)
        self.folders = Folders(root, self.generation, self.policy, self.user_of)
        self.events = Events(self.generation, self.faults)
        self.lives = Lives(
            self.generation, self.ledger, self.agents, self.events, self.folders, self.policy, step, pretends=pretends
        )
        self.queries = Queries(self.generation, self.ledger, self.agents, self.policy, self.user_of)
        self.folders.in_use = self.ledger.mounts
        self.is_down = False
        self.kinds: Counter[str] = Counter()
        """How many signed requests came, by route, and by field where the route is GraphQL's."""

    def user_of(self, access_key: str) -> str:
        """Whose key it is: folders are a user's, sessions a key's."""
        return self.users.get(access_key, "user@example.test")

    @property
    def requests(self) -> dict[str, int]:
        """How many came, by access key."""
        return self.rates.counts
