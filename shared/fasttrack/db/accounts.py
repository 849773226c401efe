"""Accounts, the members of projects, and the admins of domains."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.access import AccountKind, Role
from ..ids import ProjectId, new_id
from .engine import Db
from .windows import Order, Page, Where, Window, page_of


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody or something that may call."""

    id: UUID
    kind: AccountKind
    name: str
    display_name: str
    email: str
    project_id: ProjectId | None
    """Of a service account."""
    is_superadmin: bool
    issuer: str | None
    """The identity provider that vouches for it; `None`: it was made here."""
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Member:
    """An account in a project, with its role."""

    project_id: ProjectId
    account_id: UUID
    name: str
    display_name: str
    kind: AccountKind
    role: Role
    added_by: str
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """An account at this moment, with every role that was granted to it, also twice for one project."""

    account: Account
    roles: tuple[tuple[ProjectId, Role], ...]


ACCOUNT = "a.id, a.kind, a.name, a.display_name, a.email, a.project_id, a.is_superadmin, a.issuer, a.created_at, a.disabled_at"
GRANTED = """ARRAY(SELECT m.project_id || ' ' || m.role FROM member m WHERE m.account_id = a.id
             UNION ALL SELECT p.id || ' admin' FROM domain_admin d JOIN project p ON p.domain = d.domain
                       WHERE d.account_id = a.id) AS granted"""
"""The roles of account `a`: as a member, and as the admin of a domain."""


def account_of(row: Any) -> Account:
    """The account in a row that has the columns `ACCOUNT`, under those names."""
    return Account(
        row["id"],
        AccountKind(row["kind"]),
        row["name"],
        row["display_name"],
        row["email"],
        row["project_id"],
        row["is_superadmin"],
        row["issuer"],
        row["created_at"],
        row["disabled_at"],
    )


def standing_of(row: Any) -> Standing:
    """The standing in a row that has `ACCOUNT` and `GRANTED`."""
    pairs = (text.split(" ") for text in row["granted"])
    return Standing(account_of(row), tuple((ProjectId(UUID(project)), Role(role)) for project, role in pairs))


# -- accounts -----------------------------------------------------------------------------------------------------------


async def insert_account(
    db: Db,
    kind: AccountKind,
    name: str,
    *,
    display_name: str = "",
    email: str = "",
    project: ProjectId | None = None,
    is_superadmin: bool = False,
    identity: tuple[str, str] | None = None,
) -> Account | None:
    """Make an account. `None`: the name, or the identity (issuer and subject), has one already."""
    issuer, subject = identity or (None, None)
    row = await db.row(
        f"""INSERT INTO account AS a (id, kind, name, display_name, email, project_id, is_superadmin, issuer, subject)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING {ACCOUNT}""",
        new_id(),
        kind,
        name,
        display_name,
        email,
        project,
        is_superadmin,
        issuer,
        subject,
    )
    return account_of(row) if row else None


async def find_account(db: Db, account: UUID) -> Account | None:
    """The account of that id."""
    row = await db.row(f"SELECT {ACCOUNT} FROM account a WHERE a.id = $1", account)
    return account_of(row) if row else None


async def find_account_named(db: Db, name: str) -> Account | None:
    """The account of that name."""
    row = await db.row(f"SELECT {ACCOUNT} FROM account a WHERE a.name = $1", name)
    return account_of(row) if row else None


async def load_addresses(
    db: Db, managed: Collection[ProjectId] | None, own: UUID, accounts: Collection[UUID]
) -> dict[UUID, str]:
    """The email addresses of those of these accounts that are `own`, or a member of one of the projects; `None` is all."""
    rows = await db.rows(
        """SELECT a.id, a.email FROM account a WHERE a.id = ANY($1::uuid[]) AND ($2::uuid[] IS NULL OR a.id = $3 OR EXISTS (
             SELECT 1 FROM member m WHERE m.account_id = a.id AND m.project_id = ANY($2)))""",
        list(accounts),
        None if managed is None else list(managed),
        own,
    )
    return {r["id"]: r["email"] for r in rows}


_BY_NAME = Order(("a.name",), ("text",))


async def list_accounts(db: Db, projects: Collection[ProjectId] | None, window: Window) -> Page[Account]:
    """Accounts by name: all (`None`), or those that are a member of one of the projects, each once."""
    where = Where()
    if projects is not None:
        where.add(
            "EXISTS (SELECT 1 FROM member m WHERE m.account_id = a.id AND m.project_id = ANY({}::uuid[]))",
            list(projects),
        )
    return await _accounts(db, where, window)


async def list_service_accounts(db: Db, project: ProjectId, window: Window) -> Page[Account]:
    """The service accounts of a project by name."""
    where = Where()
    where.add("a.project_id = {}", project)
    return await _accounts(db, where, window)


async def _accounts(db: Db, where: Where, window: Window) -> Page[Account]:
    tail = window.clause(where, _BY_NAME)
    rows = await db.rows(f"SELECT {ACCOUNT} FROM account a WHERE {where}{tail}", *where.values)
    return page_of([account_of(r) for r in rows], window)


async def load_accounts(
    db: Db, projects: Collection[ProjectId] | None, me: UUID, accounts: Collection[UUID]
) -> dict[UUID, Account]:
    """Those of these accounts that are me, or that have a role in one of the projects (`None`: all)."""
    rows = await db.rows(
        f"""SELECT {ACCOUNT} FROM account a WHERE a.id = ANY($1::uuid[]) AND ($2::uuid[] IS NULL OR a.id = $3
              OR EXISTS (SELECT 1 FROM member m WHERE m.account_id = a.id AND m.project_id = ANY($2))
              OR EXISTS (SELECT 1 FROM domain_admin d JOIN project p ON p.domain = d.domain
                         WHERE d.account_id = a.id AND p.id = ANY($2)))""",
        list(accounts),
        None if projects is None else list(projects),
        me,
    )
    return {r["id"]: account_of(r) for r in rows}


