"""The scheduler: ready tasks become compute sessions, and what becomes of them comes back as facts.

loops/reconciler   decides, in passes over many jobs
effects            carries out what a pass decided, after its commit
loops/observer     what the backend says, asked and hinted
loops/sweeper      sessions that nobody owns any more
backends/          where sessions run
service            all of these in one process, started and stopped in order
"""
