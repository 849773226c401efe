"""Give the filters of the audit log, and those of a pipeline's jobs by state, an index each.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = "0009"
branch_labels = None
depends_on = None

OVER = "state IN ('CANCELLED', 'FAILED', 'SUCCEEDED')"
REFUSED = "outcome = 'refused'"
NEWEST = sa.literal_column('id DESC')
AUDIT = {
    'ix_audit_entry_action': ['action', NEWEST],
    'ix_audit_entry_kind': ['object_kind', NEWEST],
    'ix_audit_entry_project_action': ['project_id', 'action', NEWEST],
    'ix_audit_entry_project_kind': ['project_id', 'object_kind', NEWEST],
}
REFUSALS = {
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


def downgrade() -> None:
    op.drop_index('ix_job_over_pipeline', table_name='job', postgresql_where=sa.text(OVER))
    for name in REFUSALS:
        op.drop_index(name, table_name='audit_entry', postgresql_where=sa.text(REFUSED))
    for name in AUDIT:
        op.drop_index(name, table_name='audit_entry')
