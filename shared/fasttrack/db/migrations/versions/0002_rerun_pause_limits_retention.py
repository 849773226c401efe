"""Re-runs, pauses, limits and retention.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('concurrency_limit',
    sa.Column('project_id', sa.Uuid(), nullable=False),
    sa.Column('scope', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('slots', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("scope IN ('project', 'resource_group', 'pool')", name=op.f('ck_concurrency_limit_scope')),
    sa.CheckConstraint('slots >= 0', name=op.f('ck_concurrency_limit_slots')),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_concurrency_limit_project_id_project')),
    sa.PrimaryKeyConstraint('project_id', 'scope', 'name', name=op.f('pk_concurrency_limit'))
    )
    op.create_table('retention_mark',
    sa.Column('project_id', sa.Uuid(), nullable=False),
    sa.Column('site', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('ended_before', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("kind IN ('events', 'logs', 'outputs')", name=op.f('ck_retention_mark_kind')),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_retention_mark_project_id_project')),
    sa.PrimaryKeyConstraint('project_id', 'site', 'kind', name=op.f('pk_retention_mark'))
    )
    op.add_column('job', sa.Column('origin_job_id', sa.Uuid(), nullable=True))
    op.add_column('job', sa.Column('skip', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False))
    # Of jobs that are there already, only their first event knows.
    op.execute("""UPDATE job SET skip = ARRAY(SELECT jsonb_array_elements_text(e.payload -> 'skip')) FROM event e
                  WHERE e.job_id = job.id AND e.seq = 1 AND jsonb_typeof(e.payload -> 'skip') = 'array'""")
    op.add_column('job', sa.Column('pruned_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index('ix_job_active', 'job', ['pipeline_id'], unique=False, postgresql_where=sa.text("NOT (state IN ('CANCELLED', 'FAILED', 'SUCCEEDED'))"))
    op.create_index('ix_job_ended', 'job', ['project_id', 'ended_at'], unique=False, postgresql_where=sa.text('ended_at IS NOT NULL'))
    op.add_column('pipeline', sa.Column('paused_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('project', sa.Column('retention', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column('project', sa.Column('pruned_pos', sa.BigInteger(), server_default=sa.text('0'), nullable=False))
    op.add_column('task_instance', sa.Column('preemptions', sa.SmallInteger(), server_default=sa.text('0'), nullable=False))
    op.add_column('task_instance', sa.Column('quota_failures', sa.SmallInteger(), server_default=sa.text('0'), nullable=False))
    op.add_column('task_instance', sa.Column('resource_group', sa.Text(), server_default='', nullable=False))
    op.add_column('task_instance', sa.Column('pool', sa.Text(), nullable=True))
    op.add_column('task_instance', sa.Column('pool_slots', sa.SmallInteger(), server_default=sa.text('0'), nullable=False))
    op.add_column('task_instance', sa.Column('reused_from', sa.Uuid(), nullable=True))
    op.add_column('task_instance', sa.Column('granted_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index('ix_task_instance_reused', 'task_instance', ['reused_from'], unique=False, postgresql_where=sa.text('reused_from IS NOT NULL'))


def downgrade() -> None:
    op.drop_index('ix_task_instance_reused', table_name='task_instance', postgresql_where=sa.text('reused_from IS NOT NULL'))
    op.drop_column('task_instance', 'granted_at')
    op.drop_column('task_instance', 'reused_from')
    op.drop_column('task_instance', 'pool_slots')
    op.drop_column('task_instance', 'pool')
    op.drop_column('task_instance', 'resource_group')
    op.drop_column('task_instance', 'quota_failures')
    op.drop_column('task_instance', 'preemptions')
    op.drop_column('project', 'pruned_pos')
    op.drop_column('project', 'retention')
    op.drop_column('pipeline', 'paused_at')
    op.drop_index('ix_job_ended', table_name='job', postgresql_where=sa.text('ended_at IS NOT NULL'))
    op.drop_index('ix_job_active', table_name='job', postgresql_where=sa.text("NOT (state IN ('CANCELLED', 'FAILED', 'SUCCEEDED'))"))
    op.drop_column('job', 'pruned_at')
    op.drop_column('job', 'skip')
    op.drop_column('job', 'origin_job_id')
    op.drop_table('retention_mark')
    op.drop_table('concurrency_limit')
