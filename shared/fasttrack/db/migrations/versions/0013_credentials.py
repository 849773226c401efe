"""Keys of a cluster per project and per person.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('credential',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('project_id', sa.Uuid(), nullable=True),
    sa.Column('account_id', sa.Uuid(), nullable=True),
    sa.Column('site', sa.Text(), nullable=False),
    sa.Column('cluster_user', sa.Text(), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('removed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revision', sa.Integer(), nullable=False),
    sa.CheckConstraint('num_nonnulls(project_id, account_id) = 1', name=op.f('ck_credential_holder')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_credential_account_id_account')),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_credential_project_id_project')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_credential'))
    )
    op.create_index('uq_credential_account', 'credential', ['account_id'], unique=True, postgresql_where=sa.text('removed_at IS NULL'))
    op.create_index('uq_credential_project', 'credential', ['project_id'], unique=True, postgresql_where=sa.text('removed_at IS NULL'))
    op.create_table('credential_key',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('credential_id', sa.Uuid(), nullable=False),
    sa.Column('access_key', sa.Text(), nullable=False),
    sa.Column('key_id', sa.Text(), nullable=False),
    sa.Column('ciphertext', sa.LargeBinary(), nullable=False),
    sa.Column('added_by', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('retired_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['credential_id'], ['credential.id'], name=op.f('fk_credential_key_credential_id_credential')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_credential_key')),
    sa.UniqueConstraint('credential_id', 'access_key', name=op.f('uq_credential_key_credential_id_access_key'))
    )
    op.create_index('uq_credential_key_present', 'credential_key', ['credential_id'], unique=True, postgresql_where=sa.text('retired_at IS NULL'))
    op.add_column('project', sa.Column('personal_keys', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('job', sa.Column('credential_id', sa.Uuid(), nullable=True))
    op.add_column('attempt', sa.Column('key_id', sa.Uuid(), nullable=True))
    op.create_index('ix_job_credential', 'job', ['credential_id', 'pipeline_id'], unique=False, postgresql_where=sa.text('credential_id IS NOT NULL'))


def downgrade() -> None:
    op.drop_index('ix_job_credential', table_name='job', postgresql_where=sa.text('credential_id IS NOT NULL'))
    op.drop_column('attempt', 'key_id')
    op.drop_column('job', 'credential_id')
    op.drop_column('project', 'personal_keys')
    op.drop_table('credential_key')
    op.drop_table('credential')
