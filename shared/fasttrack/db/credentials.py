"""Keys of a cluster: which one a session was made with, which one a new one is made with, and what is kept of them.

Secret halves are sealed as secrets are (`SecretBox`), bound to their credential and access key.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from ..domain.credentials import HeldSession, Key
from ..domain.states import OPEN_SESSION_STATES
from ..ids import CredentialId, InstanceId, JobId, PipelineId, ProjectId, parse_session_name, session_name
from .engine import Db
from .secrets import SecretBox

_OPEN = ", ".join(repr(str(state)) for state in sorted(OPEN_SESSION_STATES))
_SETTLED = "interval '1 minute'"
"""A session that is being given a key holds no lock on it: it has by then."""


_KEY = """c.id AS credential, k.id, coalesce(k.access_key, '') AS access_key, c.site,
          k.retired_at IS NOT NULL AS is_retiring, coalesce('project ' || p.name, a.name) AS holder"""
_HOLDERS = """LEFT JOIN project p ON p.id = c.project_id LEFT JOIN account a ON a.id = c.account_id"""


async def sessions_of_credentials(db: Db, names: Collection[str]) -> dict[str, HeldSession]:
    """Those of these sessions that are not of the settings' key. One statement, which costs nothing without credentials."""
    parsed = [found for name in names if (found := parse_session_name(name)) is not None]
    rows = await db.rows(
        f"""SELECT i.id AS instance, n.attempt, j.pipeline_id, t.session_id IS NOT NULL AS has_begun,
                   t.key_id IS NOT NULL AND own.id IS NULL AS is_elsewhere, {_KEY}
            FROM unnest($1::uuid[], $2::int[]) AS n(instance, attempt)
                 JOIN task_instance i ON i.id = n.instance JOIN job j ON j.id = i.job_id
                 JOIN credential c ON c.id = j.credential_id
                 LEFT JOIN attempt t ON t.instance_id = n.instance AND t.number = n.attempt
                 LEFT JOIN credential_key own ON own.id = t.key_id
                 LEFT JOIN credential_key k ON k.credential_id = c.id
                   AND CASE WHEN own.id IS NULL THEN k.retired_at IS NULL ELSE k.id = own.id END
                 {_HOLDERS}
            WHERE EXISTS (SELECT FROM credential)""",
        [instance for instance, _ in parsed],
        [attempt for _, attempt in parsed],
    )
    held = [
        HeldSession(
            session_name(InstanceId(row["instance"]), row["attempt"]),
            PipelineId(row["pipeline_id"]),
            _key(row),
            row["is_elsewhere"],
            row["has_begun"],
        )
        for row in rows
    ]
    return {session.name: session for session in held}


async def bind_session(db: Db, name: str, *, anew: bool = False) -> Key | None:
    """The key to make a session with, written down as the one that it is made with; `None`: that of the settings.

    It stays the same when it is asked again, unless `anew`: then it is the present one. One statement.
    """
    parsed = parse_session_name(name)
    if parsed is None:
        return None
    row = await db.row(
        f"""WITH chosen AS (
              SELECT t.instance_id, t.number, c.id AS credential,
                     coalesce((SELECT own.id FROM credential_key own WHERE own.id = t.key_id AND NOT $3),
                              (SELECT now.id FROM credential_key now
                               WHERE now.credential_id = c.id AND now.retired_at IS NULL)) AS key
              FROM attempt t JOIN job j ON j.id = t.job_id JOIN credential c ON c.id = j.credential_id
              WHERE t.instance_id = $1 AND t.number = $2),
            bound AS (
              UPDATE attempt t SET key_id = o.key FROM chosen o
              WHERE t.instance_id = o.instance_id AND t.number = o.number AND t.key_id IS DISTINCT FROM o.key)
            SELECT {_KEY} FROM chosen o JOIN credential c ON c.id = o.credential
                   LEFT JOIN credential_key k ON k.id = o.key {_HOLDERS}""",
        *parsed,
        anew,
    )
    return _key(row) if row else None


