"""The keys that jobs run with on a cluster, of projects and of people. The audit log has access keys, never a secret half."""

from __future__ import annotations

from ..db import Db
from ..db import credential_records as stored
from ..db.accounts import find_account
from ..db.credential_records import CredentialRecord
from ..db.secrets import SecretBox
from ..domain.access import Caller, Permission
from ..domain.credentials import Examined, Holder
from ..errors import Conflict, Forbidden, InvalidInput, NotFound
from ..ids import ProjectId
from .audit import record
from .revisions import Overtaken, require_revision


def require_holder(caller: Caller, holder: Holder) -> None:
    """Pass if the caller may see and change the credential of that project or person.

    :raises InvalidInput: it is not exactly one of the two. :raises NotFound: it is not theirs to see.
    :raises Forbidden: they may not, or not with this token.
    """
    if (holder.project is None) is (holder.account is None):
        raise InvalidInput("a credential is of a project or of a person: name one of them")
    if holder.project is not None:
        caller.require(Permission.MANAGE, holder.project)
    elif holder.account != caller.account_id:
        if not caller.may_everywhere(Permission.MANAGE):
            raise NotFound("there is no such account")
    elif caller.only_project is not None or Permission.SECRETS not in caller.scopes:
        raise Forbidden("one's own key needs a token that has the scope secrets and is not for one project alone")


async def read_credential(db: Db, caller: Caller, holder: Holder) -> CredentialRecord | None:
    """That of the project or person; `None`: they have none. See `require_holder` for what is raised."""
    require_holder(caller, holder)
    return await stored.find_credential(db, project=holder.project, account=holder.account)


async def list_credentials(db: Db, caller: Caller) -> list[CredentialRecord]:
    """Those that the caller may change: of the projects that they manage, and their own; for superadmins all there are."""
    if caller.may_everywhere(Permission.MANAGE):
        return await stored.list_credentials(db, None, None)
    candidates = {*caller.roles, *({caller.only_project} if caller.only_project else ())}
    managed = frozenset(project for project in candidates if caller.may(Permission.MANAGE, project))
    is_own_shown = caller.only_project is None and Permission.SECRETS in caller.scopes
    return await stored.list_credentials(db, managed, caller.account_id if is_own_shown else None)


async def store_key(
    db: Db,
    caller: Caller,
    box: SecretBox,
    holder: Holder,
    access_key: str,
    secret_key: str,
    examined: Examined,
    *,
    another_user: bool = False,
    expected_revision: int | None = None,
) -> CredentialRecord:
    """Make this the key that the holder's jobs run with. Needs a transaction; repeated, it changes nothing but
    that the secret half is sealed anew, with the FASTTRACK_SECRET_KEY of now.

    One that was in use before is kept until nothing runs under it any more, and no longer.

    :param examined: what the cluster said of the key, asked before the transaction.
    :param another_user: take a first key even if pipelines of the project have folders of another user of the cluster.
    :param expected_revision: the one that the caller has seen, 0 for none; `None`: whatever there is.
    :raises Conflict: jobs would lose sight of folders. :raises Overtaken: it is at another revision.
    :raises NotFound, Forbidden: as `require_holder`.
    """
    require_holder(caller, holder)
    if holder.account is not None and await find_account(db, holder.account) is None:
        raise NotFound("there is no such account")
    before = await stored.find_credential(db, project=holder.project, account=holder.account, lock=True)
    require_revision("credential", before.revision if before is not None else 0, expected_revision)
    if before is not None:
        _require_same_user(before, access_key, examined)
        credential = before.id
    else:
        if holder.project is not None and not another_user:
            await _require_no_folders_of_others(db, holder.project, access_key, examined)
        made = await stored.insert_credential(
            db,
            project=holder.project,
            account=holder.account,
            site=examined.site,
            cluster_user=examined.user,
            by=caller.name,
        )
        if made is None:
            raise Overtaken("somebody else set a credential at the same time; look at it and decide again")
        credential = made
    is_in_use = before is not None and any(k.access_key == access_key and k.retired_at is None for k in before.keys)
    await stored.put_key(db, box, credential, access_key, secret_key, by=caller.name, is_change=not is_in_use)
    after = await stored.find_credential(db, project=holder.project, account=holder.account)
    assert after is not None
    if not is_in_use:
        await _record(db, caller, "rotate" if before is not None else "set", before, after)
    return after


