"""The last steps before a command runs: its folders, what it is told, and the launch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fasttrack.settings import Settings

from .capacity import Slots
from .devices import Held, variables
from .environment import environment
from .folders import Folders, folders_of
from .journal import SessionDir
from .launcher import launch
from .process import oom_kills
from .sandbox import Sandbox
from .specs import workspace_of


@dataclass(frozen=True, slots=True)
class Start:
    """One session that got its room. Only the scheduler that owns it in the ledger may start it."""

    directory: SessionDir
    record: Mapping[str, Any]
    secrets: Mapping[str, Any]
    folders: Folders
    sandbox: Sandbox
    held: Held
    totals: Slots

    @classmethod
    def of(cls, directory: SessionDir, settings: Settings, sandbox: Sandbox, held: Held, totals: Slots) -> Start:
        """Read what was asked. :raises SessionRefused: a folder is gone. :raises FileNotFoundError: so are its secrets."""
        record = directory.spec()
        folders = folders_of(workspace_of(record), settings)
        return cls(directory, record, directory.secrets(), folders, sandbox, held, totals)

    def make_ready(self) -> str | None:
        """Make its folders; returns what an earlier attempt left, for removal."""
        old = self.folders.make_ready()
        if not self.sandbox.is_on:
            self._link_mounts()
        return old

    def launch(self, bell: int) -> int:
        """Start the launcher and return its process number. :raises OSError: the system has no room for it now."""
        return launch(
            self.directory.name,
            self.directory.path,
            self.sandbox.argv(["/bin/sh", "-c", self.secrets["command"]], self.folders, self.directory.work),
            env=self._environment(),
            cwd=self.directory.work,
            facts=orjson.dumps(self._facts()),
            bell=bell,
        )

    def _link_mounts(self) -> None:
        for real, alias in self.folders.mounts:
            link = f"{self.directory.work}/{alias}"
            os.makedirs(os.path.dirname(link), exist_ok=True)
            if not os.path.lexists(link):
                os.symlink(real, link)

    def _environment(self) -> dict[str, str]:
        return environment(
            name=self.directory.name,
            session_id=self.record["session_id"],
            image=self.record["image"],
            asked=self.secrets["envs"],
            devices=variables(self.held, self.totals),
            folders=self.folders,
            work=None if self.sandbox.is_on else self.directory.work,
        )

    def _facts(self) -> dict[str, object]:
        found: dict[str, object] = {
            "isolation": "bubblewrap" if self.sandbox.is_on else f"none: {self.sandbox.why_not}",
            "oom_kills": oom_kills(),
        }
        if self.held:
            found["devices"] = "; ".join(f"{pool}: {', '.join(parts)}" for pool, parts in self.held.items())
            found["held"] = orjson.dumps(self.held).decode()
        if self.record["cluster_size"] > 1:
            found["cluster"] = f"1 of {self.record['cluster_size']} containers: the local backend runs one process"
        return found
