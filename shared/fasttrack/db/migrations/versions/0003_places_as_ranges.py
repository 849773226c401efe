"""Places in the feed belong to ranges of events.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('feed_range',
    sa.Column('pos', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('project_id', sa.Uuid(), nullable=False),
    sa.Column('job_id', sa.Uuid(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('events', sa.Integer(), nullable=False),
    sa.CheckConstraint('events > 0', name=op.f('ck_feed_range_events')),
    sa.PrimaryKeyConstraint('pos', name=op.f('pk_feed_range')),
    sa.UniqueConstraint('job_id', 'seq', name=op.f('uq_feed_range_job_id_seq'))
    )
    op.create_index('ix_feed_range_project', 'feed_range', ['project_id', 'pos'], unique=False)
    op.create_table('unplaced_range',
    sa.Column('job_id', sa.Uuid(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('events', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('job_id', 'seq', name=op.f('pk_unplaced_range')),
    postgresql_with={'fillfactor': '80', 'autovacuum_vacuum_scale_factor': '0.02', 'autovacuum_analyze_scale_factor': '0.02'}
    )
    # Every place stays what it was: cursors that clients hold go on.
    op.execute("""INSERT INTO feed_range (pos, project_id, job_id, seq, events)
                  SELECT max(e.pos), j.project_id, e.job_id, min(e.seq), count(*)
                  FROM event e JOIN job j ON j.id = e.job_id WHERE e.pos IS NOT NULL
                  GROUP BY j.project_id, e.job_id, e.pos - e.seq""")
    op.execute("""INSERT INTO unplaced_range (job_id, seq, events)
                  SELECT job_id, min(seq), count(*) FROM event WHERE pos IS NULL GROUP BY job_id""")
    op.drop_index(op.f('ix_event_unplaced'), table_name='event', postgresql_where='(pos IS NULL)')
    op.drop_index(op.f('uq_event_pos'), table_name='event', postgresql_where='(pos IS NOT NULL)')
    op.drop_column('event', 'pos')
    op.add_column('attempt', sa.Column('asked_at', sa.DateTime(timezone=True), nullable=True))
    # An event is not updated any more: its pages may be filled.
    op.execute("""ALTER TABLE event RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor)""")


def downgrade() -> None:
    op.drop_column('attempt', 'asked_at')
    op.execute("""ALTER TABLE event SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,
                                         autovacuum_analyze_scale_factor = 0.02)""")
    op.add_column('event', sa.Column('pos', sa.BIGINT(), autoincrement=False, nullable=True))
    op.execute("""UPDATE event AS e SET pos = r.pos - r.events + 1 + e.seq - r.seq FROM feed_range r
                  WHERE e.job_id = r.job_id AND e.seq >= r.seq AND e.seq < r.seq + r.events""")
    op.create_index(op.f('uq_event_pos'), 'event', ['pos'], unique=True, postgresql_where='(pos IS NOT NULL)')
    op.create_index(op.f('ix_event_unplaced'), 'event', ['job_id', 'seq'], unique=False, postgresql_where='(pos IS NULL)')
    op.drop_table('unplaced_range')
    op.drop_index('ix_feed_range_project', table_name='feed_range')
    op.drop_table('feed_range')