async def set_disabled(db: Db, account: UUID, at: datetime | None) -> None:
    """Disable an account as of a time, or enable it again (`None`)."""
    await db.execute("UPDATE account SET disabled_at = $2 WHERE id = $1", account, at)


async def set_superadmin(db: Db, account: UUID, value: bool) -> None:
    """Make an account a superadmin, or one no more."""
    await db.execute("UPDATE account SET is_superadmin = $2 WHERE id = $1", account, value)


async def set_profile(db: Db, account: UUID, display_name: str, email: str) -> None:
    """Have an account shown in another way."""
    await db.execute("UPDATE account SET display_name = $2, email = $3 WHERE id = $1", account, display_name, email)


async def lock_superadmins(db: Db) -> set[UUID]:
    """The superadmins that are not disabled, held until the transaction ends, so that two cannot both be the last."""
    rows = await db.rows(
        "SELECT id FROM account WHERE is_superadmin AND disabled_at IS NULL ORDER BY id FOR NO KEY UPDATE"
    )
    return {r["id"] for r in rows}


# -- who calls ----------------------------------------------------------------------------------------------------------


async def load_standing(db: Db, account: UUID) -> Standing | None:
    """The account with its roles."""
    row = await db.row(f"SELECT {ACCOUNT}, {GRANTED} FROM account a WHERE a.id = $1", account)
    return standing_of(row) if row else None


async def load_standing_of_identity(db: Db, issuer: str, subject: str) -> Standing | None:
    """The account that an identity provider vouches for under that id, with its roles."""
    row = await db.row(
        f"SELECT {ACCOUNT}, {GRANTED} FROM account a WHERE a.issuer = $1 AND a.subject = $2", issuer, subject
    )
    return standing_of(row) if row else None


async def find_projects(db: Db, names: Collection[str]) -> dict[str, ProjectId]:
    """The projects of these names; a name without one is left out."""
    rows = await db.rows("SELECT id, name FROM project WHERE name = ANY($1::text[])", names)
    return {r["name"]: ProjectId(r["id"]) for r in rows}


# -- members ------------------------------------------------------------------------------------------------------------

_MEMBER = """m.project_id, m.account_id, a.name, a.display_name, a.kind, m.role, m.added_by, m.created_at, a.disabled_at
             FROM member m JOIN account a ON a.id = m.account_id"""


def _member(row: Any) -> Member:
    return Member(**{**row, "kind": AccountKind(row["kind"]), "role": Role(row["role"])})


async def list_members(db: Db, project: ProjectId, window: Window) -> Page[Member]:
    """The members of a project by name."""
    where = Where()
    where.add("m.project_id = {}", project)
    tail = window.clause(where, _BY_NAME)
    rows = await db.rows(f"SELECT {_MEMBER} WHERE {where}{tail}", *where.values)
    return page_of([_member(r) for r in rows], window)


async def find_member(db: Db, project: ProjectId, account: UUID) -> Member | None:
    """The account as a member of the project."""
    row = await db.row(f"SELECT {_MEMBER} WHERE m.project_id = $1 AND m.account_id = $2", project, account)
    return _member(row) if row else None


async def insert_member(db: Db, project: ProjectId, account: UUID, role: Role, *, by: str) -> bool:
    """Make an account a member. `False`: it is one."""
    return (
        await db.execute(
            """INSERT INTO member (project_id, account_id, role, added_by) VALUES ($1, $2, $3, $4)
               ON CONFLICT DO NOTHING""",
            project,
            account,
            role,
            by,
        )
        == 1
    )


async def set_role(db: Db, project: ProjectId, account: UUID, role: Role) -> None:
    """Give a member another role."""
    await db.execute("UPDATE member SET role = $3 WHERE project_id = $1 AND account_id = $2", project, account, role)


async def delete_member(db: Db, project: ProjectId, account: UUID) -> None:
    """Have an account be a member no more."""
    await db.execute("DELETE FROM member WHERE project_id = $1 AND account_id = $2", project, account)


async def lock_admins(db: Db, project: ProjectId) -> set[UUID]:
    """The project's admins that are not disabled, held until the transaction ends: of two, one must stay."""
    rows = await db.rows(
        """SELECT m.account_id FROM member m JOIN account a ON a.id = m.account_id
           WHERE m.project_id = $1 AND m.role = 'admin' AND a.disabled_at IS NULL
           ORDER BY m.account_id FOR UPDATE OF m""",
        project,
    )
    return {r["account_id"] for r in rows}


# -- domains ------------------------------------------------------------------------------------------------------------


async def domain_of(db: Db, project: ProjectId) -> str | None:
    """The domain of the project; `None`: there is no such project."""
    found: str | None = await db.value("SELECT domain FROM project WHERE id = $1", project)
    return found


async def set_domain(db: Db, project: ProjectId, domain: str) -> None:
    """Have the project belong to another domain."""
    await db.execute("UPDATE project SET domain = $2 WHERE id = $1", project, domain)


async def insert_domain_admin(db: Db, account: UUID, domain: str, *, by: str) -> bool:
    """Make an account the admin of a domain. `False`: it is."""
    return (
        await db.execute(
            "INSERT INTO domain_admin (account_id, domain, added_by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            account,
            domain,
            by,
        )
        == 1
    )


async def delete_domain_admin(db: Db, account: UUID, domain: str) -> bool:
    """Have an account be the admin of a domain no more. `False`: it was not."""
    return await db.execute("DELETE FROM domain_admin WHERE account_id = $1 AND domain = $2", account, domain) == 1
