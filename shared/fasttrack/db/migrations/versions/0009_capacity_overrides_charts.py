"""What resource groups have, what a run has otherwise than its file, and what charts read.

Revision ID: 0009
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0009'
down_revision = "0008"
branch_labels = None
depends_on = None

ENDED = 'ended_at IS NOT NULL'


def upgrade() -> None:
    op.create_table('group_capacity',
    sa.Column('site', sa.Text(), nullable=False),
    sa.Column('resource_group', sa.Text(), nullable=False),
    sa.Column('slot', sa.Text(), nullable=False),
    sa.Column('capacity', sa.Numeric(), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('capacity >= 0', name=op.f('ck_group_capacity_capacity')),
    sa.PrimaryKeyConstraint('site', 'resource_group', 'slot', name=op.f('pk_group_capacity'))
    )
    op.add_column('job', sa.Column('overrides', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.drop_index('ix_job_ended', table_name='job', postgresql_where=sa.text(ENDED))
    op.create_index('ix_job_ended', 'job', ['project_id', 'ended_at'], unique=False,
                    postgresql_include=['state', 'pipeline_id', 'created_at', 'started_at'],
                    postgresql_where=sa.text(ENDED))


def downgrade() -> None:
    op.drop_index('ix_job_ended', table_name='job', postgresql_where=sa.text(ENDED))
    op.create_index('ix_job_ended', 'job', ['project_id', 'ended_at'], unique=False,
                    postgresql_where=sa.text(ENDED))
    op.drop_column('job', 'overrides')
    op.drop_table('group_capacity')
