"""What the REST API takes and gives about accounts, members, tokens and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, field_validator

from fasttrack.domain.access import AccountKind, Permission, Role
from fasttrack.domain.tokens import TokenKind

from .models import body, example

_ID = "01936f2e-7a10-7c3e-9d55-0a1b2c3d4e5f"
_WHEN = "2026-11-24T09:00:00Z"
_LATER = "2027-02-22T09:00:00Z"
_TOKEN = dict(
    id=_ID, name="ci", kind="service", account_id=_ID, account_name="default/nightly", scopes=["read", "run"],
    only_project=_ID, stored_only=False, created_by="ada", created_at=_WHEN, not_before=_WHEN, expires_at=_LATER, last_used_at=None,
    revoked_at=None, rotated_to=None,
)  # fmt: skip
AccountName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(max_length=200)]


class Account(BaseModel):
    """Who may call: a person, or a program."""

    model_config = example(
        id=_ID, name="ada", kind="user", display_name="Ada L.", email="ada@example.com", project_id=None,
        is_superadmin=False, issuer=None, created_at=_WHEN, disabled_at=None,
    )  # fmt: skip
    id: UUID
    name: str = Field(description="Of a service account `PROJECT/NAME`.")
    kind: AccountKind
    display_name: str
    email: str | None = Field(
        description="May be empty. `null`: it is not yours to see, but for the account itself, for whoever manages a project "
        "that it is a member of, and for superadmins."
    )
    project_id: UUID | None = Field(description="The one project of a service account.")
    is_superadmin: bool
    issuer: str | None = Field(description="The identity provider that vouches for it; `null`: it was made here.")
    created_at: datetime
    disabled_at: datetime | None = Field(description="Since when it may do nothing; `null`: it is not disabled.")


class AccountBody(BaseModel):
    """A person who is to have an account."""

    model_config = body(name="ada", display_name="Ada L.", email="ada@example.com")
    name: AccountName
    display_name: Text = ""
    email: Text = ""
    is_superadmin: bool = False


class ServiceAccountBody(BaseModel):
    """A program that is to have an account."""

    model_config = body(name="nightly", role="editor")
    name: AccountName = Field(description="The account is called `PROJECT/NAME`.")
    role: Role = Role.EDITOR
    display_name: Text = ""


class SuperadminBody(BaseModel):
    """Whether a person is a superadmin."""

    model_config = body(is_superadmin=True)
    is_superadmin: bool


class ProjectBody(BaseModel):
    """A project that is to be made."""

    model_config = body(name="vision", domain="research")
    name: AccountName
    domain: AccountName | None = Field(None, description="Whose admins are its admins; `null` is `default`.")


class DomainBody(BaseModel):
    """The domain that a project is to belong to."""

    model_config = body(domain="research")
    domain: AccountName


class Member(BaseModel):
    """An account in a project, with its role."""

    model_config = example(
        account_id=_ID, name="ada", display_name="Ada L.", kind="user", role="editor", added_by="grace",
        created_at=_WHEN, disabled_at=None,
    )  # fmt: skip
    account_id: UUID
    name: str
    display_name: str
    kind: AccountKind
    role: Role
    added_by: str
    created_at: datetime
    disabled_at: datetime | None = Field(description="Since when the account may do nothing.")


class MemberBody(BaseModel):
    """An account that is to become a member."""

    model_config = body(account="ada", role="editor")
    account: AccountName = Field(description="The account's id or name.")
    role: Role


class RoleBody(BaseModel):
    """A role to have."""

    model_config = body(role="operator")
    role: Role


class Token(BaseModel):
    """A token: what it is for and what it allows, never its text."""

    model_config = example(**_TOKEN)
    id: UUID
    name: str
    kind: TokenKind
    account_id: UUID
    account_name: str
    scopes: list[Permission] = Field(description="What it allows at most.")
    only_project: UUID | None = Field(description="The one project that it is for; `null`: all of the account's.")
    stored_only: bool = Field(description="It runs stored operations of GraphQL, and is good for nothing else.")
    created_by: str
    created_at: datetime
    not_before: datetime
    expires_at: datetime | None = Field(description="`null`: it does not expire.")
    last_used_at: datetime | None = Field(description="To the minute; `null`: it was not used.")
    revoked_at: datetime | None
    rotated_to: UUID | None = Field(description="The token that takes its place.")

    @field_validator("scopes", mode="before")
    @classmethod
    def _in_order(cls, scopes: Any) -> list[Permission]:
        return [p for p in Permission if p in scopes]


class TokenBody(BaseModel):
    """A token to make."""

    model_config = body(name="ci", account="default/nightly", scopes=["read", "run"], expires_at=_LATER)
    name: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(description="What it is for.")
    account: AccountName | None = Field(
        None, description="Whom it stands for, by id or name: a service account that you manage. `null` is you."
    )
    scopes: Annotated[list[Permission], Field(min_length=1, max_length=len(Permission))] | None = Field(
        None, description="What it allows at most; `null`: all that the token of this call allows."
    )
    expires_at: AwareDatetime | None = Field(None, description="At most 366 days after it begins; `null`: 90 days.")
    not_before: AwareDatetime | None = Field(None, description="From when on it is valid; `null`: at once.")
    stored_only: bool = Field(False, description="For stored operations of GraphQL, and nothing else.")


class RotateBody(BaseModel):
    """How to renew a token."""

    model_config = body(overlap_seconds=3600)
    overlap_seconds: int = Field(86_400, ge=0, le=604_800, description="How long the old one works beside the new one.")


class CreatedToken(BaseModel):
    """A token that was just made."""

    model_config = example(token=_TOKEN, secret="fts_…")  # noqa: S106
    token: Token
    secret: str = Field(description="Its text: this is the only time that anybody is told.")


class AuditEntry(BaseModel):
    """One write: who, from where, what, and how it was before and after."""

    model_config = example(
        id=_ID, at=_WHEN, account_id=_ID, account_name="ada", token_id=None, origin="203.0.113.7", action="member.add",
        project_id=_ID, object_kind="account", object_id=_ID, before=None, after={"name": "grace", "role": "editor"},
        outcome="done",
    )  # fmt: skip
    id: UUID
    at: datetime
    account_id: UUID
    account_name: str = Field(description="As it was then.")
    token_id: UUID | None = Field(description="The token they came with; `null`: with none of ours.")
    origin: str = Field(description="The address it came from, or `command line`.")
    action: str = Field(description="`<noun>.<verb>`.")
    project_id: UUID | None = Field(description="`null`: of no one project.")
    object_kind: str
    object_id: str
    before: Any = Field(description="Whatever could be secret is `***`; `null`: nothing was there, or is to tell.")
    after: Any
    outcome: Literal["done", "refused"]
