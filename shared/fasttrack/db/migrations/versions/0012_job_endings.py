"""Jobs by the end of their id.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = '0012'
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX ix_job_ending ON job (project_id, reverse(replace(id::text, '-', '')) text_pattern_ops)")


def downgrade() -> None:
    op.drop_index('ix_job_ending', table_name='job')
