"""The machine's sessions as one scheduler changes them: plain functions over files, run in one thread by `backend`.

Everything here can be repeated, or cut short by kill -9 at any line: another scheduler, or the next start, goes on from
what the files say.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from errno import E2BIG, ENOENT
from uuid import UUID, uuid4

import orjson

from fasttrack.crashpoints import crash_point
from fasttrack.errors import FastTrackError
from fasttrack.settings import Settings
from fasttrack.storage.layout import Layout, site_name

from ..base import Observation, SessionBackendUnavailable, SessionRefused, SessionSpec, SessionStatus
from . import capacity, devices, ending, queue
from .folders import folders_of
from .journal import SessionDir, Started, session_names, write_new
from .ledger import Entry, Ledger
from .outcome import look_at, session_id_of
from .process import is_running, myself
from .sandbox import Sandbox, find_sandbox
from .specs import as_record, require_startable, secrets_of
from .starting import Start

_IDENTITY = "site"
TAKE_OVER_AFTER = 2.0
"""Seconds after which a session that a dead scheduler was about to start is started by another."""


@dataclass(slots=True)
class Turn:
    """What one turn of the site did."""

    refused: dict[str, FastTrackError] = field(default_factory=dict)
    """Arrivals that did not get in, and why."""
    seen: dict[str, Observation] = field(default_factory=dict)
    """Arrivals that are in, as they are now."""
    launched: dict[str, int] = field(default_factory=dict)
    """Session name to the launcher that must be reaped."""
    again: list[str] = field(default_factory=list)
    """Sessions that could not be started for now and have to be tried again."""
    stillborn: list[str] = field(default_factory=list)
    """Sessions that ended without a start; the next turn lets them out."""
    over: dict[str, Observation] = field(default_factory=dict)
    rubbish: list[str] = field(default_factory=list)
    """Directories to remove, however long that takes."""
    live: dict[str, str] = field(default_factory=dict)
    """Every session of the site that is not over, with its owner."""


class Site:
    """The state directory's sessions."""

    def __init__(self, settings: Settings) -> None:
        self.layout = Layout(settings.state_dir)
        self.folder = self.layout.local
        self.sessions = str(self.layout.sessions)
        self.ledger = Ledger(self.folder, self._list_again)
        self.totals: Mapping[str, Decimal] = {}
        self.used: Mapping[str, Decimal] = {}
        self.free: Mapping[str, Decimal] = {}
        """The most of each slot that one more session could get."""
        self.sandbox = Sandbox("", (), "not tried yet")
        self.me = ""
        self.id = self._known_identity()
        self._settings = settings

    def open(self) -> None:
        """Make the directories and find out about the machine."""
        os.makedirs(self.sessions, mode=0o700, exist_ok=True)
        os.chmod(self.folder, 0o700)
        self.id = self._identity()
        self.me = myself()
        self.totals = capacity.find(self._settings.local_slots)
        self.sandbox = find_sandbox(self._settings.local_sandbox)

    @property
    def name(self) -> str:
        """The site's name for the engine; without an identity if it was never opened by anybody."""
        return site_name(self.id) if self.id.int else "local"

    def directory(self, name: str) -> SessionDir:
        return SessionDir(self.sessions, name)

    def session_id(self, name: str) -> str:
        return session_id_of(self.id, name)

    def look(self, name: str) -> Observation | None:
        """The session as the files show it."""
        entry = self.ledger.entries.get(name)
        if entry is not None and entry.owner:
            return look_at(self.directory(name), self.session_id(name), unstarted=SessionStatus.PREPARING)
        return look_at(self.directory(name), self.session_id(name), reason=self.why_waiting(name))

    def why_waiting(self, name: str) -> str:
        entry = self.ledger.entries.get(name)
        return "" if entry is None else queue.why_waiting(entry.slots, self.used, self.totals)

    def require_acceptable(self, spec: SessionSpec) -> None:
        """:raises SessionRefused: this machine will never run it."""
        capacity.require_possible(spec.slots, self.totals)
        folders_of(spec.workspace, self._settings)
        if self._settings.local_sandbox == "always" and not self.sandbox.is_on:
            raise SessionRefused(
                f"FASTTRACK_LOCAL_SANDBOX=always, and tasks cannot be isolated: {self.sandbox.why_not}"
            )

    def turn(
        self,
        arrivals: Iterable[SessionSpec],
        known: Iterable[str],
        endings: Iterable[str],
        again: Iterable[str],
        bell: int,
    ) -> Turn:
        """Let in, let out, give the freed room to whoever is next, and start those that got it.

        `known` are sessions on disk that the ledger should list; `again` are ours that could not be started before.
        """
        done = Turn()
        entering = [*known, *(spec.name for spec in arrivals if self._admit(spec, done))]
        for name in endings:
            if (seen := self.conclude(name)) is not None:
                done.over[name] = seen
        now = time.time()
        with self.ledger.locked() as entries:
            for name in done.over:
                entries.pop(name, None)
            for name in entering:
                self._enter(name, entries)
            chosen = [*again, *self._take_over(entries, now)]
            chosen += queue.place(entries, self.totals, owner=self.me, now=now)
            self.used = queue.in_use(entries.values())
            self.free = devices.free(
                self.totals, self.used, [entry.devices for entry in entries.values() if entry.owner]
            )
            done.live = {name: entry.owner for name, entry in entries.items()}
        for name in done.over:
            if (scratch := self.directory(name).clear()) is not None:
                done.rubbish.append(scratch)
        for name in chosen:
            self._start(name, done, bell)
        for name in entering:
            if (seen := self.look(name)) is not None:
                done.seen[name] = seen
        return done

    def glance(self) -> bool:
        """Whether another scheduler changed who waits and who runs; cheap."""
        return self.ledger.refresh()

    def live_names(self) -> list[str]:
        """Sessions that wait or run, by the ledger."""
        self.ledger.refresh()
        return list(self.ledger.entries)

    def unlisted(self) -> list[str]:
        """Live sessions that the ledger does not know: a scheduler died between writing the two."""
        self.ledger.refresh()
        return [name for name in self._live_on_disk() if name not in self.ledger.entries]

    def conclude(self, name: str) -> Observation | None:
        """The end of a session whose keeper is gone, recorded if the keeper could not; `None` if it is not over."""
        directory = self.directory(name)
        started = directory.started()
        if directory.ended() is None:
            if started is None or (started.keeper is not None and started.keeper.is_alive):
                return None
            # Its record may have been written between the two looks.
            if directory.ended() is None:
                ending.force(started, self.session_id(name))
                asked = directory.ending()
                if asked is None:
                    directory.write_ended("lost", "lost: it ended and left no exit code")
                else:
                    directory.write_ended(asked.cause, "")
        return self.look(name)

    def begin_stop(self, name: str, deadline: float) -> Started | None:
        """Say that the session is being ended; returns what to end, or `None` if nothing runs (any more)."""
        directory = self.directory(name)
        if directory.ended() is not None or not directory.exists():
            return None
        if directory.claim_unstarted():
            directory.write_ended("stop", "it was ended by request before it started")
            return None
        # A keeper that has just made its record may still be writing it.
        directory.write_ending("stop", str(deadline))
        return directory.started()

    def _admit(self, spec: SessionSpec, done: Turn) -> bool:
        directory = self.directory(spec.name)
        try:
            if not directory.exists():
                self._require_acceptable(spec)
                self._create(directory, spec)
        except SessionRefused as error:
            done.refused[spec.name] = error
        except OSError as error:
            done.refused[spec.name] = unavailable(error)
        return spec.name not in done.refused

    def _require_acceptable(self, spec: SessionSpec) -> None:
        require_startable(spec)
        capacity.require_possible(spec.slots, self.totals)
        folders_of(spec.workspace, self._settings)
        if self._settings.local_sandbox == "always" and not self.sandbox.is_on:
            raise SessionRefused(
                f"FASTTRACK_LOCAL_SANDBOX=always, and tasks cannot be isolated: {self.sandbox.why_not}"
            )

    def _create(self, directory: SessionDir, spec: SessionSpec) -> None:
        directory.create(as_record(spec, self.session_id(spec.name)), secrets_of(spec))
        crash_point("local.after_write")

    def _live_on_disk(self) -> list[str]:
        names = session_names(self.folder / "sessions")
        return [name for name in names if self.directory(name).ended() is None and self.directory(name).exists()]

    def _list_again(self) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for name in self._live_on_disk():
            self._enter(name, entries)
        return entries

    def _enter(self, name: str, entries: dict[str, Entry]) -> None:
        directory = self.directory(name)
        if name in entries or directory.ended() is not None:
            return
        try:
            spec = directory.spec()
        except ValueError:
            directory.write_ended("lost", "lost: its files were damaged")
            return
        started = directory.started()
        slots = {slot: Decimal(amount) for slot, amount in spec["slots"].items()}
        entry = Entry(slots, spec["priority"], spec["arrived"])
        if started is not None:
            # Known again after the ledger was lost.
            entry.owner, entry.devices = self.me, orjson.loads(started.facts.get("held", "{}"))
        entries[name] = entry

    def _take_over(self, entries: dict[str, Entry], now: float) -> list[str]:
        taken = []
        for name, entry in entries.items():
            if not entry.owner or entry.owner == self.me or now - entry.since < TAKE_OVER_AFTER:
                continue
            if not is_running(entry.owner) and self.directory(name).started() is None:
                entry.owner, entry.since = self.me, now
                taken.append(name)
        return taken

    def _start(self, name: str, done: Turn, bell: int) -> None:
        directory = self.directory(name)
        if directory.started() is not None or directory.ended() is not None:
            return None
        if directory.is_start_torn():
            return self._give_up(directory, "lost", "lost: its start could not be written down", done)
        try:
            done.launched[name] = self._launch(directory, done, bell)
        except orjson.JSONDecodeError:
            self._give_up(directory, "lost", "lost: its files were damaged", done)
        except (SessionRefused, ValueError) as error:
            self._give_up(directory, "refused", str(error), done)
        except OSError as error:
            if error.errno == E2BIG:
                self._give_up(directory, "refused", "its command and variables are too long for the system", done)
            elif error.errno == ENOENT and not os.path.exists(f"{directory.path}/secrets.json"):
                self._give_up(directory, "lost", "lost: its command is not known any more", done)
            else:
                done.again.append(name)

    def _launch(self, directory: SessionDir, done: Turn, bell: int) -> int:
        held = self.ledger.entries[directory.name].devices
        start = Start.of(directory, self._settings, self.sandbox, held, self.totals)
        if (old := start.make_ready()) is not None:
            done.rubbish.append(old)
        crash_point("local.before_launch")
        return start.launch(bell)

    def _give_up(self, directory: SessionDir, cause: str, sentence: str, done: Turn) -> None:
        if directory.claim_unstarted() or directory.is_start_torn():
            directory.write_ended(cause, sentence)
        done.stillborn.append(directory.name)

    def _identity(self) -> UUID:
        path = self.folder / _IDENTITY
        fresh = self.folder / f"site-{uuid4().hex}"
        write_new(str(fresh), f"{uuid4()}\n".encode())
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        return UUID(path.read_text().strip())

    def _known_identity(self) -> UUID:
        try:
            return UUID((self.folder / _IDENTITY).read_text().strip())
        except (OSError, ValueError):
            return UUID(int=0)


def unavailable(error: OSError) -> SessionBackendUnavailable:
    """A failure of the file system, for the engine: it may go away."""
    return SessionBackendUnavailable(f"the local backend cannot use its state directory: {error.strerror or error}")
