"""`fasttrack pipelines`, `versions`, `publish`, `restore`, `diff`, `export`."""

from __future__ import annotations

from pathlib import Path

from fasttrack.db import Database
from tests.cli.command_line import CommandLine, counts
from tests.factories import a_file


def write(path: Path, command: str, comment: str = "") -> str:
    (path / "demo.yaml").write_text(f"# {comment}\n" + a_file({"a": ""}, a={"command": command}))
    return "demo.yaml"


async def two_versions(cli: CommandLine, path: Path) -> None:
    await cli("publish", write(path, "echo one", "the first"), "-m", "first")
    await cli("publish", write(path, "echo two"), "-m", "second")


async def test_publishing_makes_versions_and_says_so(stored: CommandLine, tmp_path: Path) -> None:
    first = await stored("publish", write(tmp_path, "echo one"))
    same = await stored("publish", write(tmp_path, "echo one", "only a comment"), "--json")
    assert (first.code, first.out) == (0, "published demo, version 1: 1 task\n")
    assert (same.code, same.json["is_new_version"], same.json["version"]["version"]) == (0, False, 1)


async def test_an_expected_version_guards_against_others(
    stored: CommandLine, tmp_path: Path, database: Database
) -> None:
    await two_versions(stored, tmp_path)
    before = await counts(database)
    answer = await stored("publish", write(tmp_path, "echo three"), "--expect", "1")
    assert answer.code == 5
    assert "pipeline demo is at version 2, not 1" in answer.err
    assert await counts(database) == before
    assert (await stored("publish", "demo.yaml", "--expect", "2")).code == 0


async def test_a_bad_file_is_not_published(stored: CommandLine, tmp_path: Path, database: Database) -> None:
    (tmp_path / "bad.yaml").write_text("name: demo\ntasks: []\n")
    answer = await stored("publish", "bad.yaml")
    assert (answer.code, answer.out) == (2, "")
    assert "bad.yaml:2:" in answer.err
    assert (await counts(database))["pipeline"] == 0


async def test_pipelines_and_versions_are_listed(stored: CommandLine, tmp_path: Path) -> None:
    assert (await stored("pipelines", "--json")).json == {"pipelines": []}
    await two_versions(stored, tmp_path)
    listed = (await stored("pipelines", "--json")).json["pipelines"]
    assert [(p["name"], p["latest_version"], p["latest_job"]) for p in listed] == [("demo", 2, 0)]
    versions = (await stored("versions", "demo", "--json")).json["versions"]
    assert [(v["version"], v["message"]) for v in versions] == [(2, "second"), (1, "first")]
    plain = await stored("versions", "demo")
    assert [line.split()[0] for line in plain.out.splitlines()] == ["VERSION", "2", "1"]
    assert (await stored("versions", "nobody")).code == 3
    assert (await stored("pipelines", "--after", "demo")).out == ""


async def test_restoring_adds_a_version(stored: CommandLine, tmp_path: Path) -> None:
    await two_versions(stored, tmp_path)
    answer = await stored("restore", "demo", "1")
    assert (answer.code, answer.out) == (0, "restored version 1 as demo, version 3: 1 task\n")
    again = await stored("restore", "demo", "3")
    assert again.out == "demo is unchanged: version 3 means the same\n"
    assert (await stored("diff", "demo", "1", "3")).code == 0
    unknown = await stored("restore", "demo", "9")
    assert (unknown.code, unknown.err) == (3, "error: pipeline demo has no version 9; its newest is 3\n")


async def test_a_difference_is_code_1_and_shown(stored: CommandLine, tmp_path: Path) -> None:
    await two_versions(stored, tmp_path)
    answer = await stored("diff", "demo", "1")
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[:2] == ["--- demo version 1", "+++ demo version 2"]
    assert [line for line in lines[2:] if line[0] in "+-"] == ["-  command: echo one", "+  command: echo two"]
    as_json = await stored("diff", "demo", "1", "2", "--json")
    assert (as_json.code, as_json.json["same"], as_json.json["from"], as_json.json["to"]) == (1, False, 1, 2)
    assert (await stored("diff", "demo", "2")).out == ""
    assert "-# the first" in (await stored("diff", "demo", "1", "--source")).out
    assert (await stored("diff", "demo", "7")).code == 3


async def test_what_is_exported_can_be_published_again(stored: CommandLine, tmp_path: Path) -> None:
    await two_versions(stored, tmp_path)
    for generation in ("25.6", "25.15", "26.4"):
        await stored("export", "demo", "--generation", generation, "-o", "out.yaml")
        again = await stored("publish", "out.yaml", "--json")
        assert (again.json["is_new_version"], again.json["version"]["version"]) == (False, 2), generation


async def test_a_job_exports_the_version_it_was_made_from(stored: CommandLine, tmp_path: Path) -> None:
    job = (await stored("run", write(tmp_path, "echo one"))).out.strip()
    await stored("publish", write(tmp_path, "echo two"))
    answer = await stored("export", job[-8:], "--json")
    assert (answer.code, answer.json["version"], answer.json["pipeline"]) == (0, 1, "demo")
    assert "echo one" in (await stored("export", job)).out
    source = await stored("export", "demo", "--version", "1", "--source")
    assert source.out.startswith("# \nname: demo\n")
    assert (await stored("export", "nobody")).err == "error: there is no pipeline and no job named nobody\n"
    assert (await stored("export", "nobody")).code == 3
    assert (await stored("export", "demo", "-o", "no/such/dir.yaml")).code == 2