async def forget_credential(
    db: Db,
    caller: Caller,
    holder: Holder,
    *,
    access_key: str | None = None,
    another_user: bool = False,
    expected_revision: int | None = None,
) -> CredentialRecord | None:
    """Forget the credential, or one of its retiring keys; what is left of it. Needs a transaction.

    :param access_key: of a retiring key. Sessions that still run under it are not seen any more, and are tried again
        under the key in use: it is for a key that the cluster does not take any more.
    :param another_user: forget it even if pipelines of the project have folders of its user.
    :raises NotFound: there is none. :raises Conflict: jobs run with it, or would lose sight of folders.
    :raises Overtaken: it is at another revision. :raises Forbidden: as `require_holder`.
    """
    require_holder(caller, holder)
    before = await stored.find_credential(db, project=holder.project, account=holder.account, lock=True)
    if before is None:
        raise NotFound("there is no credential")
    require_revision("credential", before.revision, expected_revision)
    if access_key is not None:
        key = next((key for key in before.keys if key.access_key == access_key), None)
        if key is None:
            raise NotFound(f"the credential has no key {access_key[:100]}")
        if key.retired_at is None:
            raise Conflict(f"the key {access_key} is in use; set another one, or remove the whole credential")
        await stored.drop_key(db, before.id, access_key)
        after = await stored.find_credential(db, project=holder.project, account=holder.account)
        await _record(db, caller, "drop_key", before, after)
        return after
    if count := await stored.count_open_jobs(db, before.id):
        jobs = "1 job that is" if count == 1 else f"{count} jobs that are"
        raise Conflict(f"{jobs} not over run with it; cancel them or wait, and then remove it")
    if holder.project is not None and not another_user:
        names = await stored.pipelines_of_others(db, holder.project, before.site, user="", default_user="")
        if names:
            raise Conflict(
                f"{_named(names)} {_have(names)} with {before.cluster_user} on the cluster, seen with the key of the settings "
                "only if that is of the same user; if that is meant, say so (anotherUser, `--another-user`)"
            )
    await stored.remove_credential(db, before.id)
    await _record(db, caller, "remove", before, None)
    return None


async def set_personal_keys(db: Db, caller: Caller, project: ProjectId, *, allowed: bool) -> None:
    """Have people's jobs in the project run with their own keys, where they have one, or not. Needs a transaction.

    Jobs that are there stay with what they run with. :raises NotFound, Forbidden: the caller does not manage it.
    """
    caller.require(Permission.MANAGE, project)
    if await stored.allow_personal_keys(db, project, allowed=allowed):
        await record(
            db,
            caller,
            "project.set_personal_keys",
            project=project,
            object_kind="project",
            object_id=project,
            before={"are_allowed": not allowed},
            after={"are_allowed": allowed},
        )


def _require_same_user(before: CredentialRecord, access_key: str, examined: Examined) -> None:
    if before.site != examined.site:
        raise Conflict(
            f"the credential is of the cluster {before.site}; remove it first, and then set one of this cluster"
        )
    if before.cluster_user != examined.user:
        raise Conflict(
            f"the key {access_key} is of {examined.user} on the cluster, and the one in use of {before.cluster_user}, whose "
            f"folders have what the jobs wrote; give another key of {before.cluster_user}, or remove the credential first"
        )


async def _require_no_folders_of_others(db: Db, project: ProjectId, access_key: str, examined: Examined) -> None:
    names = await stored.pipelines_of_others(
        db, project, examined.site, user=examined.user, default_user=examined.default_user
    )
    if names:
        raise Conflict(
            f"{_named(names)} {_have(names)} with another user of the cluster, which the key {access_key} of {examined.user} "
            "does not see: their /pipeline/vfroot would begin empty. Give a key of that user, or, if that is meant, say so "
            "(anotherUser, `--another-user`)"
        )


def _named(names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
    return f"the pipeline {shown}" if len(names) == 1 else f"the pipelines {shown}"


def _have(names: list[str]) -> str:
    return "has its folder" if len(names) == 1 else "have their folders"


async def _record(
    db: Db, caller: Caller, verb: str, before: CredentialRecord | None, after: CredentialRecord | None
) -> None:
    told = after or before
    assert told is not None
    await record(
        db,
        caller,
        f"credential.{verb}",
        project=told.project_id,
        object_kind="credential",
        object_id=told.id,
        before=None if before is None else _shown(before),
        after=None if after is None else _shown(after),
    )


def _shown(credential: CredentialRecord) -> dict[str, object]:
    """Under names that the log does not mask: an access key is no secret."""
    return {
        "holder": credential.holder,
        "cluster_user": credential.cluster_user,
        "site": credential.site,
        "in_use": next((key.access_key for key in credential.keys if key.retired_at is None), None),
        "retiring": [key.access_key for key in credential.keys if key.retired_at is not None],
    }
