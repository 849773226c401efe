"""The table of commands, and the one place where an error becomes a sentence and an exit code.

To add a command: a function in `commands/<noun>.py` with `Invocation` as its first parameter, and one line in
`_COMMANDS`. Nothing heavy is imported here or at the top of those modules: `fasttrack --help` must be quick.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer

from fasttrack.errors import FastTrackError

from .commands import (
    accounts,
    audit,
    catalog,
    control,
    credentials,
    database,
    doctor,
    documents,
    jobs,
    logs,
    machine,
    members,
    operations,
    pipelines,
    pools,
    profile,
    projects,
    prune,
    resources,
    retention,
    secrets,
    settings,
    skip,
    templates,
    tokens,
    validate,
)
from .commands import run as runs
from .exits import INTERRUPTED, READER_LEFT, exit_code_of
from .invocation import (
    DEBUG,
    INSECURE,
    JSON,
    LOCAL,
    PROFILE,
    PROJECT,
    SERVER,
    STATE_DIR,
    Invocation,
    ReaderLeft,
    command,
    invocation,
    new_invocation,
)
from .output import print_error

_COMMANDS: tuple[tuple[str, Sequence[tuple[str, Callable[..., Any]]]], ...] = (
    (
        "This machine",
        (
            ("up", machine.up),
            ("down", machine.down),
            ("scheduler", machine.scheduler),
            ("api", machine.api),
            ("doctor", doctor.doctor),
        ),
    ),
    (
        "Pipelines",
        (
            ("validate", validate.validate),
            ("publish", pipelines.publish),
            ("versions", pipelines.versions),
            ("diff", documents.diff),
            ("restore", pipelines.restore),
            ("export", documents.export),
            ("schema", documents.schema),
        ),
    ),
    (
        "Running and watching",
        (
            ("run", runs.run),
            ("jobs", jobs.jobs),
            ("job", jobs.job),
            ("logs", logs.logs),
            ("cancel", jobs.cancel),
            ("pause", control.pause),
            ("resume", control.resume),
            ("skip", skip.skip),
            ("rerun", control.rerun),
        ),
    ),
    (
        "Set-up",
        (
            ("whoami", profile.whoami),
            ("settings", settings.settings),
            ("prune", prune.prune),
            ("resources", resources.resources),
            ("audit", audit.audit),
        ),
    ),
)
_LISTS = (
    ("pipelines", "Pipelines", pipelines.pipelines, catalog.COMMANDS),
    ("templates", "Pipelines", templates.templates, templates.COMMANDS),
)
"""Groups that list what there is when nothing follows them."""
_GROUPS = (
    ("profile", "Servers to work on, each with its token, in a file of your own.", profile.COMMANDS),
    ("projects", "Projects, which pipelines, jobs and secrets belong to.", projects.COMMANDS),
    ("pools", "Limits: how many tasks may have a session at once.", pools.COMMANDS),
    ("retention", "How long logs, outputs, events and jobs are kept.", retention.COMMANDS),
    ("secrets", "Keep secrets of the project; values are never printed.", secrets.COMMANDS),
    ("credentials", "Keys that jobs run with on a cluster; secret halves are never printed.", credentials.COMMANDS),
    ("accounts", "People and programs that may call the API.", accounts.COMMANDS),
    ("members", "Who may do what in the project.", members.COMMANDS),
    ("tokens", "What callers of the API show; a token is printed once.", tokens.COMMANDS),
    ("operations", "GraphQL that callers may send the hash of; some tokens run nothing else.", operations.COMMANDS),
    ("db", "Bring the database's schema up to date, or check it.", database.COMMANDS),
)
_OF_THIS_MACHINE = frozenset({"up", "down", "scheduler", "api", "doctor", "settings", "prune", "db"})
"""What makes no sense when a server is given, and is refused then."""

app = typer.Typer(
    name="fasttrack",
    help="Pipelines of tasks as compute sessions: check a file, run it, watch it, keep its versions.",
    epilog="Start with `fasttrack validate FILE`, then `fasttrack run FILE --wait`. "
    "Exit codes: 0 done, 1 the answer is no, 2 wrong input, 3 not found, 4 a part is unavailable, 5 conflict, "
    "6 not allowed, 70 a fault in FastTrack itself, 130 interrupted, 141 the reader of the output left.",
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def _everywhere(
    as_json: JSON = False,
    state_dir: STATE_DIR = None,
    project: PROJECT = None,
    server: SERVER = None,
    profile: PROFILE = None,
    local: LOCAL = False,
    insecure_http: INSECURE = False,
    debug: DEBUG = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=lambda v: _print_version(v))
    ] = False,
) -> None:
    invocation().merge(
        as_json=as_json,
        state_dir=state_dir,
        project=project,
        server=server,
        profile=profile,
        local=local,
        insecure_http=insecure_http,
        debug=debug,
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"fasttrack {version('fasttrack')}\n")
        raise typer.Exit


def _assemble() -> None:
    for panel, commands in _COMMANDS:
        for name, function in commands:
            made = command(function, name, is_of_machine=name in _OF_THIS_MACHINE)
            app.command(name, rich_help_panel=panel)(made)
    for name, panel, listing, commands in _LISTS:
        group = typer.Typer(name=name, rich_markup_mode="markdown", invoke_without_command=True)
        group.callback()(command(listing, name, is_of_machine=False))
        for inner, function in commands:
            group.command(inner)(command(function, f"{name} {inner}", is_of_machine=False))
        app.add_typer(group, rich_help_panel=panel)
    for name, text, commands in _GROUPS:
        group = typer.Typer(name=name, help=text, rich_markup_mode="markdown", no_args_is_help=True)
        for inner, function in commands:
            made = command(function, f"{name} {inner}", is_of_machine=name in _OF_THIS_MACHINE)
            group.command(inner)(made)
        app.add_typer(group, rich_help_panel="Set-up")


_assemble()


def run(args: Sequence[str]) -> int:
    """Run one command line in this process; its exit code. Writes to the standard streams, raises nothing."""
    call = new_invocation(as_json="--json" in args, debug="--debug" in args)
    try:
        # 130 and the like come back as a value: nothing below this line may end the process.
        outcome = typer.main.get_command(app).main(
            list(args) or ["--help"], prog_name="fasttrack", standalone_mode=False
        )
    except typer.TyperException as error:
        return _usage(call, error)
    except typer.Abort:
        return INTERRUPTED
    except ReaderLeft:
        return _reader_left()
    except FastTrackError as error:
        if call.debug:
            _print_trace()
        print_error(call.out, error)
        return exit_code_of(error)
    except Exception as error:
        if call.debug:
            _print_trace()
        return _fault(call, error)
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    return outcome if isinstance(outcome, int) else 0


def _usage(call: Invocation, error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "fasttrack"
    message = error.format_message().strip() or "the command is not complete"
    sentence = message if message.endswith((".", "?", "!")) else f"{message}."
    if call.out.as_json:
        call.out.document({"error": {"code": "USAGE", "message": sentence, "retryable": False, "problems": []}})
    else:
        call.out.error(f"{sentence} See `{path} --help`.")
    return error.exit_code


def _fault(call: Invocation, error: Exception) -> int:
    message = f"FastTrack failed unexpectedly: {type(error).__name__}: {_first_line(error)}"
    if call.out.as_json:
        call.out.document({"error": {"code": "INTERNAL", "message": message, "retryable": False, "problems": []}})
    else:
        call.out.error(f"{message}. Repeat it with --debug to see where, and report that.")
    return exit_code_of(error)


def _first_line(error: Exception) -> str:
    return (str(error) or "no message").splitlines()[0]


def _print_trace() -> None:
    import traceback

    traceback.print_exc(file=sys.stderr)


def _reader_left() -> int:
    """Whoever read our output has left (`fasttrack jobs | head`): nothing more can be said.

    Not 0: of a job that was waited for, the verdict is not known.
    """
    import os

    # Python flushes at exit and would complain: from here on the output goes nowhere.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_LEFT
