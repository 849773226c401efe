"""Sessions whose record may be wrong for ever, and that a closer look or an end by us must settle.

A session of several containers that goes on without one of them, and three lies of real managers: RUNNING with its result set
(23.09 refuses its own request to end it; a busy one was seen to move such a session back to PREPARING), RUNNING since the manager
was away when the command ended, RUNNING on an agent that is lost. No event ever tells of the last two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta

from .truth import Session

_SETTLES = 3.0
"""Seconds that a session with its result set may stay RUNNING: the ordinary way takes a fraction of one."""
_YOUNG = 60.0
"""Seconds before a running session is looked at closer for the first time without a cause."""
_PAUSE = 2.0
"""Seconds between two closer looks without a cause, however many sessions there are and however often they are listed:
each may cost a request, and there must be none per session."""
_AFTER_AN_OUTAGE = 8
"""Closer looks of one turn with a cause."""


class Doubts:
    """What this process noticed, by the name of the session. Times are seconds that only go forward."""

    def __init__(self, agent_patience: timedelta) -> None:
        self._agent_patience = agent_patience.total_seconds()
        self._left_behind: dict[str, float] = {}
        self._broken: dict[str, float] = {}
        self._running: dict[str, float] = {}
        self._lost_agents: dict[str, float] = {}
        self._hurry: set[str] = set()
        self._born: float | None = None
        self._looked = -_PAUSE

    def note_agents(self, lost: Collection[str], now: float) -> None:
        """Which agents do not answer their manager at the moment."""
        self._lost_agents = {agent: self._lost_agents.get(agent, now) for agent in lost}

    def note_made(self, name: str, now: float) -> None:
        """Take one that this process asked for: it hears of it from the beginning."""
        self._running.setdefault(name, now)

    def note_outage(self) -> None:
        """The manager was away: whatever was running may have ended unseen."""
        self._hurry.update(self._running)

    def left_behind(self, sessions: Iterable[Session], now: float) -> list[Session]:
        """Those whose command is over, and whose end is up to us by now."""
        found = []
        for session in sessions:
            if not session.is_left_behind:
                self._left_behind.pop(session.name, None)
            elif now - self._left_behind.setdefault(session.name, now) >= _SETTLES:
                found.append(session)
        return found

    def broken(self, sessions: Iterable[Session], now: float) -> list[Session]:
        """Those that go on without one of their containers, after a moment in which the manager might end them itself."""
        found = []
        for session in sessions:
            if not session.broken:
                self._broken.pop(session.name, None)
            elif now - self._broken.setdefault(session.name, now) >= _SETTLES:
                found.append(session)
        return found

    def on_lost_agents(self, sessions: Iterable[Session], now: float) -> list[tuple[Session, str]]:
        """Those on an agent that has been lost for longer than patience lasts, with its name."""
        gone = {agent for agent, since in self._lost_agents.items() if now - since >= self._agent_patience}
        return [
            (session, agent)
            for session in sessions
            if not session.is_over and session.result == "UNDEFINED" and (agent := session.agent_of(gone)) is not None
        ]

    def to_look_at(self, sessions: Iterable[Session], now: float) -> list[Session]:
        """A few that run, for a look at whether their command has ended: those longest unseen first."""
        running = {s.name: s for s in sessions if s.status == "RUNNING" and s.result == "UNDEFINED"}
        self._born = now if self._born is None else self._born
        if now - self._born < _YOUNG:  # who knows what happened before this process began
            self._hurry.update(running.keys() - self._running.keys())
        seen = {name: self._running.get(name, now) for name in running}
        self._running |= seen
        hurried = [name for name in running if name in self._hurry][:_AFTER_AN_OUTAGE]
        others = sorted((n for n in running if now - seen[n] >= _YOUNG and n not in hurried), key=lambda n: seen[n])
        chosen = hurried or (others[:1] if now - self._looked >= _PAUSE else [])
        if chosen:
            self._looked = now
        for name in chosen:
            self._hurry.discard(name)
            self._running[name] = now
        return [running[name] for name in chosen]

    def forget(self, name: str) -> None:
        """It is over."""
        self._running.pop(name, None)
        self._left_behind.pop(name, None)
        self._broken.pop(name, None)
        self._hurry.discard(name)
