"""Names for the shell to complete: of profiles from the file, of stored things from the server, within a second.

Completion of a machine's own database would have to start servers, so it completes nothing there. Whatever fails gives
no names: a shell is no place for a complaint.
"""

from __future__ import annotations

from typing import Any

import typer

_PATIENCE_SECONDS = 1.0
_MOST = 100


def complete_profiles(incomplete: str) -> list[str]:
    """Names of profiles."""
    from fasttrack.errors import FastTrackError

    from .profiles import load_profiles

    try:
        return sorted(name for name in load_profiles().all if name.startswith(incomplete))
    except FastTrackError:
        return []


def complete_pipelines(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of pipelines."""
    found = _ask(ctx, "/pipelines", limit=_MOST)
    return [item["name"] for item in found if item["name"].startswith(incomplete)]


def complete_templates(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of templates."""
    found = _ask(ctx, "/templates", limit=_MOST)
    return sorted({item["name"] for item in found if item["name"].startswith(incomplete)})


def complete_projects(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of projects."""
    found = _ask(ctx, "/projects", limit=_MOST)
    return [item["name"] for item in found if item["name"].startswith(incomplete)]


def complete_jobs(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The last digits of the newest jobs, each with what it is."""
    found = _ask(ctx, "/jobs", limit=_MOST)
    named = (
        (item["id"].replace("-", "")[-8:], f"{item['pipeline']} #{item['number']} {item['state']}") for item in found
    )
    return [(digits, says) for digits, says in named if digits.startswith(incomplete)]


def complete_accounts(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of accounts."""
    found = _ask(ctx, "/accounts", limit=_MOST)
    return [item["name"] for item in found if item["name"].startswith(incomplete)]


def complete_members(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the project's members."""
    found = _ask(ctx, "/members", limit=_MOST)
    return [item["name"] for item in found if item["name"].startswith(incomplete)]


def complete_tokens(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of one's own newest tokens that still work, each with what it is for."""
    found = _ask(ctx, "/tokens", limit=_MOST)
    named = ((item["id"], item["name"]) for item in found if item["revoked_at"] is None)
    return [(identifier, name) for identifier, name in named if identifier.startswith(incomplete)]


def complete_roles(incomplete: str) -> list[str]:
    """Roles of members."""
    from fasttrack.domain.access import Role

    return [role for role in Role if role.startswith(incomplete)]


def complete_scopes(incomplete: str) -> list[str]:
    """Scopes of tokens."""
    from fasttrack.domain.access import Permission

    return [scope for scope in Permission if scope.startswith(incomplete)]


def _ask(ctx: typer.Context, path: str, **query: Any) -> list[dict[str, Any]]:
    """The items of a list of the server that is meant; none on any trouble."""
    from fasttrack.errors import FastTrackError

    from .target import Asked, find_target

    given: dict[str, Any] = {}
    context: Any = ctx
    while context is not None:  # an option after the command counts more than one before it
        given = {name: value for name, value in context.params.items() if value} | given
        context = context.parent
    try:
        target = find_target(
            Asked(
                given.get("server"),
                given.get("profile"),
                given.get("project"),
                bool(given.get("local")),
                bool(given.get("insecure_http")),
            )
        )
        if target is None:
            return []
        from .remote.connection import ask_quickly

        return ask_quickly(target, path, query, seconds=_PATIENCE_SECONDS)
    except (FastTrackError, LookupError, TypeError):
        return []
