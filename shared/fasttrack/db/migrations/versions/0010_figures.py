"""What charts have counted, and an index for each filter of the audit log and for a pipeline's jobs by state.

Revision ID: 0010
Revises: 0009
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0010'
down_revision = "0009"
branch_labels = None
depends_on = None

OVER = "state IN ('CANCELLED', 'FAILED', 'SUCCEEDED')"
REFUSED = "outcome = 'refused'"
NEWEST: sa.ColumnElement[Any] = sa.literal_column('id DESC')
AUDIT: dict[str, list[str | sa.ColumnElement[Any]]] = {
    'ix_audit_entry_action': ['action', NEWEST],
    'ix_audit_entry_kind': ['object_kind', NEWEST],
    'ix_audit_entry_project_action': ['project_id', 'action', NEWEST],
    'ix_audit_entry_project_kind': ['project_id', 'object_kind', NEWEST],
}
REFUSALS: dict[str, list[str | sa.ColumnElement[Any]]] = {
    'ix_audit_entry_project_refused': ['project_id', NEWEST],
    'ix_audit_entry_refused': [NEWEST],
}


def upgrade() -> None:
    for name, columns in AUDIT.items():
        op.create_index(name, 'audit_entry', columns, unique=False)
    for name, columns in REFUSALS.items():
        op.create_index(name, 'audit_entry', columns, unique=False, postgresql_where=sa.text(REFUSED))
    op.create_index('ix_job_over_pipeline', 'job', ['pipeline_id', 'state', NEWEST], unique=False,
                    postgresql_where=sa.text(OVER))
    op.create_table('job_day',
    sa.Column('project_id', sa.Uuid(), nullable=False),
    sa.Column('start', sa.DateTime(timezone=True), nullable=False),
    sa.Column('pipeline_id', sa.Uuid(), nullable=True),
    sa.Column('succeeded', sa.Integer(), nullable=False),
    sa.Column('failed', sa.Integer(), nullable=False),
    sa.Column('cancelled', sa.Integer(), nullable=False),
    sa.Column('run', postgresql.ARRAY(sa.Float(precision=53)), nullable=True),
    sa.Column('waited', postgresql.ARRAY(sa.Float(precision=53)), nullable=True),
    sa.CheckConstraint("date_bin('1 day', start, '2000-01-01T00:00:00Z') = start", name=op.f('ck_job_day_start')),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_job_day_project_id_project'))
    )
    op.create_index('uq_job_day', 'job_day', ['project_id', 'start', 'pipeline_id'], unique=True,
                    postgresql_nulls_not_distinct=True)


def downgrade() -> None:
    op.drop_table('job_day')
    op.drop_index('ix_job_over_pipeline', table_name='job', postgresql_where=sa.text(OVER))
    for name in REFUSALS:
        op.drop_index(name, table_name='audit_entry', postgresql_where=sa.text(REFUSED))
    for name in AUDIT:
        op.drop_index(name, table_name='audit_entry')
