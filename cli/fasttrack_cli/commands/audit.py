"""`fasttrack audit`: who wrote what, when and from where."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from fasttrack.errors import InvalidInput

from ..completion import complete_accounts
from ..exits import OK
from ..invocation import Invocation

if TYPE_CHECKING:
    from ..store.people import AuditEntry

COLUMNS = ("id", "at", "by", "action", "on", "from", "outcome", "change")
_LONGEST = 200
_AGO = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TIME = "Such as `2026-11-24`, `2026-11-24T09:00`, in UTC unless it has a zone of its own; or `90m`, `12h`, `7d` ago."


class Outcome(StrEnum):
    """What became of a write."""

    DONE = "done"
    REFUSED = "refused"


async def audit(
    call: Invocation,
    action: Annotated[
        str | None, typer.Option("--action", metavar="NOUN.VERB", help="Only this action, such as `member.add`.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="NAME",
            help="Only what this account did, by its name or id. Whoever works on the database itself is `owner`, under "
            "the name of the machine's user.",
            autocompletion=complete_accounts,
        ),
    ] = None,
    object_: Annotated[
        str | None,
        typer.Option(
            "--object",
            metavar="KIND[:ID]",
            help="Only what was done to things of this kind, such as `secret`; or to one, by its id or name: `secret:HUB`.",
        ),
    ] = None,
    outcome: Annotated[Outcome | None, typer.Option("--outcome", help="Only what was done, or refused.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help=f"Only entries of then or later. {_TIME}")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Only entries before then; written as `--since`.")
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Of all projects that you manage, and what belongs to none.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most this many.")] = 50,
    before: Annotated[UUID | None, typer.Option("--before", metavar="ID", help="Only entries older than this.")] = None,
) -> int:
    """Read the audit log of the project, newest first: every write, with what was secret as `***`.

    With `--json` each entry has how the thing was before and after. The next page begins before the last entry of this
    one: `--before ID`.

    Example: `fasttrack audit --action member.add --since 7d`
    """
    from fasttrack.clock import SystemClock

    from ..store.people import AuditQuery

    now = SystemClock().now()
    kind, identifier = _read_object(object_)
    query = AuditQuery(
        is_everywhere=everywhere,
        action=_bounded(action, "--action"),
        account=by,
        object_kind=kind,
        object_id=identifier,
        outcome=outcome,
        since=_read_time(since, "--since", now),
        until=_read_time(until, "--until", now),
    )
    async with call.store(any_project=everywhere) as store:
        entries = await store.audit.page(query, limit=limit, before=before)
    if call.out.as_json:
        call.out.document({"entries": [_json(e) for e in entries]})
        return OK
    if entries:
        call.out.table(COLUMNS, [_row(e) for e in entries])
    else:
        call.out.say("There are no such entries.")
    if len(entries) == limit:
        call.out.say(f"There may be more: --before {entries[-1].id}")
    return OK


def _read_object(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    kind, colon, identifier = text.partition(":")
    if not kind or (colon and not identifier):
        raise InvalidInput(f"--object: {text[:80]!r} names no thing: use KIND or KIND:ID, such as `secret:HUB`")
    return _bounded(kind, "--object"), _bounded(identifier, "--object") if colon else None


def _bounded(text: str | None, option: str) -> str | None:
    if text is not None and (len(text) > _LONGEST or not text.isprintable()):
        raise InvalidInput(f"{option}: what is looked for has at most {_LONGEST} printable characters")
    return text


def _read_time(text: str | None, option: str, now: datetime) -> datetime | None:
    from fasttrack.domain.moments import require_moment

    if text is None:
        return None
    try:
        ago = _AGO.fullmatch(text)
        moment = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{option}: {text[:40]!r} is no time: use 2026-11-24, 2026-11-24T09:00Z, or 12h") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    require_moment(moment)
    return moment


def _row(entry: AuditEntry) -> tuple[str, ...]:
    from ..view.changes import change_line, legible
    from ..view.words import moment

    cells = (
        str(entry.id),
        moment(entry.at),
        entry.account_name,
        entry.action,
        f"{entry.object_kind}:{entry.object_id}",
        entry.origin,
        entry.outcome,
        change_line(entry.before, entry.after),
    )
    # Whoever may write chooses some of it, and must not play with the terminal of who reads it.
    return tuple(legible(cell) for cell in cells)


def _json(entry: AuditEntry) -> dict[str, Any]:
    names = (
        "id", "at", "account_id", "account_name", "token_id", "origin", "action", "project_id", "object_kind",
        "object_id", "before", "after", "outcome",
    )  # fmt: skip
    return {name: getattr(entry, name) for name in names}
