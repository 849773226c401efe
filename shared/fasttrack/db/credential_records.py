"""Credentials as people see and change them: whose they are, which keys they have, and what they run. Never a secret half."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.states import OPEN_SESSION_STATES, TERMINAL_JOB_STATES
from ..ids import CredentialId, JobId, ProjectId, new_id
from .credentials import sealed_as
from .engine import Db
from .listings import Visible
from .secrets import SecretBox

_OPEN = ", ".join(repr(str(state)) for state in sorted(OPEN_SESSION_STATES))
_OVER = ", ".join(repr(str(state)) for state in sorted(TERMINAL_JOB_STATES))


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One key of a credential."""

    access_key: str
    added_by: str
    created_at: datetime
    retired_at: datetime | None
    """Since when another is used in its place; `None`: it is the one in use."""
    sessions: int
    """How many sessions that are not over were made with it."""


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """What a project or a person runs jobs with on a cluster."""

    id: CredentialId
    project_id: ProjectId | None
    account_id: UUID | None
    holder: str
    """The name of the project or the account."""
    site: str
    cluster_user: str
    created_by: str
    created_at: datetime
    revision: int
    is_removed: bool
    keys: tuple[KeyRecord, ...] = ()
    """The one in use first."""


_CREDENTIAL = """SELECT c.id, c.project_id, c.account_id, coalesce(p.name, a.name) AS holder, c.site, c.cluster_user,
                        c.created_by, c.created_at, c.revision, c.removed_at IS NOT NULL AS is_removed
                 FROM credential c LEFT JOIN project p ON p.id = c.project_id
                      LEFT JOIN account a ON a.id = c.account_id """
_KEYS = f"""SELECT k.credential_id, k.access_key, k.added_by, k.created_at, k.retired_at, coalesce(u.sessions, 0) AS sessions
            FROM credential_key k LEFT JOIN (
              SELECT t.key_id, count(*)::int AS sessions
              FROM task_instance i JOIN attempt t ON t.instance_id = i.id AND t.number = i.attempt
              WHERE i.state IN ({_OPEN}) AND t.key_id IS NOT NULL GROUP BY t.key_id) u ON u.key_id = k.id
            WHERE k.credential_id = ANY($1::uuid[]) ORDER BY k.retired_at DESC NULLS FIRST, k.id"""


async def find_credential(
    db: Db, *, project: ProjectId | None = None, account: UUID | None = None, lock: bool = False
) -> CredentialRecord | None:
    """That of the project, or of the account; `None`: there is none. :param lock: nobody changes it, or starts a job with
    it, until the transaction ends.
    """
    where = "WHERE c.removed_at IS NULL AND (c.project_id = $1 OR c.account_id = $2)"
    row = await db.row(f"{_CREDENTIAL} {where}{' FOR UPDATE OF c' if lock else ''}", project, account)
    return (await _with_keys(db, [row]))[0] if row else None


async def list_credentials(db: Db, visible: Visible, account: UUID | None) -> list[CredentialRecord]:
    """Those of these projects (`None`: of all projects and people), and that of the account. At most 1000, by name."""
    rows = await db.rows(
        f"""{_CREDENTIAL} WHERE c.removed_at IS NULL AND ($1::uuid[] IS NULL OR c.project_id = ANY($1) OR c.account_id = $2)
            ORDER BY c.account_id NULLS FIRST, holder LIMIT 1000""",
        None if visible is None else list(visible),
        account,
    )
    return await _with_keys(db, rows)


async def credential_of_job(db: Db, job: JobId) -> CredentialRecord | None:
    """What the job runs with, removed or not, without its keys; `None`: with the key of the settings."""
    row = await db.row(f"{_CREDENTIAL} JOIN job j ON j.credential_id = c.id WHERE j.id = $1", job)
    return CredentialRecord(**row) if row else None


async def have_one_user(db: Db, one: CredentialId, other: CredentialId) -> bool:
    """Whether both are of the same user of the same cluster, who sees the same folders with either."""
    return bool(
        await db.value(
            """SELECT EXISTS (SELECT FROM credential a JOIN credential b USING (site, cluster_user)
                              WHERE a.id = $1 AND b.id = $2)""",
            one,
            other,
        )
    )


