"""Keys on a cluster over GraphQL: what is shown of them, and what a change of one needs."""

from __future__ import annotations

from typing import Any

from fasttrack.domain.access import Role
from standin.app import Manager
from tests.api.graphql.conftest import Asking

SHOWN = "credential { holder clusterUser revision keys { accessKey retiredAt sessions } }"
ALL = "{ backendCredentials { holder keys { accessKey } } }"
ONE = "query($id: ID!) { project(id: $id) { allowsPersonalKeys backendCredential { revision keys { accessKey } } } }"


def given(ask: Asking, access_key: str, secret_key: str, **more: Any) -> dict[str, Any]:
    return {"projectId": ask.project_id, "accessKey": access_key, "secretKey": secret_key, **more}


async def test_a_key_is_set_rotated_shown_without_its_secret_half_and_removed(ask: Asking, cluster: Manager) -> None:
    first = (await ask.do("setBackendCredential", SHOWN, **given(ask, "AKIAONE", "canary-one")))["credential"]
    assert (first["holder"], first["clusterUser"]) == ("default", "user@example.test")
    assert first["keys"] == [{"accessKey": "AKIAONE", "retiredAt": None, "sessions": 0}]
    again = await ask.do("setBackendCredential", SHOWN, **given(ask, "AKIAONE", "canary-one"))
    assert again["credential"] == first
    rotated = await ask.do("setBackendCredential", SHOWN, **given(ask, "AKIATWO", "canary-two"))
    assert [key["accessKey"] for key in rotated["credential"]["keys"]] == ["AKIATWO", "AKIAONE"]
    assert rotated["credential"]["revision"] > first["revision"]
    shown = await ask.raw(ONE, {"id": ask.project_id})
    assert [key["accessKey"] for key in shown["data"]["project"]["backendCredential"]["keys"]] == ["AKIATWO", "AKIAONE"]
    listed = await ask.raw(ALL)
    assert "canary" not in str((first, rotated, shown, listed))
    dropped = await ask.do("removeBackendCredential", SHOWN, projectId=ask.project_id, accessKey="AKIAONE")
    assert [key["accessKey"] for key in dropped["credential"]["keys"]] == ["AKIATWO"]
    assert await ask.do("removeBackendCredential", SHOWN, projectId=ask.project_id) == {
        "credential": None,
        "errors": [],
    }
    gone = await ask.do("removeBackendCredential", SHOWN, projectId=ask.project_id)
    assert [e["code"] for e in gone["errors"]] == ["NOT_FOUND"]


async def test_a_change_goes_over_the_revision_that_was_seen_and_over_no_other(ask: Asking, cluster: Manager) -> None:
    async def codes(**input: Any) -> list[str]:
        return [e["code"] for e in (await ask.do("setBackendCredential", SHOWN, **input))["errors"]]

    assert await codes(**given(ask, "AKIAONE", "canary-one", expectedRevision=7)) == ["CONFLICT"]
    assert await codes(**given(ask, "AKIAONE", "canary-one", expectedRevision=0)) == []
    before = await ask(ONE, id=ask.project_id)
    assert await codes(**given(ask, "AKIATWO", "canary-two", expectedRevision=0)) == ["CONFLICT"]
    assert await codes(**given(ask, "AKIATWO", "canary-one")) == ["INVALID_INPUT"]
    cluster.is_down = True
    assert await codes(**given(ask, "AKIATWO", "canary-two")) == ["UNAVAILABLE"]
    assert await ask(ONE, id=ask.project_id) == before


async def test_without_a_cluster_a_key_is_refused_with_what_would_name_one(ask: Asking) -> None:
    [error] = (await ask.do("setBackendCredential", SHOWN, **given(ask, "AKIAONE", "x")))["errors"]
    assert (error["code"], "FASTTRACK_BACKEND_AI_ENDPOINT" in error["message"]) == ("INVALID_INPUT", True)


async def test_ones_own_key_is_ones_own_and_a_projects_is_for_those_who_manage_it(
    ask: Asking, cluster: Manager
) -> None:
    await ask.do("setBackendCredential", SHOWN, **given(ask, "AKIAONE", "canary-one"))
    ask.as_member(Role.OPERATOR)
    assert await ask(ALL) == {"backendCredentials": []}
    answer = await ask.raw(ONE, {"id": ask.project_id})
    assert answer["data"]["project"] == {"allowsPersonalKeys": False, "backendCredential": None}
    assert [e["extensions"]["code"] for e in answer["errors"]] == ["FORBIDDEN"]
    ask.as_member(Role.ADMIN)
    assert await ask(ALL) == {"backendCredentials": [{"holder": "default", "keys": [{"accessKey": "AKIAONE"}]}]}
    both = await ask.do("setBackendCredential", SHOWN, **given(ask, "AKIAONE", "canary-one", accountId="x"))
    assert [(e["code"], e["path"]) for e in both["errors"]] == [("INVALID_INPUT", ["input", "accountId"])]
