"""`${{ params.X }}` and `${{ secrets.X }}`: finding them, checking them, filling them in.

Substitution is one pass by plain name: no expressions, no nesting, and a value is never looked at again. Into a command
nothing is substituted at all: the placeholder becomes a reference to an environment variable, so a value cannot become
shell code whatever it holds (see `shell`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ..domain.pipeline import Mount, Task
from ..errors import InvalidRun
from . import shell
from .mounts import check_mount, find_collision
from .values import Value, render

PARAM_VARIABLE = "FASTTRACK_PARAM_"
SECRET_VARIABLE = "FASTTRACK_SECRET_"  # noqa: S105  the name of a variable, not a secret
MAX_RESULT_BYTES = 64 * 1024

ALLOWED_PLACES = (
    "`${{ … }}` may stand in a task's `command`, in values of `envs`, in `image`, `scaling-group` and `mounts`."
)

_OPEN = "${{"
_PLACEHOLDER = re.compile(r"\$\{\{(?:\s*(params|secrets)\.([A-Za-z_][A-Za-z0-9_]{0,63})\s*\}\})?")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One placeholder in a text."""

    start: int
    end: int
    source: str
    """`params` or `secrets`."""
    name: str

    @property
    def variable(self) -> str:
        """The environment variable that carries its value into a command."""
        return (PARAM_VARIABLE if self.source == "params" else SECRET_VARIABLE) + self.name


def find(text: str) -> list[Placeholder]:
    """The well-formed placeholders of a text, in order."""
    if _OPEN not in text:
        return []
    return [
        Placeholder(match.start(), match.end(), match.group(1), match.group(2))
        for match in _PLACEHOLDER.finditer(text)
        if match.group(1)
    ]


def malformed(text: str) -> Iterator[tuple[int, str]]:
    """The position and text of everything that begins like a placeholder and is none."""
    if _OPEN in text:
        for match in _PLACEHOLDER.finditer(text):
            if not match.group(1):
                end = text.find("}}", match.start(), match.start() + 80)
                yield match.start(), text[match.start() : end + 2 if end >= 0 else match.start() + 20]


def texts_of(task: Task) -> Iterator[str]:
    """Every text of a compiled task that may hold placeholders."""
    yield from (task.command, task.image, task.resource_group)
    yield from task.envs.values()
    for mount in task.mounts:
        yield from (mount.folder, mount.alias)
    for choice in task.any_of:
        yield choice.image or ""
        yield from choice.envs.values()


def secret_names(task: Task) -> frozenset[str]:
    """The names of all secrets that a task refers to."""
    return frozenset(p.name for text in texts_of(task) if _OPEN in text for p in find(text) if p.source == "secrets")


def fill_task(task: Task, *, params: Mapping[str, Value], secrets: Mapping[str, str]) -> Task:
    """The task as it is to be started: every placeholder filled in, every parameter in its environment.

    In `envs`, `image`, `scaling-group` and `mounts` the value replaces the placeholder. In `command` a reference to
    `FASTTRACK_PARAM_<name>` or `FASTTRACK_SECRET_<name>` does. A secret that is not in `secrets` stays as the literal
    text, as in FastTrack; `Pipeline.secrets` lets a caller refuse earlier.

    :raises InvalidRun: a parameter has no value, a result is longer than 64 KiB, or an image, a resource group or a
        mount comes out as something that cannot be one.
    """
    fill = _filler(params, secrets)
    command, variables = _fill_command(task.command, secrets)
    envs = {name: fill(value, f"the variable {name}") for name, value in task.envs.items()}
    envs |= {PARAM_VARIABLE + name: render(value) for name, value in params.items()}
    mounts = tuple(_fill_mount(mount, fill) for mount in task.mounts)
    if collision := find_collision(mounts):
        raise InvalidRun(
            f"Task {task.name}: two mounts end up at /home/work/{collision.alias}. Give one another alias."
        )
    return replace(
        task,
        command=command,
        image=_one_word(fill(task.image, "the image"), "image"),
        resource_group=_one_word(fill(task.resource_group, "the resource group"), "resource group"),
        envs=envs | variables,
        mounts=mounts,
        any_of=tuple(
            replace(
                choice,
                image=None if choice.image is None else _one_word(fill(choice.image, "the image"), "image"),
                envs={name: fill(value, f"the variable {name}") for name, value in choice.envs.items()},
            )
            for choice in task.any_of
        ),
    )


def _filler(params: Mapping[str, Value], secrets: Mapping[str, str]) -> Callable[[str, str], str]:
    def fill(text: str, what: str) -> str:
        if _OPEN not in text:
            return text
        parts: list[str] = []
        at = size = 0
        for found in find(text):
            literal = text[found.start : found.end]
            if found.source == "secrets":
                value = secrets.get(found.name, literal)
            elif found.name in params:
                value = render(params[found.name])
            else:
                raise InvalidRun(f"The parameter {found.name} has no value. Give one when the run is started.")
            parts += (text[at : found.start], value)
            size += len(value)
            if size > MAX_RESULT_BYTES:
                break
            at = found.end
        result = "".join([*parts, text[at:]])
        if "\0" in result:
            raise InvalidRun(
                f"With its placeholders filled in, {what} holds the character NUL. Remove it from the value."
            )
        if size > MAX_RESULT_BYTES or len(result.encode("utf-8", "surrogatepass")) > MAX_RESULT_BYTES:
            raise InvalidRun(f"With its placeholders filled in, {what} is longer than 64 KiB. Pass a file instead.")
        return result

    return fill


def _fill_command(command: str, secrets: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    found = find(command)
    if not found:
        return command, {}
    parts: list[str] = []
    variables: dict[str, str] = {}
    at = 0
    for placeholder, spot in zip(found, spots(command, found), strict=True):
        parts += (command[at : placeholder.start], shell.reference(spot.where, placeholder.variable))
        at = placeholder.end
        if placeholder.source == "secrets":
            literal = command[placeholder.start : placeholder.end]
            variables[placeholder.variable] = secrets.get(placeholder.name, literal)
    return "".join([*parts, command[at:]]), variables


def spots(command: str, found: Iterable[Placeholder]) -> list[shell.Spot]:
    """Where in the command each placeholder stands."""
    return shell.locate(command, [(p.start, p.end) for p in found])


def _fill_mount(mount: Mount, fill: Callable[[str, str], str]) -> Mount:
    if _OPEN not in mount.folder and _OPEN not in mount.alias:
        return mount
    filled = Mount(fill(mount.folder, "the mount"), fill(mount.alias, "the mount"))
    try:
        check_mount(filled)
    except ValueError as error:
        raise InvalidRun(str(error)) from None
    return filled


def _one_word(text: str, what: str) -> str:
    if _OPEN not in text and any(char.isspace() or not char.isprintable() for char in text):
        raise InvalidRun(f"{text[:80]!r} cannot name the {what}: it has spaces or control characters.")
    return text