async def insert_credential(
    db: Db, *, project: ProjectId | None, account: UUID | None, site: str, cluster_user: str, by: str
) -> CredentialId | None:
    """A new one, without a key yet; `None`: somebody was faster."""
    found = await db.value(
        """INSERT INTO credential (id, project_id, account_id, site, cluster_user, created_by, revision)
           VALUES ($1, $2, $3, $4, $5, $6, nextval('revision')) ON CONFLICT DO NOTHING RETURNING id""",
        new_id(),
        project,
        account,
        site,
        cluster_user,
        by,
    )
    return CredentialId(found) if found else None


async def put_key(
    db: Db,
    box: SecretBox,
    credential: CredentialId,
    access_key: str,
    secret_key: str,
    *,
    by: str,
    is_change: bool,
) -> None:
    """Make this the key in use. The one that was is kept as retiring; one that is known already is taken as it is given.

    :param is_change: whether another one was in use, so that the revision is another from now on.
    """
    await db.execute(
        "UPDATE credential_key SET retired_at = now() WHERE credential_id = $1 AND retired_at IS NULL AND access_key <> $2",
        credential,
        access_key,
    )
    await db.execute(
        """INSERT INTO credential_key (id, credential_id, access_key, key_id, ciphertext, added_by)
           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (credential_id, access_key) DO UPDATE
             SET key_id = excluded.key_id, ciphertext = excluded.ciphertext, retired_at = NULL""",
        new_id(),
        credential,
        access_key,
        box.key_id,
        box.seal(credential, sealed_as(access_key), secret_key),
        by,
    )
    if is_change:
        await db.execute("UPDATE credential SET revision = nextval('revision') WHERE id = $1", credential)


async def drop_key(db: Db, credential: CredentialId, access_key: str) -> None:
    """Forget one key."""
    await db.execute("DELETE FROM credential_key WHERE credential_id = $1 AND access_key = $2", credential, access_key)
    await db.execute("UPDATE credential SET revision = nextval('revision') WHERE id = $1", credential)


async def remove_credential(db: Db, credential: CredentialId) -> None:
    """Forget its keys. The row stays: it tells what became of the jobs that ran with it."""
    await db.execute("DELETE FROM credential_key WHERE credential_id = $1", credential)
    await db.execute(
        "UPDATE credential SET removed_at = now(), revision = nextval('revision') WHERE id = $1", credential
    )


async def count_open_jobs(db: Db, credential: CredentialId) -> int:
    """How many of its jobs are not over."""
    found: int = await db.value(
        f"SELECT count(*)::int FROM job WHERE credential_id = $1 AND state NOT IN ({_OVER})", credential
    )
    return found


async def pipelines_of_others(db: Db, project: ProjectId, site: str, user: str, default_user: str) -> list[str]:
    """Names of at most four pipelines of the project whose newest job on the cluster ran as another of its users.

    :param default_user: as whom jobs of the settings' key run.
    """
    rows = await db.rows(
        """SELECT p.name FROM pipeline p CROSS JOIN LATERAL (
             SELECT coalesce(c.cluster_user, $4) AS cluster_user
             FROM job j LEFT JOIN credential c ON c.id = j.credential_id
             WHERE j.pipeline_id = p.id AND j.site = $2 AND c.account_id IS NULL ORDER BY j.id DESC LIMIT 1) last
           WHERE p.project_id = $1 AND p.deleted_at IS NULL AND last.cluster_user <> $3 ORDER BY p.name LIMIT 4""",
        project,
        site,
        user,
        default_user,
    )
    return [row["name"] for row in rows]


async def allows_personal_keys(db: Db, projects: Collection[ProjectId]) -> dict[ProjectId, bool]:
    """Whether jobs of a person run with that person's own key there."""
    rows = await db.rows("SELECT id, personal_keys FROM project WHERE id = ANY($1::uuid[])", list(projects))
    return {ProjectId(row["id"]): row["personal_keys"] for row in rows}


async def allow_personal_keys(db: Db, project: ProjectId, *, allowed: bool) -> bool:
    """Allow them or not. `False`: it was so already."""
    return (
        await db.execute(
            "UPDATE project SET personal_keys = $2 WHERE id = $1 AND personal_keys <> $2", project, allowed
        )
        == 1
    )


async def _with_keys(db: Db, rows: Collection[Any]) -> list[CredentialRecord]:
    keys: dict[UUID, list[KeyRecord]] = {row["id"]: [] for row in rows}
    for key in await db.rows(_KEYS, list(keys)) if keys else ():
        values = dict(key)
        keys[values.pop("credential_id")].append(KeyRecord(**values))
    return [CredentialRecord(**row, keys=tuple(keys[row["id"]])) for row in rows]
