"""Writes that the caller may not do, in the audit log: in a transaction of their own, and never in the way of the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from uuid import UUID

import structlog

from fasttrack.domain.access import Caller
from fasttrack.errors import Forbidden
from fasttrack.ids import ProjectId
from fasttrack.telemetry import LogLimiter
from fasttrack.workflow.audit import record

from .parts import Parts

log = structlog.get_logger()

MOST = 60
"""Refusals of one caller that a process writes down in a minute; somebody who tries on and on must not fill the log."""

_PERIOD = 60
_MOST_CALLERS = 10_000
_PATIENCE = 2.0
_ACTIONS = {
    "put_pipeline": "pipeline.publish",
    "restore_version": "pipeline.restore",
    "run_pipeline": "job.run",
    "set_project_limit": "limit.set",
    "delete_limit": "limit.remove",
    "delete_project_limit": "limit.remove",
    "set_secret": "secret.put",
    "change_member_role": "member.change",
    "create_service_account": "account.create",
    "change_superadmin": "account.change",
    "change_domain": "project.change",
    "add_domain_admin": "domain.add_admin",
    "remove_domain_admin": "domain.remove_admin",
    "publish_file": "pipeline.publish",
    "start_run": "job.run",
    **{f"{verb}_jobs": f"job.{verb}" for verb in ("cancel", "pause", "resume")},
    "make_pipeline": "pipeline.create",
    "change_pipeline": "pipeline.update",
    "remake_folder": "pipeline.remake_folder",
    "offer_template": "template.share",
    "withdraw_template": "template.unshare",
    "skip_task_instance": "task.skip",
    "skip_tasks": "task.skip",
    "store_operations": "operation.store",
    "reset_retention": "retention.change",
    "put_pipeline_draft": "draft.save",
    "delete_pipeline_draft": "draft.discard",
    "publish_draft": "pipeline.publish",
    "append_to_upload": "upload.finish",
    "move_task": "draft.move_tasks",
    **dict.fromkeys(("set_backend_credential", "set_project_credential", "set_person_credential"), "credential.set"),
    **dict.fromkeys(
        ("remove_backend_credential", "remove_project_credential", "remove_person_credential"), "credential.remove"
    ),
    "allow_personal_keys": "project.set_personal_keys",
    **{
        change: f"draft.{change}"
        for change in (
            "add_task",
            "change_task",
            "move_tasks",
            "duplicate_task",
            "delete_task",
            "connect_tasks",
            "disconnect_tasks",
        )
    },
}


def action_of(operation: str) -> str:
    """What the audit log calls a write, by the name of the function that serves it: `pause_job` is `job.pause`."""
    verb, _, noun = operation.partition("_")
    return _ACTIONS.get(operation, f"{noun}.{verb}")


class Refusals:
    """Of one process."""

    def __init__(self, parts: Parts) -> None:
        self._database = parts.database
        self._period = 0
        self._counts: dict[UUID, int] = {}
        self._limiter = LogLimiter(_PERIOD)

    @classmethod
    def of(cls, parts: Parts) -> Refusals:
        """Those of the process that has these parts."""
        kept = parts.kept.setdefault(cls, cls(parts))
        assert isinstance(kept, cls)
        return kept

    async def note(self, caller: Caller, operation: str, error: Forbidden, asked: Mapping[str, object]) -> None:
        """Write down that the caller was refused. Raises nothing: the answer is the refusal, whatever becomes of this.

        :param operation: the name of the function that serves it.
        :param asked: what the request names, by the kind of thing, such as `pipeline`, or as `name`.
        """
        if not self._has_room(caller.account_id):
            if self._limiter.allows(str(caller.account_id)):
                log.warning("a caller is refused often; not every time is in the audit log", account=caller.name)
            return
        action = action_of(operation)
        kind, identifier = _thing(action.partition(".")[0], asked)
        project = error.facts.get("project")
        try:
            async with asyncio.timeout(_PATIENCE), self._database.transaction() as db:
                await record(
                    db,
                    caller,
                    action,
                    object_kind=kind,
                    object_id=identifier,
                    project=ProjectId(project) if isinstance(project, UUID) else None,
                    outcome="refused",
                )
        except Exception as failure:
            log.warning("a refusal is not in the audit log", account=caller.name, action=action, error=str(failure))

    def _has_room(self, account: UUID) -> bool:
        period = int(time.monotonic()) // _PERIOD
        if period != self._period:
            self._period = period
            self._counts.clear()
        count = self._counts.get(account, 0)
        if count >= MOST or (not count and len(self._counts) >= _MOST_CALLERS):
            return False
        self._counts[account] = count + 1
        return True


def _thing(noun: str, asked: Mapping[str, object]) -> tuple[str, str]:
    """What it was asked of, called as in the entries of what is done."""
    for kind in ("pipeline", "job", "account", "token", noun):
        if kind in asked:
            return kind, str(asked[kind])
    return noun, ":".join(str(asked[part]) for part in ("scope", "name") if asked.get(part))
