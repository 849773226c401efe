"""Every table, index and check, each with its reason. Migrations are made from these files (here, and
`access_tables` for who may do what) and proved equal to them.

Identifiers are version-7 UUIDs, times are `timestamptz` in UTC, states are text held by a check. The tables of the hot
path (`job`, `task_instance`, `attempt`, `event`) have no foreign keys: every row is written under its job's lock, and a
key check per row would cost more than the write.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    cast,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from ..domain.states import (
    OPEN_SESSION_STATES,
    TERMINAL_INSTANCE_STATES,
    TERMINAL_JOB_STATES,
    FailureClass,
    InstanceState,
    JobState,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Rows of these tables are updated many times in a short life: room for updates on the same page, and an early vacuum.
_HOT = {"fillfactor": "80", "autovacuum_vacuum_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.02"}


def _in(column: str, values: type[StrEnum] | frozenset[InstanceState] | frozenset[JobState]) -> str:
    return f"{column} IN ({', '.join(repr(str(v)) for v in sorted(values))})"


def _time(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _created() -> Column[object]:
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()"))


project = Table(
    "project",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("domain", Text, nullable=False, server_default="default"),  # the organisation's part that it belongs to
    Column("retention", JSONB),  # days per kind, over the settings; NULL: the settings alone
    # The highest place of an event of the project that was removed: a cursor before it has missed something.
    Column("pruned_pos", BigInteger, nullable=False, server_default=text("0")),
    Column("personal_keys", Boolean, nullable=False, server_default=text("false")),  # people's jobs run with their own
    _created(),
    # All projects of a domain, of which its admins are admins: asked whenever one of them calls.
    Index("ix_project_domain", "domain"),
)

retention_mark = Table(
    "retention_mark",
    metadata,
    Column("project_id", Uuid, ForeignKey("project.id"), nullable=False),
    Column("site", Text, nullable=False),  # where files of that kind are; empty for what is in this database
    Column("kind", Text, nullable=False),
    # Nothing of that kind is left of jobs that ended before: a turn reads on from here, not the whole past.
    Column("ended_before", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("project_id", "site", "kind"),
    CheckConstraint("kind IN ('events', 'logs', 'outputs')", name="kind"),
)

pipeline = Table(
    "pipeline",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", Uuid, ForeignKey("project.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("latest_version", Integer, nullable=False, server_default=text("0")),
    Column("latest_job", Integer, nullable=False, server_default=text("0")),  # numbers jobs without a gap
    Column("description", Text, nullable=False, server_default=""),
    Column("tags", ARRAY(Text), nullable=False, server_default="{}"),
    Column("created_from", JSONB),  # the pipeline or template it was copied from; NULL: from none
    Column("revision", Integer, nullable=False, server_default=text("1")),  # counts changes; publishing is none
    Column("created_by", Text, nullable=False),
    _created(),
    _time("paused_at"),  # starts no job until resumed
    Column("problem", Text),  # what keeps its jobs from running, in a sentence; written by the scheduler of its site
    Column("is_folder_gone", Boolean, nullable=False, server_default=text("false")),  # where that is the problem
    # Jobs up to this number have left nothing: their files were given up with the folder that they were in.
    Column("lost_jobs", Integer, nullable=False, server_default=text("0")),
    _time("archived_at"),
    _time("deleted_at"),  # no read shows it or anything of it any more; retention removes it
    CheckConstraint("cardinality(tags) <= 20", name="tags"),
    CheckConstraint("deleted_at IS NULL OR archived_at IS NOT NULL", name="deleted"),
    # A name may be used again once its former owner is archived.
    Index("uq_pipeline_name", "project_id", "name", unique=True, postgresql_where=text("archived_at IS NULL")),
    # By tags in a project, both in one array: an index of the server's own that takes a UUID beside it does not exist.
    # Written at once, as writes are rare: a list of what is still to be written would be read through by every search.
    Index(
        "ix_pipeline_tags",
        text("array_append(tags, project_id::text)"),
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    ),
    # What is still to be removed: never many.
    Index("ix_pipeline_deleted", "project_id", postgresql_where=text("deleted_at IS NOT NULL")),
)

pipeline_version = Table(
    "pipeline_version",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("pipeline_id", Uuid, ForeignKey("pipeline.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("hash", Text, nullable=False),  # of the meaning: equal definitions have equal hashes
    Column("source", Text, nullable=False),  # as it was given
    Column("spec", JSONB, nullable=False),  # canonical; what is compiled
    _created(),
    UniqueConstraint("pipeline_id", "number"),
)

pipeline_draft = Table(
    "pipeline_draft",
    metadata,
    # The row stays when its draft is published or discarded, so that a revision never comes to mean another text.
    Column("pipeline_id", Uuid, ForeignKey("pipeline.id"), primary_key=True),
    Column("revision", Integer, nullable=False),  # one more with every change
    Column("source", Text),  # NULL: no draft is begun
    Column("base_version", Integer),  # the newest version when it was begun, 0 if there was none
    Column("positions", JSONB),  # task -> [x, y]: where it stands on the canvas; no part of the file
    Column("published_positions", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("updated_by", Text, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    CheckConstraint("num_nonnulls(source, base_version, positions) IN (0, 3)", name="begun"),
)

job = Table(
    "job",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", Uuid, nullable=False),
    Column("pipeline_id", Uuid, nullable=False),
    Column("version_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("params", JSONB, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("submitted_by", Text, nullable=False),
    Column("site", Text),  # where its sessions live; no other site's scheduler touches it
    Column("origin_job_id", Uuid),  # the job it runs again
    # Tasks not to run, as asked for, besides those the file skips. A re-run asks when the events may be gone.
    Column("skip", ARRAY(Text), nullable=False, server_default="{}"),
    Column("overrides", JSONB),  # by task, what this run has otherwise than the file; NULL for most
    Column("seq", Integer, nullable=False),  # number of its events
    Column("tasks", Integer, nullable=False),
    Column("open_tasks", Integer, nullable=False),
    Column("failed_tasks", Integer, nullable=False),
    Column("cancelled_tasks", Integer, nullable=False),
    _time("cancel_requested_at"),
    _time("created_at", nullable=False),
    _time("started_at"),
    _time("ended_at"),
    _time("next_reconcile_at"),
    _time("pruned_at"),  # its outputs and logs are gone; it cannot be run again in part
    Column("credential_id", Uuid),  # what it runs with on a cluster; NULL: with the key of the settings
    CheckConstraint(_in("state", JobState), name="state"),
    # A job that is not over is always due some time (I4); one that is over never is.
    CheckConstraint(f"({_in('state', TERMINAL_JOB_STATES)}) = (next_reconcile_at IS NULL)", name="due_until_over"),
    CheckConstraint(f"open_tasks >= 0 AND (open_tasks = 0) = ({_in('state', TERMINAL_JOB_STATES)})", name="open_tasks"),
    UniqueConstraint("pipeline_id", "number"),
    Index("ix_job_due", "next_reconcile_at", postgresql_where=text("next_reconcile_at IS NOT NULL")),
    Index("ix_job_project", "project_id", text("id DESC")),
    # Jobs that count against a pipeline's limit, and those that wait for it: never many.
    Index("ix_job_active", "pipeline_id", postgresql_where=text(f"NOT ({_in('state', TERMINAL_JOB_STATES)})")),
    # What a credential runs, and in which pipelines it has folders: asked when it is changed.
    Index("ix_job_credential", "credential_id", "pipeline_id", postgresql_where=text("credential_id IS NOT NULL")),
    # What has ended in a span of time: for retention, and for charts, which read nothing but the index. The columns it
    # carries never change, or only together with the state, which is in other indexes anyhow.
    Index(
        "ix_job_ended",
        "project_id",
        "ended_at",
        postgresql_include=["state", "pipeline_id", "created_at", "started_at"],
        postgresql_where=text("ended_at IS NOT NULL"),
    ),
    postgresql_with=_HOT,
)

task_instance = Table(
    "task_instance",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("job_id", Uuid, nullable=False),
    Column("index", Integer, nullable=False),  # which task of the version
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("unmet", Integer, nullable=False),  # dependencies that have not ended: a step costs its out-degree
    Column("deps_ok", Integer, nullable=False, server_default=text("0")),
    Column("deps_failed", Integer, nullable=False, server_default=text("0")),
    Column("attempt", SmallInteger, nullable=False, server_default=text("0")),
    Column("failures", SmallInteger, nullable=False, server_default=text("0")),
    Column("infrastructure_failures", SmallInteger, nullable=False, server_default=text("0")),
    Column("failure", Text),
    Column("exit_code", Integer),
    Column("preemptions", SmallInteger, nullable=False, server_default=text("0")),
    Column("quota_failures", SmallInteger, nullable=False, server_default=text("0")),
    Column("resource_group", Text, nullable=False, server_default=""),
    Column("pool", Text),  # a named limit that it takes slots of
    Column("pool_slots", SmallInteger, nullable=False, server_default=text("0")),
    Column("reused_from", Uuid),  # the job whose outputs it stands for
    _time("not_before"),
    _time("granted_at"),  # READY, and let in by every limit that holds for it
    _time("ready_at"),
    _time("started_at"),
    _time("ended_at"),
    CheckConstraint(_in("state", InstanceState), name="state"),
    CheckConstraint("unmet >= 0", name="unmet"),
    CheckConstraint(f"({_in('state', TERMINAL_INSTANCE_STATES)}) = (ended_at IS NOT NULL)", name="ended_at"),
    UniqueConstraint("job_id", "index"),
    # What stands on a job's outputs: asked before they are removed. Only re-runs have such rows.
    Index("ix_task_instance_reused", "reused_from", postgresql_where=text("reused_from IS NOT NULL")),
    # What can move without a dependency ending: the only instances a pass loads unasked.
    Index(
        "ix_task_instance_movable",
        "job_id",
        postgresql_where=text(_in("state", OPEN_SESSION_STATES | {InstanceState.READY})),
    ),
    postgresql_with=_HOT,
)

attempt = Table(
    "attempt",
    metadata,
    Column("instance_id", Uuid, nullable=False),
    Column("number", SmallInteger, nullable=False),
    Column("job_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("session_id", Text),
    Column("stop", Text),
    Column("reason", Text, nullable=False, server_default=""),
    Column("failure", Text),
    Column("exit_code", Integer),
    Column("facts", JSONB, nullable=False, server_default=text("'{}'")),
    _time("opened_at", nullable=False),
    _time("fence_until", nullable=False),
    _time("missing_since"),
    _time("asked_at"),  # when the backend last answered a question about it
    _time("running_at"),
    _time("ended_at"),
    Column("key_id", Uuid),  # the key that its session was made with; NULL: that of the settings, or none yet
    PrimaryKeyConstraint("instance_id", "number"),
    CheckConstraint(_in("state", InstanceState), name="state"),
    CheckConstraint(f"failure IS NULL OR {_in('failure', FailureClass)}", name="failure"),
    postgresql_with=_HOT,
)

event = Table(
    "event",
    metadata,
    Column("job_id", Uuid, nullable=False),
    Column("seq", Integer, nullable=False),  # 1, 2, 3 … per job, given under the job's lock
    _time("at", nullable=False),
    Column("kind", Text, nullable=False),
    Column("task", Integer),
    Column("payload", JSONB, nullable=False),
    PrimaryKeyConstraint("job_id", "seq"),
)

# Places in the feed belong to ranges of a job's events, not to each: a row is written once, and an event never again.
unplaced_range = Table(
    "unplaced_range",
    metadata,
    Column("job_id", Uuid, nullable=False),
    Column("seq", Integer, nullable=False),  # of its first event
    Column("events", Integer, nullable=False),
    PrimaryKeyConstraint("job_id", "seq"),
    postgresql_with=_HOT,
)

feed_range = Table(
    "feed_range",
    metadata,
    Column("pos", BigInteger, primary_key=True, autoincrement=False),  # place of its last event
    Column("project_id", Uuid, nullable=False),
    Column("job_id", Uuid, nullable=False),
    Column("seq", Integer, nullable=False),  # of its first event
    Column("events", Integer, nullable=False),
    CheckConstraint("events > 0", name="events"),
    UniqueConstraint("job_id", "seq"),
    Index("ix_feed_range_project", "project_id", "pos"),
)

feed_head = Table(
    "feed_head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("epoch", Uuid, nullable=False),  # tells a restored database from the one a cursor was made on
    Column("pos", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="only_one"),
)

concurrency_limit = Table(
    "concurrency_limit",
    metadata,
    Column("project_id", Uuid, ForeignKey("project.id"), nullable=False),
    Column("scope", Text, nullable=False),
    Column("name", Text, nullable=False),  # of the resource group or the pool; empty for the project itself
    Column("slots", Integer, nullable=False),
    Column("revision", Integer, nullable=False),  # of the sequence `revision`, with every change
    _created(),
    PrimaryKeyConstraint("project_id", "scope", "name"),
    CheckConstraint("scope IN ('project', 'resource_group', 'pool')", name="scope"),
    CheckConstraint("slots >= 0", name="slots"),
)

group_capacity = Table(
    "group_capacity",
    metadata,
    Column("site", Text, nullable=False),
    Column("resource_group", Text, nullable=False),  # empty: the site makes no difference between groups
    Column("slot", Text, nullable=False),
    Column("capacity", Numeric, nullable=False),  # in all, taken or not: cores, bytes, or the slot's own unit
    Column("used", Numeric),  # taken of it by anybody; unset in rows of an older scheduler, as are the next three
    Column("free", Numeric),  # where sessions are placed now
    Column("largest_free", Numeric),  # the most that is free on one agent; unset also where agents are not shown
    Column("agents", Integer),  # of the whole group, alive; unset also where they are not shown
    Column("seen_at", DateTime(timezone=True), nullable=False),  # when a scheduler of the site last said so
    PrimaryKeyConstraint("site", "resource_group", "slot"),
    CheckConstraint("capacity >= 0", name="capacity"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("project_id", Uuid, ForeignKey("project.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("request_hash", Text, nullable=False),
    Column("job_id", Uuid, nullable=False),
    _created(),
    PrimaryKeyConstraint("project_id", "key"),
    Index("ix_idempotency_created_at", "created_at"),
)

# -- what lists are filtered and ordered by -------------------------------------------------------------------------

# Pipelines by age, archived ones too.
Index("ix_pipeline_project", pipeline.c.project_id, text("id DESC"))
# Jobs of a pipeline or of a version, newest first.
Index("ix_job_pipeline", job.c.pipeline_id, text("id DESC"))
# An id is written from its end on, as people who type one do.
Index(
    "ix_job_ending",
    job.c.project_id,
    func.reverse(func.replace(cast(job.c.id, Text), "-", "")).label("ending"),
    postgresql_ops={"ending": "text_pattern_ops"},
)
Index("ix_job_version", job.c.version_id, text("id DESC"))
# Jobs by state. Those that are over are entered once, at their end; the others are never many.
_IS_OVER = _in("state", TERMINAL_JOB_STATES)
Index("ix_job_over", job.c.project_id, job.c.state, text("id DESC"), postgresql_where=text(_IS_OVER))
Index("ix_job_over_pipeline", job.c.pipeline_id, job.c.state, text("id DESC"), postgresql_where=text(_IS_OVER))
Index("ix_job_open", job.c.project_id, text("id DESC"), postgresql_where=text(f"NOT ({_IS_OVER})"))

__all__ = ["metadata"]
