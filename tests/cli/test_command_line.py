"""What holds for every command: help, exit codes, errors as sentences or JSON, a quick start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from fasttrack.errors import Conflict, FastTrackError, IllegalTransition, InvalidRun, NotFound, Unavailable
from fasttrack_cli.app import app
from fasttrack_cli.exits import exit_code_of
from tests.cli.command_line import CommandLine

COMMANDS = [
    "up", "down", "scheduler", "api", "doctor", "validate", "publish", "versions", "diff", "restore", "export", "schema",
    "run", "jobs", "job", "logs", "cancel", "pause", "resume", "skip", "rerun", "whoami", "settings", "prune", "resources", "audit", "pipelines",
    "templates", "profile", "projects", "pools", "retention", "secrets", "credentials", "accounts", "members", "tokens", "operations", "db",
]  # fmt: skip


def test_the_commands_are_those_that_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "capabilities" / "command-line.md").read_text()
    assert list(get_command(app).commands) == COMMANDS  # type: ignore[attr-defined]
    for name in COMMANDS:
        assert f"`fasttrack {name}" in page, name


@pytest.mark.parametrize(
    "name",
    [
        *COMMANDS,
        "pipelines create",
        "pipelines copy",
        "pipelines rename",
        "pipelines describe",
        "pipelines tag",
        "pipelines archive",
        "pipelines restore",
        "pipelines remake-folder",
        "pipelines delete",
        "templates show",
        "templates share",
        "templates unshare",
        "profile add",
        "profile list",
        "profile use",
        "profile remove",
        "projects list",
        "projects create",
        "retention show",
        "retention set",
        "retention reset",
        "secrets list",
        "secrets set",
        "secrets delete",
        "credentials list",
        "credentials set",
        "credentials remove",
        "credentials personal",
        "accounts list",
        "accounts create",
        "accounts disable",
        "accounts enable",
        "members list",
        "members add",
        "members change",
        "members remove",
        "tokens create",
        "tokens list",
        "tokens rotate",
        "tokens revoke",
        "operations add",
        "operations list",
        "operations remove",
        "db upgrade",
        "db check",
    ],
)
async def test_every_command_explains_itself(cli: CommandLine, name: str) -> None:
    answer = await cli(*name.split(), "--help")
    assert answer.code == 0
    assert "Usage: fasttrack" in answer.out
    if name not in (
        "profile",
        "projects",
        "pools",
        "retention",
        "secrets",
        "credentials",
        "accounts",
        "members",
        "tokens",
        "operations",
        "db",
    ):
        assert "Example: " in answer.out
        assert "--json" in answer.out


async def test_no_command_is_a_question_for_help(cli: CommandLine) -> None:
    answer = await cli()
    assert answer.code == 0
    assert "Usage: fasttrack" in answer.out


async def test_the_version_is_printed(cli: CommandLine) -> None:
    answer = await cli("--version")
    assert (answer.code, answer.out) == (0, "fasttrack 0.1.0\n")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("nonsense",), "No such command 'nonsense'."),
        (("jbos",), "Did you mean"),
        (("jobs", "--limit", "many"), "'--limit'"),
        (("jobs", "--limit", "0"), "'--limit'"),
        (("jobs", "--state", "asleep"), "'--state'"),
        (("job",), "Missing argument 'ID'."),
        (("run", "x", "--param", "novalue"), "'novalue' is not of the form NAME=VALUE"),
        (("run", "x", "--param", "a=1", "--param", "a=2"), "a is given twice"),
        (("run", "x", "--priority", "101"), "'--priority'"),
        (("run", "x", "-m", "why"), "a message belongs to a file"),
    ],
)
async def test_wrong_usage_is_one_sentence_and_code_2(cli: CommandLine, args: tuple[str, ...], says: str) -> None:
    answer = await cli(*args)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert says in answer.err
    assert "--help`" in answer.err


async def test_wrong_usage_is_json_when_json_was_asked_for(cli: CommandLine) -> None:
    answer = await cli("--json", "jobs", "--nonsense")
    assert answer.code == 2
    assert answer.json == {
        "error": {"code": "USAGE", "message": "No such option: --nonsense.", "retryable": False, "problems": []}
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRun("x"), 2),
        (NotFound("x"), 3),
        (Unavailable("x"), 4),
        (Conflict("x"), 5),
        (IllegalTransition("x"), 70),
        (FastTrackError("x"), 70),
        (KeyError("x"), 70),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_code_of(error) == code


async def test_a_fault_is_a_sentence_and_a_trace_only_on_request(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a slip")

    monkeypatch.setattr("fasttrack.spec.json_schema", broken)
    answer = await cli("schema")
    assert answer.code == 70
    assert answer.err == (
        "error: FastTrack failed unexpectedly: ZeroDivisionError: a slip. "
        "Repeat it with --debug to see where, and report that.\n"
    )
    with_trace = await cli("schema", "--debug")
    assert with_trace.code == 70
    assert "Traceback" in with_trace.err
    as_json = await cli("schema", "--json")
    assert as_json.json["error"]["code"] == "INTERNAL"


async def test_the_common_options_stand_before_or_after_the_command(cli: CommandLine, tmp_path: Path) -> None:
    before = await cli("--json", "--state-dir", str(tmp_path / "a"), "--project", "p", "settings")
    after = await cli("settings", "--json", "--state-dir", str(tmp_path / "a"), "--project", "p")
    assert before == after
    values = {s["name"]: (s["value"], s["source"]) for s in after.json["settings"]}
    assert values["state_dir"] == (str(tmp_path / "a"), "option")
    assert values["project"] == ("p", "option")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from fasttrack_cli.app import run; code = run(['--help']);"
        "heavy = {'sqlalchemy', 'asyncpg', 'arq', 'redis', 'networkx', 'pydantic', 'alembic', 'cryptography', 'yaml'};"
        "print(code, sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_reader_that_leaves_gets_no_complaint_and_no_zero() -> None:
    code = "from fasttrack_cli.app import run; import sys; sys.exit(run(['schema']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141


async def test_completion_scripts_are_there(cli: CommandLine) -> None:
    code = (
        "import os, sys; os.environ['_FASTTRACK_COMPLETE'] = 'source_bash';from fasttrack_cli.app import run; run([])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "_FASTTRACK_COMPLETE=complete_bash" in done.stdout


async def test_json_documents_have_no_other_output(cli: CommandLine) -> None:
    answer = await cli("schema", "--json")
    assert json.loads(answer.out)["title"] == "FastTrack pipeline"
    assert answer.err == ""
