"""`--set TASK.KEY=VALUE`: what one run has otherwise than its file, as it is typed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

SET = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="TASK.KEY=VALUE",
        help="What a task has otherwise in this job: `resources.SLOT`, `environment.image`, `environment.scaling-group`, "
        "`environment.envs.NAME`, `retry.KEY` or `timeouts.KEY`, as in the file; may be repeated.",
    ),
]
_HOLDERS = ("resources", "environment.envs", "environment", "retry", "timeouts")
"""Maps of the file that are changed key by key; what follows one is its key, dots included (`cuda.shares`)."""


def read_overrides(pairs: list[str]) -> dict[str, dict[str, Any]]:
    """The values by task, as the file would hold them; whether they are right is asked of the run.

    :raises BadParameter: one is not of the form, or given twice.
    """
    overrides: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        task, _, key = name.partition(".")
        holder = next((h for h in _HOLDERS if key.startswith(f"{h}.") and len(key) > len(h) + 1), None)
        if not equals or not task or holder is None:
            raise typer.BadParameter(
                f"{pair!r} is not of the form TASK.KEY=VALUE, such as train.resources.mem=32g", param_hint="--set"
            )
        part = overrides.setdefault(task, {})
        for word in holder.split("."):
            part = part.setdefault(word, {})
        last = key.removeprefix(f"{holder}.")
        if last in part:
            raise typer.BadParameter(f"{name} is given twice", param_hint="--set")
        part[last] = value.split(",") if (holder, last) == ("retry", "on") else value
    return overrides
