"""The schema's history; `fasttrack.db.migrate` runs it."""
