"""The tables of what is sealed: secrets of projects, and the keys that sessions on a cluster are made with."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from .tables import _created, _time, metadata

secret = Table(
    "secret",
    metadata,
    Column("project_id", Uuid, ForeignKey("project.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("key_id", Text, nullable=False),  # which key encrypted it, so that keys can be rotated
    Column("ciphertext", LargeBinary, nullable=False),
    Column("updated_by", Text, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("revision", Integer, nullable=False),  # of the sequence `revision`, with every change
    PrimaryKeyConstraint("project_id", "name"),
)

# What a project or a person runs jobs with: one user of the cluster, whose keys come and go.
credential = Table(
    "credential",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", Uuid, ForeignKey("project.id")),
    Column("account_id", Uuid, ForeignKey("account.id")),
    Column("site", Text, nullable=False),  # the cluster that its keys are of; they are sent to no other
    Column("cluster_user", Text, nullable=False),  # whose folders its jobs write to, as the cluster told
    Column("created_by", Text, nullable=False),
    _created(),
    _time("removed_at"),  # its keys are gone; the row tells what became of jobs that ran with them
    Column("revision", Integer, nullable=False),  # of the sequence `revision`, with every change
    CheckConstraint("num_nonnulls(project_id, account_id) = 1", name="holder"),
    # One each: also how it is found when a job is submitted.
    Index("uq_credential_project", "project_id", unique=True, postgresql_where=text("removed_at IS NULL")),
    Index("uq_credential_account", "account_id", unique=True, postgresql_where=text("removed_at IS NULL")),
)

credential_key = Table(
    "credential_key",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("credential_id", Uuid, ForeignKey("credential.id"), nullable=False),
    Column("access_key", Text, nullable=False),
    Column("key_id", Text, nullable=False),  # which key of ours encrypted it, as in `secret`
    Column("ciphertext", LargeBinary, nullable=False),
    Column("added_by", Text, nullable=False),
    _created(),
    _time("retired_at"),  # another took its place; it goes when nothing runs under it any more
    UniqueConstraint("credential_id", "access_key"),
    Index("uq_credential_key_present", "credential_id", unique=True, postgresql_where=text("retired_at IS NULL")),
)

__all__: list[str] = []
