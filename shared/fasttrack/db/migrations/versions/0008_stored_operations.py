"""Stored operations, and tokens that run no others.

Revision ID: 0008
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0008'
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('stored_operation',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('project_id', sa.Uuid(), nullable=True),
    sa.Column('hash', sa.LargeBinary(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('octet_length(hash) = 32', name=op.f('ck_stored_operation_hash')),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_stored_operation_project_id_project')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_stored_operation'))
    )
    op.create_index('ix_stored_operation_project', 'stored_operation', ['project_id', sa.literal_column('id DESC')], unique=False)
    op.create_index('uq_stored_operation_everywhere', 'stored_operation', ['hash'], unique=True, postgresql_where=sa.text('project_id IS NULL'))
    op.create_index('uq_stored_operation_hash', 'stored_operation', ['hash', 'project_id'], unique=True)
    op.add_column('token', sa.Column('stored_only', sa.Boolean(), server_default=sa.text('false'), nullable=False))


def downgrade() -> None:
    op.drop_column('token', 'stored_only')
    op.drop_index('uq_stored_operation_hash', table_name='stored_operation')
    op.drop_index('uq_stored_operation_everywhere', table_name='stored_operation', postgresql_where=sa.text('project_id IS NULL'))
    op.drop_index('ix_stored_operation_project', table_name='stored_operation')
    op.drop_table('stored_operation')
