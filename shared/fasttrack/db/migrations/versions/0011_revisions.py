"""Revisions of limits, secrets and templates.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = ('concurrency_limit', 'secret', 'template')


def upgrade() -> None:
    # One for all: what is removed and made again must not come back to a number that somebody has seen.
    op.execute('CREATE SEQUENCE revision AS integer')
    for table in TABLES:
        op.add_column(table, sa.Column('revision', sa.Integer(), server_default=sa.text("nextval('revision')"), nullable=False))
        op.alter_column(table, 'revision', server_default=None)


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, 'revision')
    op.execute('DROP SEQUENCE revision')
