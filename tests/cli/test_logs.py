"""`fasttrack logs`: pieces, tails, following, and secrets that never come out."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fasttrack_scheduler.backends.simulated import Script
from tests.cli.command_line import CommandLine, World
from tests.factories import a_file
from tests.waiting import eventually

SECRET = "correct horse/battery+staple"


async def ran(cli: CommandLine, path: Path, *args: str, **changes: Any) -> str:
    (path / "demo.yaml").write_text(a_file({"a": "", "b": "a"}, **changes))
    answer = await cli("run", "demo.yaml", "--wait", "--scheduler", "--json", *args)
    return str(answer.json["job"]["id"])


async def test_the_output_of_a_task_as_it_was_written(stored: CommandLine, tmp_path: Path, world: World) -> None:
    world.site.script("a", Script(log=b"one\ntwo\nthree\n"))
    job = await ran(stored, tmp_path)
    assert (await stored("logs", job, "a")).out == "one\ntwo\nthree\n"
    assert (await stored("logs", job[-8:], "a", "--tail", "2")).out == "two\nthree\n"
    assert (await stored("logs", job, "a", "--tail", "0")).out == ""
    assert (await stored("logs", job, "a", "--offset", "4")).out == "two\nthree\n"
    assert (await stored("logs", job, "a", "--offset", "999")).out == ""
    assert (await stored("logs", job, "a", "--follow")).out == "one\ntwo\nthree\n"
    as_json = await stored("logs", job, "a", "--json")
    assert as_json.records == [{"text": "one\ntwo\nthree\n", "next_offset": 14, "is_final": True}]


async def test_each_attempt_has_its_own(stored: CommandLine, tmp_path: Path, world: World) -> None:
    world.site.script("a", Script(log=b"first\n", exit_code=1), Script(log=b"second\n"))
    job = await ran(stored, tmp_path, a={"retry": {"max_attempts": 2}})
    assert (await stored("logs", job, "a")).out == "second\n"
    assert (await stored("logs", job, "a", "--attempt", "1")).out == "first\n"
    third = await stored("logs", job, "a", "--attempt", "3")
    assert (third.code, third.err) == (3, "error: task a has no attempt 3: its newest is 2\n")


async def test_a_task_that_never_ran_has_written_nothing(stored: CommandLine, tmp_path: Path, world: World) -> None:
    world.site.script("a", Script(exit_code=1))
    job = await ran(stored, tmp_path)
    answer = await stored("logs", job, "b", "--follow")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == "task b is UPSTREAM_FAILED and has written nothing: a task it needs did not succeed\n"


async def test_what_is_not_there_is_code_3(stored: CommandLine, tmp_path: Path) -> None:
    job = await ran(stored, tmp_path)
    task, no_job = await stored("logs", job, "z"), await stored("logs", "0123abcd", "a")
    assert (task.code, task.err) == (3, f"error: job {job} has no task named z; it has a, b\n")
    assert (no_job.code, no_job.err) == (3, "error: there is no job 0123abcd\n")


async def test_following_ends_with_the_attempt(stored: CommandLine, tmp_path: Path, world: World) -> None:
    world.site.script("a", Script(held=True, log=b"working\n"))
    (tmp_path / "demo.yaml").write_text(a_file({"a": ""}))
    job = (await stored("run", "demo.yaml")).out.strip()
    watching = asyncio.create_task(stored("job", job, "--wait", "--scheduler"))
    await eventually(lambda: world.site.ledger.created)
    following = asyncio.create_task(stored("logs", job, "a", "--follow", "--json"))
    await eventually(lambda: len(world.loops) >= 2)
    [name] = world.site.ledger.created
    world.loops[0].call_soon_threadsafe(lambda: world.site.finish(name))
    answers = [await watching, await following]
    assert [a.code for a in answers] == [0, 0]
    assert "working\\n" in answers[0].out + answers[1].out


async def test_secrets_are_masked_in_every_form(
    stored: CommandLine, tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(SECRET.encode())))
    await stored("secrets", "set", "TOKEN")
    forms = [SECRET, quote(SECRET, safe=""), base64.b64encode(SECRET.encode()).decode()]
    forms.append(base64.b64encode(f"user:{SECRET}".encode()).decode())
    world.site.script("a", Script(log="\n".join([*forms, "open"]).encode()))
    job = await ran(stored, tmp_path)
    shown = (await stored("logs", job, "a")).out.splitlines()
    assert shown[:3] == ["*" * len(form) for form in forms[:3]]
    assert shown[3] == forms[3][:7] + "*" * (len(forms[3]) - 7)
    assert shown[4] == "open"
    from_inside = await stored("logs", job, "a", "--offset", "5")
    assert from_inside.out.splitlines() == [shown[0][5:], *shown[1:]]
