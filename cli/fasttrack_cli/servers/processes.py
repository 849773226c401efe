"""Starting, watching and ending server processes. They outlive the process that started them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fasttrack.errors import Unavailable

from .identity import Identity

LAUNCHER = Path(__file__).with_name("launch.py")
LOG_LIMIT_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended, and what it wrote."""

    returncode: int
    output: str


async def run(identity: Identity, *command: str | Path, stdin: str = "", timeout: float = 60.0) -> Finished:
    """Run a command as `identity` to its end; it ends with us if we die."""
    return await _finish(await _launch(identity, command), stdin=stdin, timeout=timeout)


async def start(identity: Identity, *command: str | Path, log: Path, hold: Path | None = None) -> int:
    """Start a server as `identity`, detached from us, writing to `log`. Gives its process id.

    The file `hold` is locked while the server or any of its children lives, whoever asks and from which container.
    """
    launched = await _finish(await _launch(identity, command, log=log, hold=hold), timeout=20)
    if launched.returncode or not launched.output.strip().isdigit():
        raise Unavailable(f"{Path(command[0]).name} cannot be started: {launched.output.strip()}")
    return int(launched.output)


async def _launch(
    identity: Identity, command: tuple[str | Path, ...], *, log: Path | None = None, hold: Path | None = None
) -> asyncio.subprocess.Process:
    plan = {
        "uid": identity.uid,
        "gid": identity.gid,
        "capability": identity.capability,
        "log": None if log is None else str(log),
        "hold": None if hold is None else str(hold),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-B", str(LAUNCHER), json.dumps(plan)),
        *map(str, command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        # Nothing of the caller's: PGPORT, PGOPTIONS, LD_PRELOAD or a secret have no business in a server.
        env={"LC_ALL": "C", "PATH": os.defpath},
    )


async def _finish(process: asyncio.subprocess.Process, *, stdin: str = "", timeout: float) -> Finished:
    try:
        async with asyncio.timeout(timeout):
            output, _ = await process.communicate(stdin.encode())
    except TimeoutError:
        raise Unavailable(f"A program of the servers did not end within {timeout:.0f} seconds.") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return Finished(process.returncode or 0, output.decode(errors="replace"))


def is_alive(pid: int) -> bool:
    """Whether the process runs. One that has ended and that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()


def is_command(pid: int, *words: str | Path) -> bool:
    """Whether the process was started with these words: a process id alone may have passed to a stranger."""
    if not is_alive(pid):
        return False
    if Path("/proc/self").exists():
        try:
            said = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "))
        except OSError:
            return False
    else:
        listing = ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)]
        said = subprocess.run(listing, capture_output=True, text=True, check=False).stdout  # noqa: S603
    return all(str(word) in said for word in words)


async def end(pid: int, *signals: tuple[signal.Signals, float]) -> bool:
    """Send each signal in turn and wait its seconds, until the process has ended. False when it has not."""
    for number, seconds in signals:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        for _ in range(int(seconds / 0.02)):
            if not is_alive(pid):
                return True
            await asyncio.sleep(0.02)
    return not is_alive(pid)


def bound_log(log: Path) -> None:
    """Keep a log small: the last part moves to `<name>.1`. The server goes on writing, its file stays the same one."""
    try:
        if log.stat().st_size <= LOG_LIMIT_BYTES:
            return
        log.with_suffix(".log.1").write_bytes(_read_from(log, -LOG_LIMIT_BYTES))
        os.truncate(log, 0)
    except FileNotFoundError:
        return


def log_since(log: Path, offset: int, *, lines: int = 6) -> str:
    """The last lines of a log that came after `offset`."""
    try:
        text = _read_from(log, offset).decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.strip().splitlines()[-lines:])


def _read_from(file: Path, offset: int) -> bytes:
    with file.open("rb") as reader:
        reader.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
        return reader.read()
