"""Pipelines get tags, a description and an origin, can be deleted, and are offered as templates.

Revision ID: 0007
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0007'
down_revision = "0006"
branch_labels = None
depends_on = None

TAGS = sa.text('array_append(tags, project_id::text)')


def upgrade() -> None:
    for column in (
        sa.Column('description', sa.Text(), server_default='', nullable=False),
        sa.Column('tags', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False),
        sa.Column('created_from', postgresql.JSONB(), nullable=True),
        sa.Column('revision', sa.Integer(), server_default=sa.text('1'), nullable=False),
        sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column('pipeline', column)
    op.create_check_constraint(op.f('ck_pipeline_tags'), 'pipeline', 'cardinality(tags) <= 20')
    op.create_check_constraint(op.f('ck_pipeline_deleted'), 'pipeline', 'deleted_at IS NULL OR archived_at IS NOT NULL')
    op.create_index('ix_pipeline_tags', 'pipeline', [TAGS], unique=False, postgresql_using='gin',
                    postgresql_with={'fastupdate': 'off'})
    op.create_index('ix_pipeline_deleted', 'pipeline', ['project_id'], unique=False,
                    postgresql_where=sa.text('deleted_at IS NOT NULL'))
    op.create_table('former_name',
    sa.Column('project_id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('pipeline_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['pipeline_id'], ['pipeline.id'], name=op.f('fk_former_name_pipeline_id_pipeline'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_former_name_project_id_project')),
    sa.PrimaryKeyConstraint('project_id', 'name', name=op.f('pk_former_name'))
    )
    op.create_index('ix_former_name_pipeline', 'former_name', ['pipeline_id'], unique=False)
    op.create_table('template',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('project_id', sa.Uuid(), nullable=False),
    sa.Column('pipeline_id', sa.Uuid(), nullable=False),
    sa.Column('version_id', sa.Uuid(), nullable=False),
    sa.Column('scope', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), server_default='', nullable=False),
    sa.Column('shared_by', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("scope IN ('domain', 'everyone', 'project')", name=op.f('ck_template_scope')),
    sa.ForeignKeyConstraint(['pipeline_id'], ['pipeline.id'], name=op.f('fk_template_pipeline_id_pipeline'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['project_id'], ['project.id'], name=op.f('fk_template_project_id_project')),
    sa.ForeignKeyConstraint(['version_id'], ['pipeline_version.id'], name=op.f('fk_template_version_id_pipeline_version'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_template')),
    sa.UniqueConstraint('pipeline_id', name=op.f('uq_template_pipeline_id'))
    )
    op.create_index('ix_template_project', 'template', ['project_id', sa.literal_column('id DESC')], unique=False)
    op.create_index('ix_template_everyone', 'template', [sa.literal_column('id DESC')], unique=False,
                    postgresql_where=sa.text("scope = 'everyone'"))
    op.create_index('ix_template_version', 'template', ['version_id'], unique=False)


def downgrade() -> None:
    op.drop_table('template')
    op.drop_table('former_name')
    op.drop_index('ix_pipeline_deleted', table_name='pipeline')
    op.drop_index('ix_pipeline_tags', table_name='pipeline', postgresql_using='gin')
    op.drop_constraint(op.f('ck_pipeline_deleted'), 'pipeline', type_='check')
    op.drop_constraint(op.f('ck_pipeline_tags'), 'pipeline', type_='check')
    for column in ('deleted_at', 'revision', 'created_from', 'tags', 'description'):
        op.drop_column('pipeline', column)
