"""`fasttrack secrets`: names may be seen, values go in and never come out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fasttrack.domain.secrets import MOST_BYTES, require_name
from fasttrack.errors import InvalidInput

from ..exits import OK
from ..files import read_file
from ..invocation import Invocation

NAME = Annotated[str, typer.Argument(metavar="NAME", help="The secret's name: letters, digits and `_`.")]


async def list_(call: Invocation) -> int:
    """List the names of the project's secrets: never their values.

    Example: `fasttrack secrets list`
    """
    from ..view.words import moment

    async with call.store() as store:
        found = await store.secrets.all()
    if call.out.as_json:
        call.out.document(
            {"secrets": [{"name": s.name, "updated_by": s.updated_by, "updated_at": s.updated_at} for s in found]}
        )
    elif found:
        call.out.table(("secret", "by", "updated"), [(s.name, s.updated_by, moment(s.updated_at)) for s in found])
    else:
        call.out.say("There are no secrets yet: `fasttrack secrets set NAME` stores one.")
    return OK


async def set_(
    call: Invocation,
    name: NAME,
    from_file: Annotated[
        Path | None, typer.Option("--from-file", metavar="FILE", help="Take the content of a file, as it stands.")
    ] = None,
) -> int:
    """Store a secret, or replace its value. A task reads it as `${{ secrets.NAME }}`.

    The value is asked for, or read from standard input (without one line break at its end), or from a file; never
    from the command line, where other users could see it.

    Example: `printenv TOKEN | fasttrack secrets set HUB_TOKEN`
    """
    require_name(name)  # before anybody types a value
    value = _value(name, from_file)
    async with call.store() as store:
        await store.secrets.put(name, value)
    if call.out.as_json:
        call.out.document({"name": name, "stored": True})
    else:
        call.out.say(f"stored secret {name}")
    return OK


async def delete(call: Invocation, name: NAME) -> int:
    """Forget a secret. Jobs that still need it will be refused.

    Example: `fasttrack secrets delete HUB_TOKEN`
    """
    async with call.store() as store:
        await store.secrets.delete(name)
    if call.out.as_json:
        call.out.document({"name": name, "deleted": True})
    else:
        call.out.say(f"deleted secret {name}")
    return OK


def _value(name: str, from_file: Path | None) -> str:
    import sys

    if from_file is not None:
        _, data = read_file(str(from_file))
        where = str(from_file)
    elif sys.stdin.isatty():
        return _checked(typer.prompt(f"Value of {name}", hide_input=True, err=True), "the value")
    else:
        data = sys.stdin.buffer.read(MOST_BYTES + 2)
        data = data.removesuffix(b"\n").removesuffix(b"\r")
        where = "standard input"
    try:
        return _checked(data.decode(), where)
    except UnicodeDecodeError:
        raise InvalidInput(f"{where} is not text in UTF-8; encode it first, for example with base64") from None


def _checked(value: str, where: str) -> str:
    if not value:
        raise InvalidInput(f"{where} is empty; nothing was stored")
    if "\0" in value:
        raise InvalidInput(f"{where} holds the character NUL, which no variable of a task can hold")
    if len(value.encode()) > MOST_BYTES:
        raise InvalidInput(f"{where} is longer than {MOST_BYTES // 1024} KiB, the most a secret can have")
    return value


COMMANDS = (("list", list_), ("set", set_), ("delete", delete))
