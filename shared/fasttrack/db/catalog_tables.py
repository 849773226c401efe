"""The tables beside pipelines and their versions: names they had before, and what is offered as a template."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

from ..domain.catalog import TemplateScope
from .tables import _created, _in, metadata

# Whoever publishes a file that still has an old name means the pipeline that was renamed.
former_name = Table(
    "former_name",
    metadata,
    Column("project_id", Uuid, ForeignKey("project.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("pipeline_id", Uuid, ForeignKey("pipeline.id", ondelete="CASCADE"), nullable=False),  # the last that had it
    _created(),
    PrimaryKeyConstraint("project_id", "name"),
    Index("ix_former_name_pipeline", "pipeline_id"),  # goes with the pipeline
)

template = Table(
    "template",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", Uuid, ForeignKey("project.id"), nullable=False),
    # A pipeline is offered in one version at a time.
    Column("pipeline_id", Uuid, ForeignKey("pipeline.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("version_id", Uuid, ForeignKey("pipeline_version.id", ondelete="CASCADE"), nullable=False),
    Column("scope", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("shared_by", Text, nullable=False),
    Column("revision", Integer, nullable=False),  # of the sequence `revision`, with every change
    _created(),
    CheckConstraint(_in("scope", TemplateScope), name="scope"),
    # Those of a project, newest first; those of a domain are found by its projects.
    Index("ix_template_project", "project_id", text("id DESC")),
    # Those for everyone, newest first.
    Index("ix_template_everyone", text("id DESC"), postgresql_where=text("scope = 'everyone'")),
    Index("ix_template_version", "version_id"),  # goes with the version
)
