"""The scheduler's background roles: one noun, one file, one loop each."""
