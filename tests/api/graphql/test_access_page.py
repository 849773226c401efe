"""The operations of the page about access are run as they stand there, and what it lists is what there is."""

from __future__ import annotations

import re
from pathlib import Path

from fasttrack.domain.access import Role
from fasttrack_api.refusals import MOST, action_of
from tests.api.graphql.conftest import Asking
from tests.api.graphql.test_access import EVERYWHERE
from tests.api.graphql.test_access_audit import READS_ONLY, operations

PAGE = (Path(__file__).parents[3] / "docs" / "capabilities" / "api-access.md").read_text()


async def test_the_operations_of_the_page_work(ask: Asking) -> None:
    program, token, everything = re.findall(r"```graphql\n(.*?)```", PAGE, re.S)
    made = (await ask(program, project=ask.project_id))["createServiceAccount"]
    assert (made["account"]["name"], made["errors"]) == ("default/weekly", [])
    created = (await ask(token, account=made["account"]["id"]))["createToken"]
    assert (created["token"]["project"], created["errors"]) == ({"name": "default"}, [])
    seen = await ask(everything)
    assert seen["project"]["members"]["nodes"] == [
        {"role": Role.OPERATOR.name, "account": {"name": "default/weekly", "kind": "SERVICE"}}
    ]
    assert [t["id"] for t in seen["project"]["tokens"]["nodes"]] == [created["token"]["id"]]
    assert [e["accountName"] for e in seen["project"]["auditEntries"]["nodes"]] == ["owner"]
    assert seen["viewer"]["account"]["name"] == "owner"


def test_every_action_is_on_the_page() -> None:
    table = re.search(r"\| Thing \| What is done to it \|\n(.*?)\n\n", PAGE, re.S)
    assert table is not None
    for name, operation in operations().items():
        noun, verb = action_of(operation).split(".")
        [row] = (
            [line for line in table[1].splitlines() if f"`{noun}`" in line] if name not in READS_ONLY else [f"`{verb}`"]
        )
        assert f"`{verb}`" in row, name
    assert f"at most {MOST} in a minute" in PAGE


def test_what_superadmins_do_alone_is_on_the_page() -> None:
    [row] = [line for line in PAGE.splitlines() if line.startswith("| `createAccount`")]
    assert set(re.findall(r"`(\w+)`", row)) == set(EVERYWHERE)
