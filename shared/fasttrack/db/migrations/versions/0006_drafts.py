"""Give each pipeline a draft that its editors share.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('pipeline_draft',
    sa.Column('pipeline_id', sa.Uuid(), nullable=False),
    sa.Column('revision', sa.Integer(), nullable=False),
    sa.Column('source', sa.Text(), nullable=True),
    sa.Column('base_version', sa.Integer(), nullable=True),
    sa.Column('positions', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('published_positions', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.Column('updated_by', sa.Text(), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('num_nonnulls(source, base_version, positions) IN (0, 3)', name=op.f('ck_pipeline_draft_begun')),
    sa.ForeignKeyConstraint(['pipeline_id'], ['pipeline.id'], name=op.f('fk_pipeline_draft_pipeline_id_pipeline')),
    sa.PrimaryKeyConstraint('pipeline_id', name=op.f('pk_pipeline_draft'))
    )


def downgrade() -> None:
    op.drop_table('pipeline_draft')
