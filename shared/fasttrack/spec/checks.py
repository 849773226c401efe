"""What must hold inside one task of a document: environment, mounts, resources, placeholders. Each finding has a place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from ..domain.accelerators import is_accelerator, near_miss
from ..domain.pipeline import Mount
from ..domain.resources import parse_amount, parse_size
from .document import Part, TaskSpec
from .findings import Findings
from .imports import parse_module_uri
from .mounts import check_mount, parse_mount
from .placeholders import ALLOWED_PLACES, PARAM_VARIABLE, SECRET_VARIABLE, Placeholder, find, malformed, spots
from .shell import Where
from .source import Path

MAX_VARIABLES = 200
MAX_VARIABLE_BYTES = 32 * 1024
_SMALLEST_MEMORY = 1024**2

_ENV_NAME = re.compile(r"[^=\s\x00-\x1f\x7f]{1,255}\Z")
_RESERVED_PREFIXES = ("BACKENDAI_", PARAM_VARIABLE, SECRET_VARIABLE)
_RESERVED_NAMES = frozenset({"LD_PRELOAD", "LD_AUDIT"})

Params = Mapping[str, str]
"""Names of the declared parameters and their types."""


def check_envs(envs: Mapping[str, str], path: Path, params: Params, findings: Findings) -> None:
    """Names that can be variables, values that fit, placeholders that exist."""
    for name, value in envs.items():
        at = (*path, name)
        if not _ENV_NAME.match(name):
            findings.error(
                at,
                f"{name[:80]!r} cannot name a variable. Use 1 to 255 characters without `=` and spaces.",
                at_key=True,
            )
        elif name.startswith(_RESERVED_PREFIXES):
            prefix = next(p for p in _RESERVED_PREFIXES if name.startswith(p))
            findings.error(
                at, f"`{name}`: names that begin with `{prefix}` are set by FastTrack. Use another.", at_key=True
            )
        elif name in _RESERVED_NAMES:
            findings.error(
                at,
                f"`{name}` would also act on the programs that start the task. Set it inside the command, before the "
                f"program that needs it: `{name}=… python train.py`.",
                at_key=True,
            )
        if len(value) > MAX_VARIABLE_BYTES // 4 and len(value.encode()) > MAX_VARIABLE_BYTES:
            findings.error(at, f"The value of `{name}` is longer than 32 KiB. Put it in a file in a folder.")
        if "\0" in value:
            findings.error(at, f"The value of `{name}` holds the character NUL. Remove it.")
        check_text(value, at, params, findings)


def check_text(text: str, path: Path, params: Params, findings: Findings) -> list[Placeholder]:
    """The placeholders of a text in which they are allowed; reports those that are malformed or name nothing."""
    if "${{" not in text:
        return []
    for offset, written in malformed(text):
        findings.error(
            path,
            f"`{written}` is not a placeholder. Write `${{{{ params.NAME }}}}` or `${{{{ secrets.NAME }}}}`, with a "
            "plain name and nothing else.",
            offset=offset,
        )
    found = find(text)
    for placeholder in found:
        if placeholder.source == "params" and placeholder.name not in params:
            hint = findings.did_you_mean(placeholder.name, params)
            findings.error(
                path,
                f"There is no parameter `{placeholder.name}`.{hint} Declare it under `params`.",
                offset=placeholder.start,
                refers_to="params",
            )
    return found


def check_command(command: str, path: Path, params: Params, findings: Findings) -> None:
    """The placeholders of a command stand where a shell expands a variable."""
    found = check_text(command, path, params, findings)
    if not found:
        return
    for placeholder, spot in zip(found, spots(command, found), strict=True):
        written = command[placeholder.start : placeholder.end]
        if remedy := _misplaced(placeholder, spot.where, params):
            findings.error(path, f"`{written}` stands {spot.where.value}. {remedy}", offset=placeholder.start)
        elif spot.feeds_another_shell and params.get(placeholder.name, "string") == "string":
            findings.warn(
                path,
                f"`{written}` becomes part of a text that a second shell reads as code. Use single quotes and "
                f"`${placeholder.variable}` there, or pass it as an argument: sh -c '… \"$1\"' sh {written}",
                offset=placeholder.start,
            )


def _misplaced(placeholder: Placeholder, where: Where, params: Params) -> str:
    """What to do about a placeholder that cannot stand where it stands; nothing when it can."""
    match where:
        case Where.SINGLE:
            return "A shell expands nothing there. Use double quotes, or close the single quotes around it."
        case Where.LITERAL_HEREDOC:
            return "A shell expands nothing there. Remove the quotes from the delimiter after `<<`."
        case Where.DELIMITER:
            return "Write a plain word as the delimiter."
        case Where.ESCAPED:
            return "Remove the backslash."
        case Where.DOLLAR:
            return "Together they would mean something else to a shell. Write `\\$` for a dollar sign."
        case Where.ARITHMETIC:
            kind = params.get(placeholder.name) if placeholder.source == "params" else None
            if kind in ("integer", "number", "boolean"):
                return ""
            return "A shell may read a text there as code. Declare the parameter as an integer, or move it out."
        case _:
            return ""


def check_nowhere(text: str, path: Path, findings: Findings) -> None:
    """No placeholder stands in a text where none is allowed."""
    if "${{" in text:
        findings.error(path, f"A placeholder cannot stand here. {ALLOWED_PLACES}", offset=text.index("${{"))


def check_plain_texts(part: Part, names: Sequence[str], path: Path, findings: Findings) -> None:
    """The same for several fields of a part."""
    for name in names:
        value = getattr(part, name)
        if isinstance(value, str):
            check_nowhere(value, (*path, name), findings)


def read_mounts(texts: Sequence[str], path: Path, params: Params, findings: Findings) -> tuple[Mount, ...]:
    """The mounts that can be; the others are reported."""
    mounts: list[Mount] = []
    seen: dict[str, str] = {}
    for index, text in enumerate(texts):
        at = (*path, index)
        check_text(text, at, params, findings)
        try:
            mount = parse_mount(text)
            if "${{" not in text:
                check_mount(mount)
        except ValueError as error:
            findings.error(at, str(error))
            continue
        if mount.alias in seen:
            findings.error(
                at,
                f"{text!r} would appear at /home/work/{mount.alias}, as {seen[mount.alias]!r} does. Give one of them "
                "another alias: `folder:alias`.",
            )
            continue
        seen[mount.alias] = text
        mounts.append(mount)
    return tuple(mounts)


def check_module_uri(task: TaskSpec, path: Path, findings: Findings, *, is_import: bool) -> None:
    """The address of an import names code that can be fetched, to a place that no mount takes."""
    at = (*path, "module_uri")
    if "${{" in task.module_uri:
        check_nowhere(task.module_uri, at, findings)
        return
    if not task.module_uri.strip():
        if is_import:
            findings.error(
                path,
                f"Task `{task.name}` imports code and has no `module_uri`. Give the repository's address.",
                refers_to="type",
            )
        return
    if not is_import:
        findings.warn(
            at,
            "Only tasks of type `Import from GitHub` or `Import from GitLab` fetch code; this has no effect.",
            at_key=True,
        )
        return
    try:
        code = parse_module_uri(task.module_uri)
    except ValueError as error:
        findings.error(at, str(error))
        return
    for index, text in enumerate(task.mounts):
        if code.name in (text, text.partition(":")[2]):
            findings.error(
                (*path, "mounts", index),
                f"{text!r} would appear at /home/work/{code.name}, where the code of `module_uri` goes. Give it another "
                "alias: `folder:alias`.",
            )


def read_slots(resources: Mapping[str, str], path: Path, findings: Findings) -> dict[str, Decimal]:
    """The slots as amounts; reports requests that no container can have."""
    slots = {slot: parse_amount(slot, amount) for slot, amount in resources.items()}
    if slots.get("cpu") == 0:
        findings.error((*path, "cpu"), "A container needs at least one core. Write `cpu: 1` or more.")
    if slots.get("mem", _SMALLEST_MEMORY) < _SMALLEST_MEMORY:
        written = int(slots["mem"])
        findings.error(
            (*path, "mem"),
            f"`mem: {written}` means {written} bytes, too little for any container. Write a unit, such as "
            f"{written or 2}g.",
        )
    if "cuda.device" in slots and "cuda.shares" in slots:
        findings.error(
            (*path, "cuda.shares"),
            "`cuda.device` and `cuda.shares` cannot be asked for together: a cluster counts its GPUs in one way. Keep one.",
        )
    for slot in slots:
        if (near := near_miss(slot)) is not None:
            findings.warn(
                (*path, slot), f"The slot `{slot[:80]}` is not a usual one. Did you mean `{near}`?", at_key=True
            )
    return slots


def check_shared_memory(task: TaskSpec, mem: Decimal, path: Path, findings: Findings) -> int:
    """The shared memory in bytes, which must leave room in the memory."""
    written = task.resource_opts.shmem or "0g"
    shmem = parse_size(written)
    if shmem and shmem >= mem:
        findings.error(
            (*path, "resource_opts", "shmem"),
            f"Shared memory is part of `mem`, and {written} of shared memory leave nothing of `mem: "
            f"{task.resources['mem']}`. Ask for more `mem` or less `shmem`.",
        )
    return shmem


def check_choices(task: TaskSpec, path: Path, findings: Findings) -> None:
    """A task with alternatives names its accelerators only there."""
    named = [slot for slot in task.resources if is_accelerator(slot)]
    if task.any_of and named:
        findings.error(
            (*path, "resources", named[0]),
            f"`any_of` lists the accelerators to choose from, so `{named[0]}` cannot stand here too. Make it the first "
            "entry of `any_of`.",
        )
