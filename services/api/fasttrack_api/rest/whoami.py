"""Who calls, and what they may do."""

from __future__ import annotations

from fastapi import APIRouter

from fasttrack.db.tokens import find_token
from fasttrack.db.visible import find_visible_project, list_visible_projects
from fasttrack.domain.access import Permission

from . import start_models
from .reach import OfCaller
from .routing import Route

router = APIRouter(prefix="/api/v1/whoami", tags=["accounts"], route_class=Route)

_MOST_PROJECTS = 100


@router.get("", summary="Who am I?")
async def whoami(call: OfCaller) -> start_models.Whoami:
    """The caller, with the scopes and the end of their token, and the first hundred projects they may read by name.

    Without a token that is whoever this machine belongs to, when it answers them on loopback.
    """
    caller = call.caller
    async with call.parts.database.transaction() as db:
        token = None if caller.token_id is None else await find_token(db, caller.token_id)
        seen = await list_visible_projects(db, caller.projects, limit=_MOST_PROJECTS)
        only = caller.only_project
        one = None if only is None else await find_visible_project(db, only, caller.projects)
        unnamed = await find_visible_project(db, call.parts.settings.project, caller.projects)
    return start_models.Whoami(
        name=caller.name,
        kind=caller.kind,
        is_superadmin=caller.is_superadmin,
        scopes=[p for p in Permission if p in caller.scopes],
        only_project=None if one is None else one.name,
        default_project=None if unnamed is None else unnamed.name,
        token_name=None if token is None else token.name,
        expires_at=None if token is None else token.expires_at,
        projects=[start_models.RoleIn(project=p.name, role=caller.roles.get(p.id)) for p in seen],
    )
