"""The tables of who may do what: accounts, members, tokens, the audit log, and answers by idempotency key."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from ..domain.access import AccountKind, Role
from ..domain.tokens import TokenKind
from .tables import _HOT, _created, _in, _time, metadata

account = Table(
    "account",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False, unique=True),
    Column("display_name", Text, nullable=False, server_default=""),
    Column("email", Text, nullable=False, server_default=""),
    Column("project_id", Uuid, ForeignKey("project.id")),  # of a service account; people belong to no one project
    Column("is_superadmin", Boolean, nullable=False, server_default=text("false")),
    # Who vouches for it, and under which id there: a name alone would let a provider take over an account of ours.
    Column("issuer", Text),
    Column("subject", Text),
    _created(),
    _time("disabled_at"),  # does nothing until enabled again; what it made stays
    CheckConstraint(_in("kind", AccountKind), name="kind"),
    CheckConstraint("(kind = 'service') = (project_id IS NOT NULL)", name="project"),
    CheckConstraint("kind = 'user' OR NOT is_superadmin", name="superadmin"),
    CheckConstraint("(issuer IS NULL) = (subject IS NULL)", name="identity"),
    # Looked up at each sign-in by a provider, and what makes two first sights one account.
    Index("uq_account_identity", "issuer", "subject", unique=True, postgresql_where=text("issuer IS NOT NULL")),
    # The service accounts of a project.
    Index("ix_account_project", "project_id", postgresql_where=text("project_id IS NOT NULL")),
    # Superadmins, of whom one must stay: never many.
    Index("ix_account_superadmin", "id", postgresql_where=text("is_superadmin")),
)

member = Table(
    "member",
    metadata,
    Column("project_id", Uuid, ForeignKey("project.id"), nullable=False),
    Column("account_id", Uuid, ForeignKey("account.id"), nullable=False),
    Column("role", Text, nullable=False),
    Column("added_by", Text, nullable=False),
    _created(),
    PrimaryKeyConstraint("project_id", "account_id"),
    CheckConstraint(_in("role", Role), name="role"),
    # The projects of a caller: asked whenever somebody calls. With the role in it, the table need not be read.
    Index("ix_member_account", "account_id", postgresql_include=["project_id", "role"]),
)

domain_admin = Table(
    "domain_admin",
    metadata,
    Column("account_id", Uuid, ForeignKey("account.id"), nullable=False),
    Column("domain", Text, nullable=False),
    Column("added_by", Text, nullable=False),
    _created(),
    PrimaryKeyConstraint("account_id", "domain"),  # by account first: the domains of a caller
)

token = Table(
    "token",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, ForeignKey("account.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),  # SHA-256; how a caller's token is found
    Column("scopes", ARRAY(Text), nullable=False),
    Column("only_project", Uuid, ForeignKey("project.id")),
    Column("created_by", Text, nullable=False),
    _created(),
    _time("not_before", nullable=False),
    _time("expires_at"),
    _time("last_used_at"),  # to the minute
    _time("revoked_at"),
    Column("rotated_to", Uuid),  # the token that takes its place
    Column(
        "stored_only", Boolean, nullable=False, server_default=text("false")
    ),  # runs stored operations and no others
    CheckConstraint(_in("kind", TokenKind), name="kind"),
    CheckConstraint("octet_length(hash) = 32", name="hash"),
    # The tokens of an account, newest first.
    Index("ix_token_account", "account_id", text("id DESC")),
    # The tokens that are for one project, which its admins see and revoke.
    Index("ix_token_project", "only_project", text("id DESC"), postgresql_where=text("only_project IS NOT NULL")),
    # Written often for its size (`last_used_at`), and no index has that column: updates stay on the page.
    postgresql_with=_HOT,
)

# Texts of GraphQL that callers may send the hash of, and the only ones that some tokens may run.
stored_operation = Table(
    "stored_operation",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", Uuid, ForeignKey("project.id")),  # NULL: for callers of every project
    Column("hash", LargeBinary, nullable=False),  # SHA-256 of the text
    Column("name", Text, nullable=False),  # for people
    Column("text", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    _created(),
    CheckConstraint("octet_length(hash) = 32", name="hash"),
    # How one is found that is asked for, and once only in each project …
    Index("uq_stored_operation_hash", "hash", "project_id", unique=True),
    # … and once only for all of them.
    Index("uq_stored_operation_everywhere", "hash", unique=True, postgresql_where=text("project_id IS NULL")),
    # Those of a project, newest first.
    Index("ix_stored_operation_project", "project_id", text("id DESC")),
)

# Only ever added to: a trigger of the database refuses updates and deletes. No foreign keys: it outlives what it names.
audit_entry = Table(
    "audit_entry",
    metadata,
    Column("id", Uuid, primary_key=True),
    _time("at", nullable=False),
    Column("account_id", Uuid, nullable=False),
    Column("account_name", Text, nullable=False),  # as it was then
    Column("token_id", Uuid),
    Column("origin", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("project_id", Uuid),  # NULL: of no one project, such as a new user
    Column("object_kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("outcome", Text, nullable=False),
    CheckConstraint("outcome IN ('done', 'refused')", name="outcome"),
    # A project's log, newest first: what its admins read.
    Index("ix_audit_entry_project", "project_id", text("id DESC")),
    # The same by action, by kind of thing, and what was refused: rare ones are found however long the log is.
    Index("ix_audit_entry_project_action", "project_id", "action", text("id DESC")),
    Index("ix_audit_entry_project_kind", "project_id", "object_kind", text("id DESC")),
    Index(
        "ix_audit_entry_project_refused", "project_id", text("id DESC"), postgresql_where=text("outcome = 'refused'")
    ),
    # And over all projects, for superadmins.
    Index("ix_audit_entry_action", "action", text("id DESC")),
    Index("ix_audit_entry_kind", "object_kind", text("id DESC")),
    Index("ix_audit_entry_refused", text("id DESC"), postgresql_where=text("outcome = 'refused'")),
    # What one account did, newest first: what is asked after a token leaked.
    Index("ix_audit_entry_account", "account_id", text("id DESC")),
    # The history of one thing, newest first.
    Index("ix_audit_entry_object", "object_kind", "object_id", text("id DESC")),
)

# Answers to writes that carried an idempotency key, but for the submits of jobs, which have `idempotency`.
idempotent_answer = Table(
    "idempotent_answer",
    metadata,
    Column("scope", Text, nullable=False),  # whose key it is, and of which operation
    Column("key", Text, nullable=False),
    Column("request_hash", Text, nullable=False),
    Column("answer", JSONB),  # NULL only inside the transaction that works it out
    _created(),
    PrimaryKeyConstraint("scope", "key"),
    # Old ones are forgotten by their age.
    Index("ix_idempotent_answer_created_at", "created_at"),
)
