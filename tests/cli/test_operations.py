"""`fasttrack operations`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.cli.command_line import CommandLine

WHO = "query Who { viewer { name } }\n"
MINE = "{ projects(first: 10) { nodes { name } } }"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def test_a_file_is_stored_listed_and_removed(stored: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "who.graphql"
    file.write_text(WHO)
    made = await stored("operations", "add", str(file))
    assert (made.code, made.out, made.err) == (0, sha(WHO) + "\n", "Who: stored, costs 1 without variables\n")
    again = await stored("operations", "add", str(file), "--name", "other")
    assert again.err == "Who: was stored already, costs 1 without variables\n"
    assert [o["sha256"] for o in (await stored("operations", "list", "--json")).json["operations"]] == [sha(WHO)]
    assert (await stored("operations", "list", "--everywhere")).err.startswith("There are no stored operations yet")
    assert (await stored("operations", "remove", sha(WHO), "--everywhere")).code == 3
    assert (await stored("operations", "remove", sha(WHO))).err == "removed Who\n"
    assert (await stored("operations", "list", "--json")).json["operations"] == []


async def test_a_manifest_of_either_form_is_stored_as_a_whole_or_not_at_all(
    stored: CommandLine, tmp_path: Path
) -> None:
    relay = tmp_path / "relay.json"
    relay.write_text(json.dumps({sha(WHO): WHO, sha(MINE): MINE}))
    assert (await stored("operations", "add", str(relay), "--everywhere")).out.split() == [sha(WHO), sha(MINE)]
    apollo = tmp_path / "apollo.json"
    entry = {"id": sha(MINE), "name": "Mine", "type": "query", "body": MINE}
    apollo.write_text(json.dumps({"format": "apollo-persisted-query-manifest", "version": 1, "operations": [entry]}))
    made = (await stored("operations", "add", str(apollo), "--json")).json["operations"]
    assert [(o["name"], o["is_new"], o["cost"]) for o in made] == [("Mine", True, 11)]
    for wrong, says in (
        ({sha(WHO): WHO, "0" * 64: MINE}, "is not SHA-256 of its text"),
        ({sha("{ x }"): "{ x }", sha(WHO): WHO}, "Cannot query field 'x'"),
        ({"operations": [{"id": sha(WHO)}]}, "is not SHA-256 of its text"),
    ):
        relay.write_text(json.dumps(wrong))
        refused = await stored("operations", "add", str(relay))
        assert (refused.code, says in refused.err) == (2, True), refused.err
    assert len((await stored("operations", "list", "--json")).json["operations"]) == 1
