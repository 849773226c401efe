"""Which server a command works on, as whom: options, environment, profiles; and what becomes of tokens."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fasttrack.db import Database
from fasttrack.domain.access import Permission
from fasttrack.errors import InvalidInput, NotFound
from fasttrack_cli.completion import complete_roles, complete_scopes
from fasttrack_cli.profiles import Profile, Profiles, load_profiles, save_profiles
from fasttrack_cli.target import Asked, clean_url, find_target
from tests.cli.command_line import CommandLine
from tests.cli.remote_server import Server
from tests.people import People

SECRET = "ft_pat_not-for-anybody's-eyes"
Typed = Callable[[str], None]


@pytest.fixture
def profiles_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's profiles are."""
    path = tmp_path / "config" / "profiles.toml"
    monkeypatch.setenv("FASTTRACK_PROFILES_FILE", str(path))
    return path


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Typed:
    """`piped("text")`: what standard input has."""

    def pipe(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return pipe


async def test_a_profile_is_kept_used_and_forgotten(
    cli: CommandLine, server: Server, database: Database, profiles_file: Path, piped: Typed
) -> None:
    """Added with its token by standard input, it is in use at once; its token goes to its server, and is never shown."""
    people = People(database)
    ada = await people.user("ada", default="editor")
    made = await people.token(ada, Permission.READ, Permission.RUN)
    token = made.secret.text
    piped(f"{token}\n")
    added = await cli("profile", "add", "prod", "--server", f"{server.url}/", "--project", "default")
    assert (added.code, added.out, added.err) == (0, "", f"profile prod is kept in {profiles_file}\n")
    assert stat.S_IMODE(profiles_file.stat().st_mode) == 0o600
    assert token in profiles_file.read_text()

    who = await cli("whoami", "--json")
    assert who.code == 0
    assert who.json == {
        "server": server.url, "named_by": "profile prod", "version": "0.1.0", "project": "default", "name": "ada",
        "kind": "user", "is_superadmin": False, "scopes": ["read", "run"], "only_project": None, "token_name": "test",
        "expires_at": who.json["expires_at"], "projects": [{"project": "default", "role": "editor"}],
        "default_project": "default",
    }  # fmt: skip
    assert server.way.headers[-1]["authorization"] == f"Bearer {token}"
    as_text = await cli("whoami")
    assert as_text.out.splitlines()[:4] == [
        f"server    {server.url} (profile prod)",
        "version   0.1.0",
        "account   ada, user",
        "scopes    read, run",
    ]
    refused = await cli("secrets", "delete", "X")
    assert (refused.code, refused.err) == (
        6, "error: this needs the permission secrets in the project, which ada does not have\n",
    )  # fmt: skip
    listed = await cli("profile", "list")
    assert listed.out.splitlines()[1].split() == ["prod", server.url, "default", "yes", "in", "use"]

    assert (await cli("profile", "use", "--local")).code == 0
    assert (await cli("whoami", "--json")).json["server"] is None
    assert (await cli("profile", "use", "prod")).code == 0
    assert (await cli("profile", "remove", "prod")).code == 0
    assert token not in profiles_file.read_text()
    for answer in (added, who, as_text, refused, listed):
        assert token not in answer.out + answer.err


async def test_a_token_that_is_not_taken_is_told(
    cli: CommandLine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTTRACK_SERVER", server.url)
    monkeypatch.setenv("FASTTRACK_TOKEN", SECRET)
    answer = await cli("jobs")
    assert (answer.code, answer.out) == (6, "")
    assert answer.err.startswith(f"error: {server.url} does not take this token: ")
    assert SECRET not in answer.err
    as_json = await cli("jobs", "--json", "--debug")
    assert as_json.json["error"]["code"] == "UNAUTHENTICATED"
    assert SECRET not in as_json.out + as_json.err


async def test_a_token_does_not_go_unencrypted_to_elsewhere(
    cli: CommandLine, profiles_file: Path, piped: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTTRACK_TOKEN", SECRET)
    answer = await cli("--server", "http://fasttrack.invalid", "jobs")
    assert (answer.code, answer.out) == (2, "")
    assert "the token would go to http://fasttrack.invalid unencrypted" in answer.err
    assert SECRET not in answer.err
    piped(SECRET)
    kept = await cli("profile", "add", "x", "--server", "http://fasttrack.invalid")
    assert kept.code == 2
    assert not profiles_file.exists()
    assert find_target(Asked("http://127.0.0.1:8812")) is not None
    assert find_target(Asked("https://fasttrack.invalid")) is not None
    assert find_target(Asked("http://fasttrack.invalid", insecure_http=True)) is not None
    monkeypatch.setenv("FASTTRACK_INSECURE_HTTP", "1")
    assert find_target(Asked("http://fasttrack.invalid")) is not None


def test_what_names_the_server_option_over_environment_over_profile(
    profiles_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(**asked: object) -> tuple[str, str, str | None, str | None] | None:
        target = find_target(Asked(**asked))  # type: ignore[arg-type]
        return target and (target.url, target.origin, target.token, target.project)

    assert found() is None
    save_profiles(Profiles("b", {"a": Profile("https://a", "token-a"), "b": Profile("https://b", "token-b", "vision")}))
    assert found() == ("https://b", "profile b", "token-b", "vision")
    assert found(project="other") == ("https://b", "profile b", "token-b", "other")
    assert found(profile="a") == ("https://a", "profile a", "token-a", None)
    monkeypatch.setenv("FASTTRACK_PROFILE", "a")
    assert found() == ("https://a", "profile a", "token-a", None)
    monkeypatch.setenv("FASTTRACK_TOKEN", "token-env")
    assert found() == ("https://a", "profile a", "token-env", None)
    monkeypatch.setenv("FASTTRACK_SERVER", "https://env")
    monkeypatch.setenv("FASTTRACK_PROJECT", "of-env")
    assert found() == ("https://env", "FASTTRACK_SERVER", "token-env", "of-env")
    assert found(server="https://flag") == ("https://flag", "--server", "token-env", "of-env")
    assert found(profile="b") == ("https://b", "profile b", "token-b", "of-env")
    assert found(is_local=True) is None
    with pytest.raises(NotFound, match="there is no profile c"):
        found(profile="c")
    with pytest.raises(InvalidInput, match="exclude each other"):
        found(profile="b", server="https://flag")


def test_a_token_of_a_profile_goes_to_no_other_server(profiles_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_profiles(Profiles("a", {"a": Profile("https://a", "token-a")}))
    target = find_target(Asked("https://elsewhere"))
    assert target is not None
    assert target.token is None
    assert "token-a" not in repr(load_profiles())


def test_a_token_is_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(" abc\n")
    monkeypatch.setenv("FASTTRACK_TOKEN_FILE", str(tmp_path / "token"))
    target = find_target(Asked("https://a"))
    assert target is not None
    assert target.token == "abc"
    (tmp_path / "token").write_text("two words")
    with pytest.raises(InvalidInput, match="is no token: one line") as refusal:
        find_target(Asked("https://a"))
    assert "two words" not in refusal.value.message
    monkeypatch.setenv("FASTTRACK_TOKEN_FILE", str(tmp_path / "nothing"))
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        find_target(Asked("https://a"))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://a.example", "https://a.example"),
        ("https://a.example/", "https://a.example"),
        ("https://a.example:8443/fasttrack/api/v1/", "https://a.example:8443/fasttrack"),
        ("http://[::1]:8812", "http://[::1]:8812"),
        ("a.example", None),
        ("ftp://a.example", None),
        ("https://", None),
        ("https://a.example:port", None),
        ("https://a.example/?x=1", None),
        ("https://ada:secret@a.example", None),
    ],
)
def test_addresses_of_servers(text: str, clean: str | None) -> None:
    if clean is not None:
        assert clean_url(text, "--server") == clean
        return
    with pytest.raises(InvalidInput) as refusal:
        clean_url(text, "--server")
    assert refusal.value.message.startswith("--server: ")
    assert "secret" not in refusal.value.message


def test_a_file_that_others_can_read_is_refused(profiles_file: Path) -> None:
    save_profiles(Profiles("a", {"a": Profile("https://a", 'quote" and \\ and \x7f')}))
    assert load_profiles().all["a"].token == 'quote" and \\ and \x7f'
    os.chmod(profiles_file, 0o644)
    with pytest.raises(InvalidInput, match="others may read the tokens in"):
        load_profiles()
    profiles_file.write_text('token = "broken')
    os.chmod(profiles_file, 0o600)
    with pytest.raises(InvalidInput, match="are not valid TOML") as refusal:
        load_profiles()
    assert "broken" not in refusal.value.message


@pytest.mark.parametrize(
    ("args", "typed", "says"),
    [
        (("profile", "add", "prod"), "x", "name the server"),
        (("profile", "add", "a b", "--server", "https://a"), "x", "cannot name a profile"),
        (("profile", "add", "a", "--server", "https://a"), "", "is no token"),
        (("profile", "use",), "", "name a profile, or give --local"),
        (("profile", "use", "nobody"), "", "there is no profile nobody"),
        (("profile", "remove", "nobody"), "", "there is no profile nobody"),
        (("jobs", "--local", "--server", "https://a"), "", "--local excludes --server"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_and_nothing_is_kept(
    cli: CommandLine, profiles_file: Path, piped: Typed, args: tuple[str, ...], typed: str, says: str
) -> None:
    piped(typed)
    answer = await cli(*args)
    assert answer.code in (2, 3)
    assert says in answer.err
    assert not profiles_file.exists()


async def test_names_are_completed_from_the_server(
    cli: CommandLine, server: Server, profiles_file: Path, piped: Typed
) -> None:
    Path("demo.yaml").write_text("name: demo\ntasks:\n  - {name: a, type: custom, command: 'true'}\n")
    save_profiles(Profiles("here", {"here": Profile(server.url)}))
    assert (await cli("publish", "demo.yaml")).code == 0
    assert await completed("fasttrack versions de", profiles_file) == ["demo"]
    assert await completed("fasttrack pipelines archive de", profiles_file) == ["demo"]
    assert await completed("fasttrack templates show hel", profiles_file) == ["hello"]
    assert await completed("fasttrack --profile h", profiles_file) == ["here"]
    assert await completed("fasttrack --server http://127.0.0.1:1 versions de", profiles_file) == []


async def test_people_and_tokens_are_completed_too(
    cli: CommandLine, server: Server, database: Database, profiles_file: Path
) -> None:
    """Of tokens those that still work; the project of the profile decides on members and on nothing else."""
    people = People(database)
    await people.user("ada", default="editor")
    await people.user("adele")
    save_profiles(Profiles("here", {"here": Profile(server.url, project="default")}))
    gone, kept = [(await cli("tokens", "create", name, "--json")).json["token"]["id"] for name in ("old", "new")]
    await cli("tokens", "revoke", gone)
    assert await completed("fasttrack accounts disable ad", profiles_file) == ["ada", "adele"]
    assert await completed("fasttrack members change ad", profiles_file) == ["ada"]
    assert await completed("fasttrack tokens rotate 0", profiles_file) == [kept]
    assert complete_roles("o") == ["operator"]
    assert complete_scopes("r") == ["read", "run"]


async def completed(line: str, profiles_file: Path) -> list[str]:
    """What the shell is given for the last word of the line."""
    import asyncio

    words = line.split(" ")
    env = {**os.environ, "_FASTTRACK_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    env["FASTTRACK_PROFILES_FILE"] = str(profiles_file)
    run = [sys.executable, "-c", "from fasttrack_cli.__main__ import main; main()"]
    done = await asyncio.to_thread(subprocess.run, run, capture_output=True, text=True, env=env, check=False)
    assert done.stderr == ""
    return done.stdout.split()
