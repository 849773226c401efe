"""The keys that jobs run with on a cluster. What is secret of them is in no type."""

from __future__ import annotations

from datetime import datetime

import strawberry

from fasttrack.db.credential_records import CredentialRecord, KeyRecord

from ..ids import Kind, to_global


@strawberry.type(description="A key of a credential. Its secret half is never shown.")
class BackendKey:
    """One key."""

    access_key: str = strawberry.field(description="Its public half.")
    added_by: str = strawberry.field(description="Who gave it.")
    created_at: datetime = strawberry.field(description="When it was given.")
    retired_at: datetime | None = strawberry.field(
        description="Since when another is used in its place: it goes when nothing runs under it any more. Null: it is in use."
    )
    sessions: int = strawberry.field(description="How many sessions that are not over were made with it.")

    @classmethod
    def of(cls, record: KeyRecord) -> BackendKey:
        """As the schema shows it."""
        return cls(
            access_key=record.access_key,
            added_by=record.added_by,
            created_at=record.created_at,
            retired_at=record.retired_at,
            sessions=record.sessions,
        )


@strawberry.type(
    description="What the jobs of a project, or of a person, run with on a cluster: keys of one user of it."
)
class BackendCredential:
    """A credential."""

    project_id: strawberry.ID | None = strawberry.field(
        description="The global id of the project whose it is; null: it is a person's."
    )
    account_id: strawberry.ID | None = strawberry.field(
        description="The global id of the account whose it is; null: it is a project's."
    )
    holder: str = strawberry.field(description="The name of the project or account.")
    site: str = strawberry.field(description="The cluster that it is of, as `site` of jobs has it.")
    cluster_user: str = strawberry.field(
        description="Whose the keys are on the cluster: the folders that jobs write to are this user's."
    )
    created_by: str = strawberry.field(description="Who set it first.")
    created_at: datetime = strawberry.field(description="When it was set first.")
    revision: int = strawberry.field(description="Another one with every change, which `expectedRevision` takes.")
    keys: list[BackendKey] = strawberry.field(
        description="The one in use, and after it those that are kept until nothing runs under them, the last rotated first."
    )

    @classmethod
    def of(cls, record: CredentialRecord) -> BackendCredential:
        """As the schema shows it."""
        project, account = record.project_id, record.account_id
        return cls(
            project_id=None if project is None else strawberry.ID(to_global(Kind.PROJECT, project)),
            account_id=None if account is None else strawberry.ID(to_global(Kind.ACCOUNT, account)),
            holder=record.holder,
            site=record.site,
            cluster_user=record.cluster_user,
            created_by=record.created_by,
            created_at=record.created_at,
            revision=record.revision,
            keys=[BackendKey.of(key) for key in record.keys],
        )
