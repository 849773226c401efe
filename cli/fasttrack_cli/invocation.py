"""What holds for one command line: the options every command takes, its settings and its output.

A command is a function, plain or asynchronous, that takes an `Invocation` and returns an exit code or `None`;
`command` gives it the common options.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fasttrack.errors import InvalidInput

from .completion import complete_profiles
from .output import Output

if TYPE_CHECKING:
    from fasttrack.settings import Settings

    from .store import Store
    from .target import Target
    from .workbench import Workbench

_PANEL = "Everywhere"
JSON = Annotated[
    bool, typer.Option("--json", help="Print JSON: one document, or one object per line.", rich_help_panel=_PANEL)
]
STATE_DIR = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        metavar="DIR",
        help="Where the embedded servers and the local backend keep their files.",
        rich_help_panel=_PANEL,
    ),
]
PROJECT = Annotated[
    str | None, typer.Option("--project", metavar="NAME", help="The project to work in.", rich_help_panel=_PANEL)
]
SERVER = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="URL", help="Work on this server instead of this machine.", rich_help_panel=_PANEL
    ),
]
PROFILE = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="Work on the server of this profile.",
        rich_help_panel=_PANEL,
        autocompletion=complete_profiles,
    ),
]
LOCAL = Annotated[
    bool,
    typer.Option(
        "--local", help="Work on this machine, whatever the environment and the profiles say.", rich_help_panel=_PANEL
    ),
]
INSECURE = Annotated[
    bool,
    typer.Option(
        "--insecure-http", help="Let the token go to an http:// server that is elsewhere.", rich_help_panel=_PANEL
    ),
]
DEBUG = Annotated[
    bool, typer.Option("--debug", help="Show where an error came from, and more log lines.", rich_help_panel=_PANEL)
]


class ReaderLeft(Exception):
    """Whoever read our output is gone."""


class Invocation:
    """One command line."""

    def __init__(self, *, as_json: bool = False, debug: bool = False) -> None:
        self.name = ""
        """The command's, such as `secrets set`."""
        self.as_json = as_json
        self.debug = debug
        self.state_dir: Path | None = None
        self.project: str | None = None
        self.server: str | None = None
        self.profile: str | None = None
        self.local = False
        self.insecure_http = False

    def merge(self, **given: Any) -> None:
        """Take what was given before or after the command's name; after counts more."""
        for name, value in given.items():
            setattr(self, name, value or getattr(self, name))

    @cached_property
    def out(self) -> Output:
        """Where answers and messages go."""
        return Output(as_json=self.as_json)

    @cached_property
    def settings(self) -> Settings:
        """The settings with the options of this command line over them. :raises InvalidInput: one is not valid."""
        from .configuration import load_settings

        return load_settings(self.overrides)

    @cached_property
    def target(self) -> Target | None:
        """The server to work on; `None` is this machine. Errors as those of `find_target`."""
        from .target import Asked, find_target

        return find_target(Asked(self.server, self.profile, self.project, self.local, self.insecure_http))

    def require_this_machine(self) -> None:
        """Pass if no server is given. :raises InvalidInput: one is, and this command is about the machine itself."""
        if self.target is not None:
            raise InvalidInput(
                f"`fasttrack {self.name}` is about this machine, and {self.target.origin} names the server "
                f"{self.target.url}: leave that out, or add --local"
            )

    @asynccontextmanager
    async def opened(self, *, log_level: str = "warning", any_project: bool = False) -> AsyncIterator[Workbench]:
        """The workbench of this command. Logs go to standard error, from `log_level` on unless a setting says else.

        :raises InvalidInput: a server is given.
        """
        self.require_this_machine()
        from .diagnostics import set_up_logging
        from .workbench import opened

        set_up_logging(self.settings, log_level)
        async with opened(self.settings, any_project=any_project) as bench:
            yield bench

    @asynccontextmanager
    async def store(
        self, *, any_project: bool = False, waits: bool = False, scheduler: bool | None = None
    ) -> AsyncIterator[Store]:
        """What this command works on: the database of this machine, or the server that is given.

        :param waits: whether a job is watched, for which this machine needs its session backend.
        :param scheduler: whether one is asked for. :raises InvalidInput: a server is given, and it has its own.
        """
        if self.target is not None:
            from .remote import remote_store

            if scheduler:
                raise InvalidInput("a server has schedulers of its own: leave --scheduler out")
            async with remote_store(self.target, say=self.out.warn) as remote:
                yield remote
            return
        from .diagnostics import set_up_logging
        from .local import local_store

        set_up_logging(self.settings, "warning")
        if waits:
            from .workbench import require_backend

            require_backend(self.settings)  # before anything is stored
        async with local_store(self.settings, any_project=any_project) as local:
            yield local

    @property
    def overrides(self) -> dict[str, Any]:
        """Settings that this command line gives."""
        given: dict[str, Any] = {"state_dir": self.state_dir, "project": self.project}
        if self.debug:
            given["log_level"] = "debug"
        return {name: value for name, value in given.items() if value is not None}


_current: ContextVar[Invocation] = ContextVar("fasttrack_invocation")


def new_invocation(*, as_json: bool, debug: bool) -> Invocation:
    """Begin a command line. Both are known before it is parsed, so that its faults can be told the right way."""
    call = Invocation(as_json=as_json, debug=debug)
    _current.set(call)
    return call


def invocation() -> Invocation:
    """The command line that is being run."""
    return _current.get()


def command(function: Callable[..., Any], name: str, *, is_of_machine: bool) -> Callable[..., Any]:
    """The function as typer wants it: without its first parameter, with the common options at the end.

    :param is_of_machine: whether it is about this machine, and refused when a server is given.
    """
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    common = list(inspect.signature(_common, eval_str=True).parameters.values())

    @wraps(function)
    def run(**given: Any) -> int | None:
        call = invocation()
        call.merge(**{parameter.name: given.pop(parameter.name) for parameter in common})
        call.name = name
        if is_of_machine:
            call.require_this_machine()
        try:
            result = function(call, **given)
            if inspect.iscoroutine(result):
                from .running import run_async

                result = run_async(result)
        except BrokenPipeError:
            raise ReaderLeft from None  # typer would end the process by itself
        return result if isinstance(result, int) else None

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *common)]
    run.__signature__ = inspect.Signature(parameters, return_annotation=int | None)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    del run.__wrapped__  # typer would look through it
    return run


def _common(
    as_json: JSON = False,
    state_dir: STATE_DIR = None,
    project: PROJECT = None,
    server: SERVER = None,
    profile: PROFILE = None,
    local: LOCAL = False,
    insecure_http: INSECURE = False,
    debug: DEBUG = False,
) -> None:
    """Carries the options of every command in its signature."""
