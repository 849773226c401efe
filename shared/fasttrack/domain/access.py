"""Who may do what: one table of roles and permissions, and the caller that every use case is given.

A project is a place of its own: whoever is not its member gets the same answer for a thing of it that exists and for one
that does not. A token can narrow what its owner may do, never widen it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from ..errors import Forbidden, NotFound
from ..ids import ProjectId


class Role(StrEnum):
    """What a member is in a project; each may do all that the one before may."""

    VIEWER = "viewer"  #: sees everything of the project but the values of secrets
    EDITOR = "editor"  #: makes and changes pipelines, and runs, cancels, pauses and runs again
    OPERATOR = "operator"  #: limits, pools, retention, and the jobs and pipelines of others
    ADMIN = "admin"  #: members, tokens and service accounts of the project


class Permission(StrEnum):
    """What a use case needs."""

    READ = "read"
    EDIT = "edit"
    RUN = "run"
    SECRETS = "secrets"
    OPERATE = "operate"
    MANAGE = "manage"


PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.EDITOR: frozenset({Permission.READ, Permission.EDIT, Permission.RUN, Permission.SECRETS}),
    Role.OPERATOR: frozenset(set(Permission) - {Permission.MANAGE}),
    Role.ADMIN: frozenset(Permission),
}
"""What each role may do in its project."""


_RANK = {role: rank for rank, role in enumerate(Role)}


def highest_roles(granted: Iterable[tuple[ProjectId, Role]]) -> dict[ProjectId, Role]:
    """For each project the highest of the roles that were granted in it."""
    roles: dict[ProjectId, Role] = {}
    for project, role in granted:
        if project not in roles or _RANK[role] > _RANK[roles[project]]:
            roles[project] = role
    return roles


OWNER = UUID(int=1)
"""The account of whoever has the machine: superadmin, made with the database."""


class AccountKind(StrEnum):
    """What calls."""

    USER = "user"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what they may do. Made by the edge for each call from what is stored at that moment."""

    account_id: UUID
    name: str
    kind: AccountKind = AccountKind.USER
    is_superadmin: bool = False
    """May do everything everywhere but read the values of secrets."""
    roles: Mapping[ProjectId, Role] = field(default_factory=dict)
    """The projects they are a member of; for a domain's admin, every project of the domain as its admin."""
    scopes: frozenset[Permission] = frozenset(Permission)
    """What the token they came with allows at most."""
    only_project: ProjectId | None = None
    """The one project that the token is for, if it is for one."""
    token_id: UUID | None = None
    origin: str = ""
    """Where the call came from: the address of the peer."""
    is_stored_only: bool = False
    """Whether the token they came with runs stored operations of GraphQL, and is good for nothing else."""

    @property
    def projects(self) -> frozenset[ProjectId] | None:
        """The projects they may read, for the `WHERE` of every list; `None` is all of them."""
        if Permission.READ not in self.scopes:
            return frozenset()
        if self.only_project is not None:
            is_theirs = self.is_superadmin or self.only_project in self.roles
            return frozenset({self.only_project} if is_theirs else ())
        return None if self.is_superadmin else frozenset(self.roles)

    def may(self, permission: Permission, project: ProjectId) -> bool:
        """Whether they may do this in the project."""
        if permission not in self.scopes or self.only_project not in (None, project):
            return False
        role = self.roles.get(project)
        return self.is_superadmin or (role is not None and permission in PERMISSIONS[role])

    def may_everywhere(self, permission: Permission) -> bool:
        """Whether they may do this in every project, and to what belongs to none, such as accounts."""
        return self.is_superadmin and self.only_project is None and permission in self.scopes

    def require_everywhere(self, permission: Permission) -> None:
        """Pass if they may do this everywhere. :raises Forbidden: they may not."""
        if not self.may_everywhere(permission):
            raise Forbidden("this is for superadmins, with a token that is not for one project alone")

    def require(self, permission: Permission, project: ProjectId, *, what: str = "project") -> None:
        """Pass if they may.

        :param what: how the thing that they asked for is called, for the error.
        :raises NotFound: they may not even read the project: it is as if there were none.
        :raises Forbidden: they may read it, but not do this.
        """
        if self.may(permission, project):
            return
        visible = self.projects
        if visible is not None and project not in visible:
            raise NotFound(f"there is no such {what}")
        raise Forbidden(
            f"this needs the permission {permission} in the project, which {self.name} does not have", project=project
        )
