"""What is on disk: one directory per session, the truth that every scheduler of this machine shares.

    spec.json      what was asked, without command and variables
    secrets.json   command and variables; removed as soon as the command runs
    started        made once, by the one process that may run the command: its /proc stat line, the boot, facts
    end            made once, when somebody ends it: why, and a sentence or a deadline
    exit           the end: exit code, cause, sentence
    verdict        for a SIGKILL that was not ours: what it was taken for, so that all schedulers say the same
    log, work/     output, scratch directory

`started` is created with O_EXCL, so the command runs at most once whoever tries. A record counts once its last line is
complete; directories appear whole, by rename.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from fasttrack.storage.local_logs import read_record

from .process import ProcessId


@dataclass(frozen=True, slots=True)
class Started:
    """The session's keeper process runs, or ran."""

    keeper: ProcessId | None
    """`None`: it was ended before it could start, and never will."""
    facts: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """How a session ended. `cause` is `own`, `stop`, `memory`, `lost` or `refused`."""

    code: int | None
    cause: str
    sentence: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Ending:
    """Somebody is ending the session. `cause` is `stop` or `memory`."""

    cause: str
    text: str


class SessionDir:
    """The files of one session."""

    __slots__ = ("name", "path")

    def __init__(self, sessions: str, name: str) -> None:
        self.name = name
        self.path = f"{sessions}/{name}"

    @property
    def log(self) -> str:
        return f"{self.path}/log"

    @property
    def work(self) -> str:
        return f"{self.path}/work"

    def exists(self) -> bool:
        return os.path.exists(f"{self.path}/spec.json")

    def create(self, spec: Mapping[str, Any], secrets: Mapping[str, Any]) -> bool:
        """Write a new session; false if the name is taken. The directory appears complete or not at all."""
        if self.exists():
            return False
        fresh = f"{os.path.dirname(self.path)}/.new-{uuid4().hex}"
        os.mkdir(fresh, 0o700)
        try:
            os.mkdir(f"{fresh}/work", 0o700)
            write_new(f"{fresh}/spec.json", orjson.dumps(spec))
            write_new(f"{fresh}/secrets.json", orjson.dumps(secrets))
            os.rename(fresh, self.path)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)
            if self.exists():
                return False
            raise
        return True

    def spec(self) -> dict[str, Any]:
        """What was asked. :raises FileNotFoundError: there is no such session."""
        return orjson.loads(_read(f"{self.path}/spec.json"))  # type: ignore[no-any-return]

    def secrets(self) -> dict[str, Any]:
        """Command and variables. :raises FileNotFoundError: the command was started."""
        return orjson.loads(_read(f"{self.path}/secrets.json"))  # type: ignore[no-any-return]

    def started(self) -> Started | None:
        found = read_record(f"{self.path}/started")
        if found is None:
            return None
        lines, at = found
        try:
            keeper = None if lines[0] == "-" else ProcessId.from_stat(lines[0], boot=lines[1])
            return Started(keeper, orjson.loads(lines[2]), at)
        except (IndexError, ValueError):
            return None

    def is_start_torn(self) -> bool:
        """Whether the record of the start is there and says nothing: the disk was full, and the command did not run."""
        return self.started() is None and os.path.exists(f"{self.path}/started")

    def claim_unstarted(self) -> bool:
        """Make sure that the command never starts; false if it already did."""
        return _write_once(f"{self.path}/started", b"-\n-\n{}\n")

    def ending(self) -> Ending | None:
        found = read_record(f"{self.path}/end")
        if found is None:
            return None
        lines, _ = found
        return Ending(lines[0], lines[1] if len(lines) > 1 else "")

    def write_ending(self, cause: str, text: str) -> bool:
        """Say that the session is being ended; false if somebody said so before."""
        return _write_once(f"{self.path}/end", f"{cause}\n{text}\n".encode())

    def ended(self) -> Ended | None:
        found = read_record(f"{self.path}/exit")
        if found is None:
            return None
        lines, at = found
        code, cause, sentence = f"{lines[0]}  ".split(" ", 2)
        return Ended(None if code == "-" else int(code), cause, sentence.strip(), at)

    def write_ended(self, cause: str, sentence: str) -> None:
        """Record the end of a session whose keeper cannot do so any more."""
        path, data = f"{self.path}/exit", f"- {cause} {sentence}\n".encode()
        if not _write_once(path, data) and self.ended() is None:
            # The keeper was cut off while it wrote.
            fresh = f"{path}-{uuid4().hex}"
            write_new(fresh, data)
            os.replace(fresh, path)

    def verdict(self, opinion: str) -> str:
        """The recorded verdict; `opinion` is recorded if there was none."""
        _write_once(f"{self.path}/verdict", f"{opinion}\n".encode())
        found = read_record(f"{self.path}/verdict")
        return found[0][0] if found else opinion

    def forget_secrets(self) -> None:
        _unlink(f"{self.path}/secrets.json")

    def clear(self) -> str | None:
        """Remove what only a living session needs; returns the scratch directory if emptying it may take long."""
        self.forget_secrets()
        try:
            os.rmdir(self.work)
        except FileNotFoundError:
            return None
        except OSError:
            return self.work
        return None


def session_names(sessions: Path) -> list[str]:
    """Every session on disk, the oldest first by name."""
    return sorted(name for name in os.listdir(sessions) if not name.startswith("."))


def write_new(path: str, data: bytes) -> None:
    """Write a file that only this user may read. :raises FileExistsError: it is there."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def _write_once(path: str, data: bytes) -> bool:
    # A hard link appears with its content; a file opened with O_EXCL would be seen empty for a moment.
    fresh = f"{path}-{uuid4().hex}"
    write_new(fresh, data)
    try:
        os.link(fresh, path)
    except FileExistsError:
        return False
    finally:
        _unlink(fresh)
    return True


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
