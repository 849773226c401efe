"""The first schema.

Revision ID: 0001
Revises: 
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('attempt',
    sa.Column('instance_id', sa.Uuid(), nullable=False),
    sa.Column('number', sa.SmallInteger(), nullable=False),
    sa.Column('job_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('session_id', sa.Text(), nullable=True),
    sa.Column('stop', sa.Text(), nullable=True),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('failure', sa.Text(), nullable=True),
    sa.Column('exit_code', sa.Integer(), nullable=True),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('fence_until', sa.DateTime(timezone=True), nullable=False),
    sa.Column('missing_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('running_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("failure IS NULL OR failure IN ('cancelled', 'infrastructure', 'out_of_memory', 'preempted', 'quota', 'refused', 'timeout', 'user')", name=op.f('ck_attempt_failure')),
    sa.CheckConstraint("state IN ('CANCELLED', 'FAILED', 'PENDING', 'PREPARING', 'QUEUED', 'READY', 'RUNNING', 'SKIPPED', 'STARTING', 'STOPPING', 'SUCCEEDED', 'UPSTREAM_FAILED')", name=op.f('ck_attempt_state')),
    sa.PrimaryKeyConstraint('instance_id', 'number', name=op.f('pk_attempt')),
    postgresql_with={'fillfactor': '80', 'autovacuum_vacuum_scale_factor': '0.02', 'autovacuum_analyze_scale_factor': '0.02'}
    )
    op.create_table('event',
    sa.Column('job_id', sa.Uuid(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('pos', sa.BigInteger(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('task', sa.Integer(), nullable=True),
    sa.Column('payload', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.PrimaryKeyConstraint('job_id', 'seq', name=op.f('pk_event')),
    postgresql_with={'fillfactor': '80', 'autovacuum_vacuum_scale_factor': '0.02', 'autovacuum_analyze_scale_factor': '0.02'}
    )
    op.create_index('ix_event_unplaced', 'event', ['job_id', 'seq'], unique=False, postgresql_where=sa.text('pos IS NULL'))
    op.create_index('uq_event_pos', 'event', ['pos'], unique=True, postgresql_where=sa.text('pos IS NOT NULL'))
    op.create_table('feed_head',
    sa.Column('id', sa.SmallInteger(), autoincrement=False, nullable=False),
    sa.Column('epoch', sa.Uuid(), nullable=False),
    sa.Column('pos', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('id = 1', name=op.f('ck_feed_head_only_one')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_feed_head'))
    )
    op.create_table('job',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('project_id', sa.Uuid(), nullable=False),
    sa.Column('pipeline_id', sa.Uuid(), nullable=False),
    sa.Column('version_id', sa.Uuid(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('params', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('submitted_by', sa.Text(), nullable=False),
    sa.Column('site', sa.Text(), nullable=True),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('tasks', sa.Integer(), nullable=False),
    sa.Column('open_tasks', sa.Integer(), nullable=False),
    sa.Column('failed_tasks', sa.Integer(), nullable=False),
    sa.Column('cancelled_tasks', sa.Integer(), nullable=False),
    sa.Column('cancel_requested_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('next_reconcile_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(state IN ('CANCELLED', 'FAILED', 'SUCCEEDED')) = (next_reconcile_at IS NULL)", name=op.f('ck_job_due_until_over')),
    sa.CheckConstraint("open_tasks >= 0 AND (open_tasks = 0) = (state IN ('CANCELLED', 'FAILED', 'SUCCEEDED'))", name=op.f('ck_job_open_tasks')),
    sa.CheckConstraint("state IN ('CANCELLED', 'CANCELLING', 'FAILED', 'PAUSED', 'PENDING', 'RUNNING', 'SUCCEEDED')", name=op.f('ck_job_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_job')),
    sa.UniqueConstraint('pipeline_id', 'number', name=op.f('uq_job_pipeline_id_number')),
    postgresql_with={'fillfactor': '80', 'autovacuum_vacuum_scale_factor': '0.02', 'autovacuum_analyze_scale_factor': '0.02'}
    )
    op.create_index('ix_job_due', 'job', ['next_reconcile_at'], unique=False, postgresql_where=sa.text('next_reconcile_at IS NOT NULL'))
    op.create_index('ix_job_project', 'job', ['project_id', sa.literal_column('id DESC')], unique=False)
    op.create_table('project',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_project')),
    sa.UniqueConstraint('name', name=op.f('uq_project_name'))
    )
    op.create_table('task_instance',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('job_id', sa.Uuid(), nullable=False),
    sa.Column('index', sa.Integer(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('unmet', sa.Integer(), nullable=False),
    sa.Column('deps_ok', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('deps_failed', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('attempt', sa.SmallInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('failures', sa.SmallInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('infrastructure_failures', sa.SmallInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('failure', sa.Text(), nullable=True),
    sa.Column('exit_code', sa.Integer(), nullable=True),
    sa.Column('not_before', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ready_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(state IN ('CANCELLED', 'FAILED', 'SKIPPED', 'SUCCEEDED', 'UPSTREAM_FAILED')) = (ended_at IS NOT NULL)", name=op.f('ck_task_instance_ended_at')),
    sa.CheckConstraint("state IN ('CANCELLED', 'FAILED', 'PENDING', 'PREPARING', 'QUEUED', 'READY', 'RUNNING', 'SKIPPED', 'STARTING', 'STOPPING', 'SUCCEEDED', 'UPSTREAM_FAILED')", name=op.f('ck_task_instance_state')),
    sa.CheckConstraint('unmet >= 0', name=op.f('ck_task_instance_unmet')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_task_instance')),
    sa.UniqueConstraint('job_id', 'index', name=op.f('uq_task_instance_job_id_index')),
    postgresql_with={'fillfactor': '80', 'autovacuum_vacuum_scale_factor': '0.02', 'autovacuum_analyze_scale_factor': '0.02'}
    )
    op.create_index('ix_task_instance_movable', 'task_instance', ['job_id'], unique=False, postgresql_where=sa.text("state IN ('PREPARING', 'QUEUED', 'READY', 'RUNNING', 'STARTING', 'STOPPING')"))
    op.create_table('idempotency',
    sa.Column('project_id', sa.Uuid(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('request_hash', sa.Text(), nullable=False),
    sa.Column('job_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_idempotency_project_id_project')),
    sa.PrimaryKeyConstraint('project_id', 'key', name=op.f('pk_idempotency'))
    )
    op.create_index('ix_idempotency_created_at', 'idempotency', ['created_at'], unique=False)
    op.create_table('pipeline',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('project_id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('latest_version', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('latest_job', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('archived_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_pipeline_project_id_project')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_pipeline'))
    )
    op.create_index('uq_pipeline_name', 'pipeline', ['project_id', 'name'], unique=True, postgresql_where=sa.text('archived_at IS NULL'))
    op.create_table('secret',
    sa.Column('project_id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('key_id', sa.Text(), nullable=False),
    sa.Column('ciphertext', sa.LargeBinary(), nullable=False),
    sa.Column('updated_by', sa.Text(), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_secret_project_id_project')),
    sa.PrimaryKeyConstraint('project_id', 'name', name=op.f('pk_secret'))
    )
    op.create_table('pipeline_version',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('pipeline_id', sa.Uuid(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('author', sa.Text(), nullable=False),
    sa.Column('message', sa.Text(), nullable=False),
    sa.Column('hash', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('spec', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['pipeline_id'], ['pipeline.id'], name=op.f('fk_pipeline_version_pipeline_id_pipeline')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_pipeline_version')),
    sa.UniqueConstraint('pipeline_id', 'number', name=op.f('uq_pipeline_version_pipeline_id_number'))
    )
    # The one row that the sequencer locks; the epoch tells this database from one restored elsewhere.
    op.execute("INSERT INTO feed_head (id, epoch, pos) VALUES (1, gen_random_uuid(), 0)")


def downgrade() -> None:
    op.drop_table('pipeline_version')
    op.drop_table('secret')
    op.drop_index('uq_pipeline_name', table_name='pipeline', postgresql_where=sa.text('archived_at IS NULL'))
    op.drop_table('pipeline')
    op.drop_index('ix_idempotency_created_at', table_name='idempotency')
    op.drop_table('idempotency')
    op.drop_index('ix_task_instance_movable', table_name='task_instance', postgresql_where=sa.text("state IN ('PREPARING', 'QUEUED', 'READY', 'RUNNING', 'STARTING', 'STOPPING')"))
    op.drop_table('task_instance')
    op.drop_table('project')
    op.drop_index('ix_job_project', table_name='job')
    op.drop_index('ix_job_due', table_name='job', postgresql_where=sa.text('next_reconcile_at IS NOT NULL'))
    op.drop_table('job')
    op.drop_table('feed_head')
    op.drop_index('uq_event_pos', table_name='event', postgresql_where=sa.text('pos IS NOT NULL'))
    op.drop_index('ix_event_unplaced', table_name='event', postgresql_where=sa.text('pos IS NULL'))
    op.drop_table('event')
    op.drop_table('attempt')
