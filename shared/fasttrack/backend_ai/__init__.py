"""A Backend.AI manager as its HTTP API shows it, releases 23.09 to 26.x: signed requests, what answers mean, folders.

Nothing here knows of jobs. The scheduler's session backend runs sessions through it; the stores of logs and files read
the folders of a cluster through it.
"""
