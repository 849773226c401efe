"""What every FastTrack service stands on: pipelines, jobs, their states, where they are kept, and the event feed.

Read it in the order the data flows: `spec` (YAML in and out) → `domain` (values and decisions) → `workflow` (what
happens, one transaction each) → `db` (the only SQL) → `feed` (what the world is told).
"""

__version__ = "0.1.0"
