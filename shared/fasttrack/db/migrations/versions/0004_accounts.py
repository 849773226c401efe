"""Accounts, members, tokens, the audit log, and answers by idempotency key.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('audit_entry',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('account_id', sa.Uuid(), nullable=False),
    sa.Column('account_name', sa.Text(), nullable=False),
    sa.Column('token_id', sa.Uuid(), nullable=True),
    sa.Column('origin', sa.Text(), nullable=False),
    sa.Column('action', sa.Text(), nullable=False),
    sa.Column('project_id', sa.Uuid(), nullable=True),
    sa.Column('object_kind', sa.Text(), nullable=False),
    sa.Column('object_id', sa.Text(), nullable=False),
    sa.Column('before', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('after', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('outcome', sa.Text(), nullable=False),
    sa.CheckConstraint("outcome IN ('done', 'refused')", name=op.f('ck_audit_entry_outcome')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_entry'))
    )
    op.create_index('ix_audit_entry_account', 'audit_entry', ['account_id', sa.literal_column('id DESC')], unique=False)
    op.create_index('ix_audit_entry_object', 'audit_entry', ['object_kind', 'object_id', sa.literal_column('id DESC')], unique=False)
    op.create_index('ix_audit_entry_project', 'audit_entry', ['project_id', sa.literal_column('id DESC')], unique=False)
    op.create_table('idempotent_answer',
    sa.Column('scope', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('request_hash', sa.Text(), nullable=False),
    sa.Column('answer', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('scope', 'key', name=op.f('pk_idempotent_answer'))
    )
    op.create_index('ix_idempotent_answer_created_at', 'idempotent_answer', ['created_at'], unique=False)
    op.create_table('account',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('display_name', sa.Text(), server_default='', nullable=False),
    sa.Column('email', sa.Text(), server_default='', nullable=False),
    sa.Column('project_id', sa.Uuid(), nullable=True),
    sa.Column('is_superadmin', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('issuer', sa.Text(), nullable=True),
    sa.Column('subject', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('disabled_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(kind = 'service') = (project_id IS NOT NULL)", name=op.f('ck_account_project')),
    sa.CheckConstraint("kind = 'user' OR NOT is_superadmin", name=op.f('ck_account_superadmin')),
    sa.CheckConstraint("kind IN ('service', 'user')", name=op.f('ck_account_kind')),
    sa.CheckConstraint('(issuer IS NULL) = (subject IS NULL)', name=op.f('ck_account_identity')),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_account_project_id_project')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_account')),
    sa.UniqueConstraint('name', name=op.f('uq_account_name'))
    )
    op.create_index('ix_account_project', 'account', ['project_id'], unique=False, postgresql_where=sa.text('project_id IS NOT NULL'))
    op.create_index('ix_account_superadmin', 'account', ['id'], unique=False, postgresql_where=sa.text('is_superadmin'))
    op.create_index('uq_account_identity', 'account', ['issuer', 'subject'], unique=True, postgresql_where=sa.text('issuer IS NOT NULL'))
    op.create_table('domain_admin',
    sa.Column('account_id', sa.Uuid(), nullable=False),
    sa.Column('domain', sa.Text(), nullable=False),
    sa.Column('added_by', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_domain_admin_account_id_account')),
    sa.PrimaryKeyConstraint('account_id', 'domain', name=op.f('pk_domain_admin'))
    )
    op.create_table('member',
    sa.Column('project_id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), nullable=False),
    sa.Column('role', sa.Text(), nullable=False),
    sa.Column('added_by', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("role IN ('admin', 'editor', 'operator', 'viewer')", name=op.f('ck_member_role')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_member_account_id_account')),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_member_project_id_project')),
    sa.PrimaryKeyConstraint('project_id', 'account_id', name=op.f('pk_member'))
    )
    op.create_index('ix_member_account', 'member', ['account_id'], unique=False, postgresql_include=['project_id', 'role'])
    op.create_table('token',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('hash', sa.LargeBinary(), nullable=False),
    sa.Column('scopes', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('only_project', sa.Uuid(), nullable=True),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('not_before', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('rotated_to', sa.Uuid(), nullable=True),
    sa.CheckConstraint("kind IN ('personal', 'service')", name=op.f('ck_token_kind')),
    sa.CheckConstraint('octet_length(hash) = 32', name=op.f('ck_token_hash')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_token_account_id_account')),
    sa.ForeignKeyConstraint(['only_project'], ['project.id'], name=op.f('fk_token_only_project_project')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_token')),
    sa.UniqueConstraint('hash', name=op.f('uq_token_hash')),
    postgresql_with={'fillfactor': '80', 'autovacuum_vacuum_scale_factor': '0.02', 'autovacuum_analyze_scale_factor': '0.02'}
    )
    op.create_index('ix_token_account', 'token', ['account_id', sa.literal_column('id DESC')], unique=False)
    op.create_index('ix_token_project', 'token', ['only_project', sa.literal_column('id DESC')], unique=False, postgresql_where=sa.text('only_project IS NOT NULL'))
    op.add_column('project', sa.Column('domain', sa.Text(), server_default='default', nullable=False))
    op.create_index('ix_project_domain', 'project', ['domain'], unique=False)
    # Whoever has the machine: what the command line and an open loopback act as.
    op.execute("""INSERT INTO account (id, kind, name, display_name, is_superadmin)
                  VALUES ('00000000-0000-0000-0000-000000000001', 'user', 'owner', 'Owner of this FastTrack', true)""")
    # An audit log that its own service could rewrite would prove little.
    op.execute("""CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS $$
                  BEGIN RAISE EXCEPTION 'the audit log is only ever added to' USING ERRCODE = '42501'; END $$""")
    op.execute("""CREATE TRIGGER audit_entry_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
                  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit()""")


def downgrade() -> None:
    op.drop_index('ix_project_domain', table_name='project')
    op.drop_column('project', 'domain')
    op.drop_index('ix_token_project', table_name='token', postgresql_where=sa.text('only_project IS NOT NULL'))
    op.drop_index('ix_token_account', table_name='token')
    op.drop_table('token')
    op.drop_index('ix_member_account', table_name='member', postgresql_include=['project_id', 'role'])
    op.drop_table('member')
    op.drop_table('domain_admin')
    op.drop_index('uq_account_identity', table_name='account', postgresql_where=sa.text('issuer IS NOT NULL'))
    op.drop_index('ix_account_superadmin', table_name='account', postgresql_where=sa.text('is_superadmin'))
    op.drop_index('ix_account_project', table_name='account', postgresql_where=sa.text('project_id IS NOT NULL'))
    op.drop_table('account')
    op.drop_index('ix_idempotent_answer_created_at', table_name='idempotent_answer')
    op.drop_table('idempotent_answer')
    op.drop_index('ix_audit_entry_project', table_name='audit_entry')
    op.drop_index('ix_audit_entry_object', table_name='audit_entry')
    op.drop_index('ix_audit_entry_account', table_name='audit_entry')
    op.drop_table('audit_entry')
    op.execute("DROP FUNCTION refuse_change_of_audit()")
