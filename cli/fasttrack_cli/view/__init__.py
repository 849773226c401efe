"""How jobs look: pure functions from a job's tasks and their states to lines; only `live` knows a terminal."""
