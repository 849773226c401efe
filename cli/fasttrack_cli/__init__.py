"""What a person types: the `fasttrack` command, and everything in one process tree on one machine."""
