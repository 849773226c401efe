"""Compute sessions on a Backend.AI cluster, through its manager's HTTP API. Releases 23.09 to 26.x."""
