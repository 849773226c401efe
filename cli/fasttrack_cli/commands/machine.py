"""`fasttrack up`, `scheduler`, `api` and `down`: everything on this machine in one process, parts alone, and its end."""

from __future__ import annotations

from typing import Annotated

import typer

from ..exits import OK
from ..invocation import Invocation


async def up(
    call: Invocation,
    stop_servers: Annotated[
        bool | None,
        typer.Option(
            "--stop-servers/--keep-servers",
            help="Whether the embedded servers are stopped at the end, if nobody else uses them. By default only when "
            "this command started them.",
            show_default=False,
        ),
    ] = None,
    api: Annotated[bool, typer.Option("--api/--no-api", help="Whether the API is served too.")] = True,
) -> int:
    """Run everything on this machine: the database and Redis where none are given, a scheduler, and the API.

    Ctrl-C ends it. The API listens at `FASTTRACK_API_HOST` and `FASTTRACK_API_PORT`; when the port is taken, that is
    said and everything else runs. Logs go to standard error. When the database goes away, it is tried again until it is back. At the end everything
    stops in order within ten seconds; running sessions go on, and are taken up again by the next `fasttrack up`.

    Example: `FASTTRACK_STATE_DIR=/var/lib/fasttrack fasttrack up`
    """
    from ..upkeep import Upkeep

    await Upkeep(call, stop_servers, api=api).run()
    return OK


async def scheduler(call: Invocation) -> int:
    """Run a scheduler alone, on a database and a Redis that are given: one of any number, on any machine.

    `FASTTRACK_DATABASE_URL` and `FASTTRACK_REDIS_URL` say where they are. Ends in order on SIGTERM within ten seconds;
    running sessions go on, and any other scheduler of the site takes them up.

    Example: `FASTTRACK_DATABASE_URL=postgresql://… FASTTRACK_REDIS_URL=redis://… fasttrack scheduler`
    """
    from fasttrack.errors import InvalidInput

    from ..upkeep import Upkeep

    if call.settings.database_url is None or call.settings.redis_url is None:
        raise InvalidInput(
            "a scheduler alone needs FASTTRACK_DATABASE_URL and FASTTRACK_REDIS_URL; "
            "on one machine `fasttrack up` runs everything"
        )
    await Upkeep(call).run()
    return OK


async def api(
    call: Invocation,
    host: Annotated[
        str | None, typer.Option(help="Where to listen, over FASTTRACK_API_HOST.", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Over FASTTRACK_API_PORT; 0 is any that is free.", show_default=False),
    ] = None,
) -> int:
    """Serve the API alone: one of any number of processes on one database. Jobs need a scheduler somewhere besides.

    It listens at once, and `/readyz` says what it waits for. Ends in order on SIGTERM within ten seconds, open streams
    included; their readers go on at another process from their cursor.

    Example: `fasttrack api --port 8812`
    """
    from ..serving import serve_alone

    await serve_alone(call, host, port)
    return OK


async def down(
    call: Invocation,
    force: Annotated[bool, typer.Option("--force", help="Even while other commands use them.")] = False,
) -> int:
    """Stop the embedded servers of the state directory. Nothing is lost; the next command starts them again.

    Refused while a `fasttrack` command uses them, such as `fasttrack up`: end that first.

    Example: `fasttrack down`
    """
    from fasttrack.errors import Conflict

    from ..presence import SERVERS, anyone_present
    from ..servers import stop_servers

    settings = call.settings
    if not force and anyone_present(settings.state_dir, SERVERS):
        raise Conflict(
            f"another fasttrack command uses the servers of {settings.state_dir}, perhaps `fasttrack up`: "
            "end it first, or use --force"
        )
    stopped = await stop_servers(settings)
    if call.out.as_json:
        call.out.document({"stopped": list(stopped)})
    else:
        call.out.text(
            f"stopped {' and '.join(stopped)}" if stopped else "no server of this state directory was running"
        )
    return OK
