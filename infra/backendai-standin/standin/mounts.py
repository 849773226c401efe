"""Which parts of folders a session gets, where: the rules of both routes, and what they drop in silence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .folders import HOME, Folder, Folders
from .problems import Problem

RESERVED = frozenset(
    {
        HOME, "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root",
        "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var",  # noqa: S108 - names, not used
    }
)  # fmt: skip
"""Refused as a target only when meant exactly: what lies below is free."""


@dataclass(frozen=True)
class Mount:
    """A part of a folder at its place in the session."""

    folder: Folder
    inside: str
    source: Path
    """That it is there is asked by nobody before the container is made."""
    target: str
    is_read_only: bool

    def meets(self, folder: Folder, inside: str) -> bool:
        """Whether it is the same part of the same folder, or holds it, or lies in it."""
        if self.folder.id != folder.id:
            return False
        mine, other = self.inside.strip("/"), inside.strip("/")
        return mine == other or not mine or not other or _is_within(mine, other) or _is_within(other, mine)


def of_config(folders: Folders, owner: str, config: dict[str, Any], *, once_per_folder: bool) -> list[Mount]:
    """Those of `POST /session`, which names folders as `folder` or `folder/part`.

    :param once_per_folder: the first entry of a folder wins and the others are dropped in silence (from 26.4.4).
    :raises Problem: one cannot be.
    """
    targets = {**config.get("mount_map", {}), **config.get("mount_id_map", {})}
    options = config.get("mount_options", {})
    sources = [str(source) for source in [*config.get("mounts", []), *config.get("mount_ids", [])]]
    if not once_per_folder:
        for one, other in ((a, b) for a in sources for b in sources if a != b):
            if _is_within(one, other):
                message = f"VFolder source path '{one}' overlaps with '{other}'"
                raise Problem(400, "invalid-api-params", message)
    found: list[Mount] = []
    for source in sources:
        name, _, inside = source.partition("/")
        folder = folders.find(owner, name)
        option = options.get(source, {})
        if once_per_folder:
            if any(mount.folder.id == folder.id for mount in found):
                continue
            inside = option.get("subpath", inside)
        permission = option.get("permission", option.get("perm"))
        _put(found, folders, folder, inside, targets.get(source, source), permission)
    return found


def of_entries(folders: Folders, owner: str, entries: list[dict[str, Any]]) -> list[Mount]:
    """Those of `POST /v2/sessions/enqueue`: several parts of a folder, as long as none lies in another.

    One that lies in an earlier one, or holds it, is dropped in silence. :raises Problem: one cannot be.
    """
    found: list[Mount] = []
    for entry in entries:
        folder = folders.find_by_id(owner, str(entry["vfolder_id"]))
        inside = str(entry.get("subpath") or "")
        if any(mount.meets(folder, inside) for mount in found):
            continue
        _put(found, folders, folder, inside, entry.get("mount_path") or folder.name, entry.get("permission"))
    return found


def _put(
    found: list[Mount], folders: Folders, folder: Folder, inside: str, target: str, permission: str | None
) -> None:
    source = folders.path(folder, inside)
    if not target.startswith("/"):
        target = f"{HOME}/{target}"
    target = target.rstrip("/") or "/"
    if target == "/" or target in RESERVED:
        raise Problem(400, "invalid-api-params", f"alias '{target}' is reserved for internal paths.")
    for other in (mount.target for mount in found):
        if target == other or _is_within(target, other) or _is_within(other, target):
            raise Problem(400, "invalid-api-params", f"VFolder path '{target}' overlaps with '{other}'")
    if folder.permission == "ro" and permission in ("rw", "wd"):
        message = (
            f"VFolder {folder.name} is allowed to be accessed in 'ro' mode, but attempted with '{permission}' mode."
        )
        raise Problem(400, "vfolder-permission-error", message)
    found.append(Mount(folder, inside, source, target, (permission or folder.permission) == "ro"))


def _is_within(path: str, other: str) -> bool:
    return path.startswith(other + "/")
