"""Give each filter of the API's lists its index.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = "0004"
branch_labels = None
depends_on = None

OVER = "state IN ('CANCELLED', 'FAILED', 'SUCCEEDED')"


def upgrade() -> None:
    op.create_index('ix_pipeline_project', 'pipeline', ['project_id', sa.literal_column('id DESC')], unique=False)
    op.create_index('ix_job_pipeline', 'job', ['pipeline_id', sa.literal_column('id DESC')], unique=False)
    op.create_index('ix_job_version', 'job', ['version_id', sa.literal_column('id DESC')], unique=False)
    op.create_index('ix_job_over', 'job', ['project_id', 'state', sa.literal_column('id DESC')], unique=False,
                    postgresql_where=sa.text(OVER))
    op.create_index('ix_job_open', 'job', ['project_id', sa.literal_column('id DESC')], unique=False,
                    postgresql_where=sa.text(f'NOT ({OVER})'))


def downgrade() -> None:
    op.drop_index('ix_job_open', table_name='job', postgresql_where=sa.text(f'NOT ({OVER})'))
    op.drop_index('ix_job_over', table_name='job', postgresql_where=sa.text(OVER))
    op.drop_index('ix_job_version', table_name='job')
    op.drop_index('ix_job_pipeline', table_name='job')
    op.drop_index('ix_pipeline_project', table_name='pipeline')
