"""Folders that a task sees: `folder` or `folder:alias`, at `/home/work/<alias>`."""

from __future__ import annotations

from collections.abc import Iterable

from ..domain.pipeline import Mount


def parse_mount(text: str) -> Mount:
    """The mount that `folder` or `folder:alias` means.

    :raises ValueError: with a sentence, for anything that could leave `/home/work` or is no folder's name.
    """
    folder, colon, alias = text.partition(":")
    if ":" in alias:
        raise ValueError(f"{text[:80]!r} has more than one colon. Write `folder` or `folder:alias`.")
    if colon and not alias:
        raise ValueError(f"{text[:80]!r} has no alias after the colon. Write one, or leave the colon out.")
    return Mount(folder, alias or folder)


def check_mount(mount: Mount) -> None:
    """Pass if the folder's name and the alias are plain names.

    :raises ValueError: with a sentence that says what would be right.
    """
    for name, what in ((mount.folder, "folder"), (mount.alias, "alias")):
        shown = repr(name[:80])
        if not name or name != name.strip():
            raise ValueError(f"{shown} cannot be the {what} of a mount. Give a name without spaces at its ends.")
        if "/" in name or "\\" in name:
            raise ValueError(
                f"{shown} is a path; the {what} of a mount is one name. The folder appears at /home/work/<alias>, and its "
                "subfolders below it."
            )
        if name in (".", ".."):
            raise ValueError(f"{shown} cannot be the {what} of a mount. Give the name of a folder.")
        if not name.isprintable() or len(name) > 255:
            raise ValueError(f"{shown} cannot be the {what} of a mount. Use at most 255 printable characters.")
    if mount.alias.startswith("."):
        raise ValueError(
            f"{mount.alias[:80]!r} begins with a dot. Such folders are mounted into every session by themselves: remove "
            "the entry, or give it an alias without the dot."
        )


def find_collision(mounts: Iterable[Mount]) -> Mount | None:
    """The first mount whose alias an earlier one has already, if there is any."""
    seen: set[str] = set()
    for mount in mounts:
        if mount.alias in seen:
            return mount
        seen.add(mount.alias)
    return None
