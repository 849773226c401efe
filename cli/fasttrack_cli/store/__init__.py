"""What commands ask for and get: one contract, kept by the database of this machine (`local`) and by a server (`remote`).

A command knows nothing else, so that it says the same and ends the same wherever the pipelines are. Every method raises
errors of `fasttrack.errors`, and changes nothing when it does.
"""

from .board import Board, TaskView, Viewer, task_view
from .contract import Jobs, Limits, Logs, Pipelines, Projects, Retentions, Secrets, Store, Watch
from .values import (
    Begun,
    Changed,
    FromFile,
    FromVersion,
    Job,
    Limit,
    LogWriter,
    Pipeline,
    Plan,
    Published,
    Rerun,
    RunRequest,
    Secret,
    Start,
    Task,
    Version,
    as_told,
    uuid_of,
)

__all__ = [
    "Begun",
    "Board",
    "Changed",
    "FromFile",
    "FromVersion",
    "Job",
    "Jobs",
    "Limit",
    "Limits",
    "LogWriter",
    "Logs",
    "Pipeline",
    "Pipelines",
    "Plan",
    "Projects",
    "Published",
    "Rerun",
    "Retentions",
    "RunRequest",
    "Secret",
    "Secrets",
    "Start",
    "Store",
    "Task",
    "TaskView",
    "Version",
    "Viewer",
    "Watch",
    "as_told",
    "task_view",
    "uuid_of",
]
