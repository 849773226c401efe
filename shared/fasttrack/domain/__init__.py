"""Values and decisions: pipelines, graphs, resources, jobs and their states. No I/O, no framework, no clock."""
