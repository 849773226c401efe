"""What keeps the jobs of a pipeline from running, and the jobs whose files were given up.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('pipeline', sa.Column('problem', sa.Text(), nullable=True))
    op.add_column('pipeline', sa.Column('is_folder_gone', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('pipeline', sa.Column('lost_jobs', sa.Integer(), server_default=sa.text('0'), nullable=False))


def downgrade() -> None:
    for column in ('problem', 'is_folder_gone', 'lost_jobs'):
        op.drop_column('pipeline', column)
