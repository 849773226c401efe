"""`fasttrack profile` and `whoami`: the servers that one works with, and who one is there."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..completion import complete_profiles
from ..exits import OK
from ..invocation import Invocation

NAME = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The profile's name.", show_default=False, autocompletion=complete_profiles),
]
_MOST_BYTES = 8192


def add(
    call: Invocation,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name for the server.", show_default=False)],
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Without a token: for a server that asks for none.")
    ] = False,
) -> int:
    """Keep a server under a name, with the token to show there; one of that name is replaced.

    The server is given by `--server`, a project to work in by `--project`. The token is asked for, or read from standard
    input; never from the command line, where others could see it. It is kept in a file that only you may read. The first
    profile is in use at once.

    Example: `fasttrack profile add prod --server https://fasttrack.example < token.txt`
    """
    from dataclasses import replace

    from fasttrack.errors import InvalidInput

    from ..profiles import Profile, load_profiles, profiles_file, require_name, save_profiles
    from ..target import clean_url, require_encrypted

    require_name(name)
    if not call.server:
        raise InvalidInput("name the server: `fasttrack profile add NAME --server URL`")
    profile = Profile(clean_url(call.server, "--server"), None, call.project, call.insecure_http)
    profiles = load_profiles()  # what is wrong with the file is said before a token is asked for
    if not no_token:
        profile = replace(profile, token=_token(name))
    require_encrypted(profile)
    changed = profiles.having(name, profile)
    save_profiles(changed if changed.current is not None else replace(changed, current=name))
    if call.out.as_json:
        call.out.document({"profile": _json(name, profile, is_current=changed.current in (None, name))})
    else:
        call.out.say(f"profile {name} is kept in {profiles_file()}")
    return OK


def list_(call: Invocation) -> int:
    """List the profiles, and which one is in use; never a token.

    Example: `fasttrack profile list`
    """
    from ..profiles import load_profiles

    profiles = load_profiles()
    found = sorted(profiles.all.items())
    if call.out.as_json:
        documents = [_json(name, p, is_current=name == profiles.current) for name, p in found]
        call.out.document({"profiles": documents})
    elif found:
        rows = [
            (name, p.server, p.project or "", "yes" if p.token else "no", "in use" if name == profiles.current else "")
            for name, p in found
        ]
        call.out.table(("profile", "server", "project", "token", "state"), rows)
    else:
        call.out.say("There are no profiles yet: `fasttrack profile add NAME --server URL` makes one.")
    return OK


def use(
    call: Invocation,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The profile's name.", autocompletion=complete_profiles)
    ] = None,
) -> int:
    """Have commands work on the server of this profile when they name none; with `--local`, on this machine again.

    Example: `fasttrack profile use prod`
    """
    from dataclasses import replace

    from fasttrack.errors import InvalidInput

    from ..profiles import load_profiles, save_profiles

    if (name is None) is not call.local:
        raise InvalidInput("name a profile, or give --local to work on this machine")
    profiles = load_profiles()
    if name is not None:
        profiles.get(name)
    save_profiles(replace(profiles, current=name))
    if call.out.as_json:
        call.out.document({"current": name})
    else:
        call.out.say(f"commands work on {'this machine' if name is None else profiles.get(name).server} from here on")
    return OK


def remove(call: Invocation, name: NAME) -> int:
    """Forget a profile and its token. The token stays valid: `fasttrack tokens revoke` ends it.

    Example: `fasttrack profile remove prod`
    """
    from ..profiles import load_profiles, save_profiles

    save_profiles(load_profiles().without(name))
    if call.out.as_json:
        call.out.document({"name": name, "removed": True})
    else:
        call.out.say(f"removed profile {name}")
    return OK


async def whoami(call: Invocation) -> int:
    """Say where commands work, as whom, and what one may do there.

    Example: `fasttrack whoami --json | jq -r '.scopes[]'`
    """
    if call.target is None:
        return _tell_local(call)
    from ..remote.connection import connected
    from ..remote.identity import read_identity
    from ..view.words import moment

    target = call.target
    async with connected(target, call.out.warn) as connection:
        found = await read_identity(connection)
    where = {"server": target.url, "named_by": target.origin, "version": found.version, "project": target.project}
    who = found.identity
    if call.out.as_json:
        call.out.document({**where, **who})
        return OK
    roles = [f"{p['project']} ({p['role'] or 'superadmin'})" for p in who["projects"]]
    call.out.facts(
        [
            ("server", f"{target.url} ({target.origin})"),
            ("version", found.version),
            ("account", f"{who['name']}, {'superadmin' if who['is_superadmin'] else who['kind']}"),
            ("scopes", ", ".join(who["scopes"])),
            ("token", who["token_name"] or ""),
            ("expires", moment(found.expires_at)),
            ("project", target.project or f"{who['default_project'] or 'none'} (the server's own)"),
            ("projects", ", ".join(roles)),
        ]
    )
    return OK


def _tell_local(call: Invocation) -> int:
    from importlib.metadata import version

    from ..workbench import user_name

    name = user_name()
    if call.out.as_json:
        call.out.document(
            {
                "server": None,
                "named_by": None,
                "version": version("fasttrack"),
                "project": call.settings.project,
                "name": name,
            }
        )
    else:
        call.out.facts(
            [
                ("server", "none: this machine"),
                ("version", version("fasttrack")),
                ("account", f"{name}, its owner"),
                ("project", call.settings.project),
            ]
        )
    return OK


def _token(name: str) -> str:
    import sys

    from ..target import checked_token

    if sys.stdin.isatty():
        return checked_token(typer.prompt(f"Token for {name}", hide_input=True, err=True), "what was typed")
    text = sys.stdin.buffer.read(_MOST_BYTES).decode("ascii", "replace")
    return checked_token(text, "what standard input has")


def _json(name: str, profile: Any, *, is_current: bool) -> dict[str, Any]:
    return {
        "name": name,
        "server": profile.server,
        "project": profile.project,
        "has_token": profile.token is not None,
        "insecure_http": profile.insecure_http,
        "is_current": is_current,
    }


COMMANDS = (("add", add), ("list", list_), ("use", use), ("remove", remove))
