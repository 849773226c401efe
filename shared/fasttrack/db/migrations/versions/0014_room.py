"""What sites tell of their resource groups beside what they have: what is taken by anybody, and what is free in one piece.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = '0014'
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ('used', 'free', 'largest_free'):
        op.add_column('group_capacity', sa.Column(column, sa.Numeric(), nullable=True))
    op.add_column('group_capacity', sa.Column('agents', sa.Integer(), nullable=True))


def downgrade() -> None:
    for column in ('used', 'free', 'largest_free', 'agents'):
        op.drop_column('group_capacity', column)