async def keys_of_jobs(db: Db, jobs: Sequence[JobId]) -> dict[JobId, Key]:
    """The present keys of these jobs' credentials; a job of the settings' key is left out."""
    rows = await db.rows(
        f"""SELECT j.id AS job, {_KEY} FROM job j JOIN credential c ON c.id = j.credential_id
              LEFT JOIN credential_key k ON k.credential_id = c.id AND k.retired_at IS NULL {_HOLDERS}
            WHERE j.id = ANY($1::uuid[])""",
        list(jobs),
    )
    return {JobId(row["job"]): _key(row) for row in rows}


async def key_of_pipeline(db: Db, pipeline: PipelineId) -> Key | None:
    """The present key of the pipeline's project; `None`: it has none of its own."""
    row = await db.row(
        f"""SELECT {_KEY} FROM pipeline l JOIN credential c ON c.project_id = l.project_id AND c.removed_at IS NULL
              LEFT JOIN credential_key k ON k.credential_id = c.id AND k.retired_at IS NULL {_HOLDERS}
            WHERE l.id = $1""",
        pipeline,
    )
    return _key(row) if row else None


async def list_keys(db: Db, site: str, *, present: bool = False) -> list[Key]:
    """Every key of that cluster. :param present: those that are retiring left out."""
    rows = await db.rows(
        f"""SELECT {_KEY} FROM credential c JOIN credential_key k ON k.credential_id = c.id {_HOLDERS}
            WHERE c.site = $1 AND NOT ($2 AND k.retired_at IS NOT NULL) ORDER BY k.id""",
        site,
        present,
    )
    return [_key(row) for row in rows]


async def read_key(db: Db, box: SecretBox, key: UUID) -> tuple[str, str] | None:
    """Both halves of a key; `None`: it is gone. :raises Conflict: another key of ours sealed it."""
    row = await db.row("SELECT credential_id, access_key, ciphertext FROM credential_key WHERE id = $1", key)
    if row is None:
        return None
    access_key = row["access_key"]
    return access_key, box.open(row["credential_id"], sealed_as(access_key), row["ciphertext"])


async def forget_retired_keys(db: Db) -> list[str]:
    """Remove retiring keys that nothing runs under any more; their access keys. Safe to call from several schedulers."""
    if not await db.value("SELECT EXISTS (SELECT FROM credential_key WHERE retired_at IS NOT NULL)"):
        return []
    rows = await db.rows(
        f"""DELETE FROM credential_key k WHERE k.retired_at < now() - {_SETTLED} AND NOT EXISTS (
              SELECT FROM task_instance i JOIN attempt t ON t.instance_id = i.id AND t.number = i.attempt
              WHERE i.state IN ({_OPEN}) AND t.key_id = k.id)
            RETURNING access_key"""
    )
    return [row["access_key"] for row in rows]


async def choose_credential(db: Db, project: ProjectId, account: UUID | None) -> CredentialId | None:
    """What a job that the account starts in the project runs with: their own where the project allows it, else the
    project's, else (`None`) the key of the settings. Nobody removes it until the transaction ends.
    """
    found = await db.value(
        """SELECT c.id FROM credential c
           WHERE c.removed_at IS NULL AND (c.project_id = $1 OR (c.account_id = $2
                 AND EXISTS (SELECT FROM project WHERE id = $1 AND personal_keys)))
           ORDER BY c.account_id NULLS LAST LIMIT 1 FOR SHARE""",
        project,
        account,
    )
    return CredentialId(found) if found else None


def sealed_as(access_key: str) -> str:
    """What a secret half is bound to, besides its credential."""
    return f"key {access_key}"


def _key(row: Any) -> Key:
    return Key(
        CredentialId(row["credential"]), row["id"], row["access_key"], row["holder"], row["site"], row["is_retiring"]
    )
