"""`fasttrack pipelines …` and `fasttrack templates`: the life of a pipeline beside its versions."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from fasttrack.db import Database
from tests.cli.command_line import CommandLine
from tests.factories import a_file
from tests.lost_folders import GONE, lose_folder


async def test_a_pipeline_is_made_empty_from_a_file_and_from_a_template(stored: CommandLine, tmp_path: Path) -> None:
    empty = await stored("pipelines", "create", "later", "--tag", "nlp", "-d", "Soon.")
    assert (empty.code, empty.out) == (0, "made later, empty: publish a file with that name\n")
    for command in (("run", "later"), ("export", "later"), ("versions", "later")):
        answer = await stored(*command)
        assert answer.code in (0, 2, 3), (command, answer)
    assert "is empty: it has no version yet" in (await stored("export", "later")).err
    (tmp_path / "demo.yaml").write_text(a_file({"a": ""}))
    assert (await stored("pipelines", "create", "mine", "-f", "demo.yaml")).out == "made mine\n"
    taken = await stored("pipelines", "create", "mine")
    assert (taken.code, "mine-2 is free" in taken.err) == (5, True)
    made = await stored("pipelines", "create", "--template", "hello", "--json")
    assert (made.json["pipeline"]["name"], made.json["pipeline"]["latest_version"]) == ("hello", 1)
    listed = (await stored("pipelines", "--json")).json["pipelines"]
    assert [(p["name"], p["tags"], p["latest_version"]) for p in listed] == [
        ("hello", [], 1),
        ("later", ["nlp"], 0),
        ("mine", [], 1),
    ]
    assert [p["name"] for p in (await stored("pipelines", "--tag", "nlp", "--json")).json["pipelines"]] == ["later"]
    assert [p["name"] for p in (await stored("pipelines", "--search", "IN", "--json")).json["pipelines"]] == ["mine"]
    (tmp_path / "bad.yaml").write_bytes(b"name: \xff\n")
    assert (await stored("pipelines", "create", "-f", "bad.yaml")).err.count("save it as UTF-8") == 1


async def test_the_same_key_makes_one_pipeline(stored: CommandLine) -> None:
    one, two = [(await stored("pipelines", "create", "a", "--key", "k", "--json")).json for _ in range(2)]
    assert one == two


async def test_a_pipeline_is_tagged_described_renamed_and_copied(stored: CommandLine) -> None:
    await stored("pipelines", "create", "a")
    assert (await stored("pipelines", "tag", "a", "x", "y")).out == "a [x, y]\n"
    assert (await stored("pipelines", "tag", "a", "z", "--remove", "x", "--expect", "2")).out == "a [y, z]\n"
    assert (await stored("pipelines", "describe", "a", "It does.")).out == "a [y, z]: It does.\n"
    late = await stored("pipelines", "rename", "a", "b", "--expect", "2")
    assert (late.code, "at revision 4, not 2" in late.err) == (5, True)
    assert (await stored("pipelines", "rename", "a", "b", "--expect", "4")).code == 0
    await stored("projects", "create", "vision")
    assert (await stored("pipelines", "copy", "b", "--to", "vision")).out.startswith("made b")
    assert (await stored("pipelines", "copy", "b")).out.startswith("made b-copy")
    assert (await stored("pipelines", "copy", "b", "--to", "visoin")).code == 3
    assert (await stored("pipelines", "--project", "vision", "--json")).json["pipelines"][0]["tags"] == ["y", "z"]


async def test_a_pipeline_without_its_folder_is_listed_with_the_reason_and_remade(
    stored: CommandLine, database: Database
) -> None:
    await stored("pipelines", "create", "a", "--template", "hello")
    await lose_folder(database, "a")
    listed = await stored("pipelines")
    assert f"a starts nothing: {GONE.sentence}\n" in listed.out + listed.err
    assert (await stored("pipelines", "--json")).json["pipelines"][0]["problem"] == GONE.sentence
    refused = await stored("run", "a", "--dry-run")
    assert (refused.code, GONE.sentence in refused.err) == (5, True)
    assert (await stored("pipelines", "remake-folder", "a")).out.startswith("a may run: ")
    assert (await stored("pipelines", "--json")).json["pipelines"][0]["problem"] is None
    assert (await stored("run", "a", "--dry-run")).code == 0


async def test_a_pipeline_is_archived_comes_back_and_is_deleted(stored: CommandLine, database: Database) -> None:
    await stored("pipelines", "create", "a", "--template", "hello")
    assert "brings it back" in (await stored("pipelines", "archive", "a")).out
    assert (await stored("pipelines")).out == ""
    assert (await stored("run", "a")).code != 0
    archived = (await stored("pipelines", "--archived", "--json")).json["pipelines"]
    assert [(p["name"], p["archived_at"] is not None) for p in archived] == [("a", True)]
    assert (await stored("pipelines", "restore", "a")).out == "a is back\n"
    for _ in range(2):
        await stored("pipelines", "archive", "a")
        await stored("pipelines", "create", "a")
    several = await stored("pipelines", "restore", "a")
    assert (several.code, "a is back" in several.out) == (0, True), "it is the live one, which is back already"
    await stored("pipelines", "archive", "a")
    several = await stored("pipelines", "restore", "a")
    assert (several.code, "give the id of one" in several.err) == (2, True)
    identifier = archived[0]["id"]
    assert (await stored("pipelines", "restore", identifier)).out == "a is back\n"
    wrong = await stored("pipelines", "delete", "a", "--confirm", "b")
    assert (wrong.code, "nothing was deleted" in wrong.err) == (2, True)
    assert (await stored("pipelines", "delete", "a", "--confirm", "a")).code == 0
    async with database.transaction() as db:
        deleted = await db.rows("SELECT id::text FROM pipeline WHERE deleted_at IS NOT NULL")
    assert [r["id"] for r in deleted] == [identifier]
    assert (await stored("pipelines", "delete", identifier, "--confirm", "a")).code == 3
    assert (await stored("prune", "--json")).json["projects"][0]["stuck"] == []


async def test_templates_are_listed_shown_offered_and_withdrawn(stored: CommandLine) -> None:
    listed = (await stored("templates", "--json")).json["templates"]
    shipped = ["retry-and-cleanup", "fan-out-and-in", "train-and-evaluate", "hello"]
    assert [t["name"] for t in listed] == shipped
    assert "tr a-z A-Z" in (await stored("templates", "show", "hello")).out
    await stored("pipelines", "create", "mine", "--template", "hello", "-d", "Says hello.")
    shared = await stored("templates", "share", "mine", "--for", "everyone", "--name", "greeter")
    assert shared.out == "version 1 of mine is the template greeter, for everyone\n"
    found = (await stored("templates", "--search", "greeter", "--json")).json["templates"]
    assert [(t["name"], t["for"], t["version"], t["description"]) for t in found] == [
        ("greeter", "everyone", 1, "Says hello.")
    ]
    assert (await stored("pipelines", "create", "again", "-t", found[0]["id"])).code == 0
    assert (await stored("templates", "share", "mine", "--for", "all")).code == 2
    assert (await stored("templates", "share", "nobody")).code == 3
    assert (await stored("templates", "unshare", "mine")).out == "mine is no template now\n"
    assert (await stored("templates", "show", "greeter")).code == 3


async def test_the_commands_of_the_page_do_what_it_says(stored: CommandLine) -> None:
    page = (Path(__file__).parents[2] / "docs" / "capabilities" / "pipelines.md").read_text()
    commands, _ = re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S)
    for line in commands.splitlines():
        answer = await stored(*shlex.split(line, comments=True)[1:])
        assert answer.code == 0, (line, answer)
    assert [p["name"] for p in (await stored("pipelines", "--json")).json["pipelines"]] == ["greeter"]
