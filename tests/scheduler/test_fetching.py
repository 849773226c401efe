"""The code of an import task is fetched for real, from a forge that serves repositories and archives over HTTPS."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from fasttrack.spec.imports import parse_module_uri
from fasttrack_scheduler.backends.backend_ai.wrapper import wrap
from fasttrack_scheduler.fetching import IMPORT_FAILED, copy_out, prologue
from tests.scheduler.forge import Forge, serving

COMMON = ("sh", "mv", "rm", "mkdir", "tar", "gzip", "cat", "cp", "ls", "timeout", "true", "env", "sort")


@dataclass(frozen=True)
class Code:
    forge: Forge
    commits: Mapping[str, str]

    def uri(self, rest: str = "", name: str = "lab/examples") -> str:
        return f"{self.forge.url}/{name}{rest}"


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Code]:
    with serving(tmp_path_factory.mktemp("forge")) as forge:
        work = forge.repository("lab/examples")
        first = forge.commit(work, {"main.py": "print('first')\n", "mnist/train.sh": "echo first\n"}, tag="v1.0")
        side = forge.commit(work, {"main.py": "print('side')\n", "deep/er/x": "side\n"}, branch="feature/side")
        last = forge.commit(work, {"main.py": "print('last')\n"})
        yield Code(forge, {"first": first, "side": side, "last": last})


def tools(root: Path, *more: str) -> str:
    """A PATH with these programs and the few that every image has."""
    path = root / "bin"
    path.mkdir(exist_ok=True)
    for tool in (*COMMON, *more):
        found = shutil.which(tool) if tool != "python3" else _python()
        if found is not None:
            (path / tool).unlink(missing_ok=True)
            (path / tool).symlink_to(found)
    return str(path)


def _python() -> str:
    # The interpreter itself: a script that looks for one would need more than the PATH of the test.
    return os.path.realpath(sys.executable)


def run(
    uri: str, command: str, at: Path, *, path: str | None = None, env: Mapping[str, str] = {}, shell: str = "dash",
    seconds: int = 60,
) -> tuple[int, str, str]:  # fmt: skip
    """Exit code, output and errors of the command with the code of that address."""
    home = at / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [shutil.which(shell) or shell, "-c", prologue(parse_module_uri(uri), seconds=seconds) + command],
        cwd=home, env={"PATH": path or os.environ["PATH"], "HOME": str(home), **env}, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


FORMS = [
    ("", "last", ""),
    (".git", "last", ""),
    ("/tree/main", "last", ""),
    ("@v1.0", "first", ""),
    ("#v1.0", "first", ""),
    ("/releases/tag/v1.0", "first", ""),
    ("/commit/{first}", "first", ""),
    (".git@feature/side", "side", ""),
    ("/tree/feature/side", "side", ""),
    ("/tree/feature/side/deep/er", "side", "/deep/er"),
    ("#feature/side:deep", "side", "/deep"),
    ("#:mnist", "last", "/mnist"),
    ("/-/tree/v1.0/mnist", "first", "/mnist"),
]


@pytest.mark.parametrize("tool", ["git", "python3", "curl", "wget"])
@pytest.mark.parametrize(("form", "commit", "folder"), FORMS)
def test_the_command_runs_in_the_code_at_the_named_revision(
    code: Code, tmp_path: Path, tool: str, form: str, commit: str, folder: str
) -> None:
    uri = code.uri(form.format(**code.commits))
    shown = "pwd; cat \"$(pwd | sed 's|/examples.*|/examples|')\"/main.py"
    path = tools(tmp_path, tool, "sed")

    returned, output, errors = run(uri, shown, tmp_path, path=path, env=code.forge.trusted)

    assert (returned, output) == (0, f"{tmp_path}/home/examples{folder}\nprint('{commit}')\n"), errors
    assert "Fetched " in errors
    if tool == "git":
        assert f" at {code.commits[commit]} into {tmp_path}/home/examples\n" in errors
        assert (tmp_path / "home" / "examples" / ".git" / "shallow").exists()
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["examples"]


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_command_finds_nothing_of_the_fetching_but_its_directory(code: Code, tmp_path: Path, shell: str) -> None:
    command = "env | sort; ls /proc/self/fd | wc -l; echo $# $place ${tried-unset} ${folder-unset}; type fetch; trap"
    env = {"url": "mine", "place": "mine", "line": "mine", "CDPATH": "/", **code.forge.trusted}
    _, output, _ = run(code.uri(), command, tmp_path, env=env, shell=shell)
    direct = subprocess.run(
        [shell, "-c", f"cd {tmp_path}/home/examples\n{command}"], cwd=tmp_path / "home", capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), **env}, stdin=subprocess.DEVNULL, check=False,
    ).stdout  # fmt: skip
    assert "url=mine" in output
    assert "0 mine unset unset\n" in output
    assert output == direct


def test_a_revision_that_is_not_there_ends_the_task_with_all_that_was_tried(code: Code, tmp_path: Path) -> None:
    returned, output, errors = run(code.uri("@nowhere"), "echo ran", tmp_path, env=code.forge.trusted)
    assert (returned, output) == (IMPORT_FAILED, "")
    url = code.uri()
    assert f"fasttrack: the code at {url} could not be fetched. Tried:\n" in errors
    assert f"  git, {url}.git at nowhere: fatal: couldn't find remote ref nowhere\n" in errors
    assert f"  python3, {url}/archive/nowhere.tar.gz: HTTP Error 404: Not Found\n" in errors
    assert not list((tmp_path / "home").iterdir())


def test_a_folder_that_is_not_there_is_named(code: Code, tmp_path: Path) -> None:
    returned, output, errors = run(code.uri("#main:no/such"), "echo ran", tmp_path, env=code.forge.trusted)
    assert (returned, output) == (IMPORT_FAILED, "")
    assert f"  {code.uri()} at main: there is no folder no/such in it\n" in errors


def test_what_stands_in_the_place_of_the_code_is_left_alone(code: Code, tmp_path: Path) -> None:
    (tmp_path / "home" / "examples").mkdir(parents=True)
    (tmp_path / "home" / "examples" / "mine").touch()
    returned, output, errors = run(code.uri(), "echo ran", tmp_path, env=code.forge.trusted)
    assert (returned, output) == (IMPORT_FAILED, "")
    assert "something is there already: give the mount another alias" in errors
    assert (tmp_path / "home" / "examples" / "mine").exists()


def test_an_image_with_nothing_to_fetch_with_says_so(code: Code, tmp_path: Path) -> None:
    returned, _, errors = run(code.uri(), "echo ran", tmp_path, path=tools(tmp_path))
    assert returned == IMPORT_FAILED
    assert "  nothing: the image has neither git nor python3, curl or wget\n" in errors


def test_variables_of_the_task_let_git_into_a_private_repository(code: Code, tmp_path: Path) -> None:
    env = {
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"http.{code.forge.url}/.extraHeader",
        "GIT_CONFIG_VALUE_0": "Authorization: Basic aHVudGVyMg==", **code.forge.trusted,
    }  # fmt: skip
    returned, _, errors = run(code.uri(), "true", tmp_path, env=env)
    assert returned == 0
    assert "Basic aHVudGVyMg==" in code.forge.logins
    assert "aHVudGVyMg" not in errors


def test_a_forge_that_is_not_trusted_gets_no_code_run(code: Code, tmp_path: Path) -> None:
    returned, output, errors = run(code.uri(), "echo ran", tmp_path)
    assert (returned, output) == (IMPORT_FAILED, "")
    assert "certificate" in errors


def test_a_forge_that_never_answers_is_waited_for_no_longer_than_the_bound(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"https://127.0.0.1:{silent.getsockname()[1]}/lab/examples"
        returned, output, _ = run(uri, "echo ran", tmp_path, seconds=1)
    assert (returned, output) == (IMPORT_FAILED, "")


def test_without_a_command_the_code_becomes_the_output(code: Code, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    env = {"FASTTRACK_OUTPUTS": str(outputs), **code.forge.trusted}
    returned, _, errors = run(code.uri("/tree/v1.0/mnist"), copy_out(), tmp_path, env=env)
    assert returned == 0, errors
    assert [(path.name, path.read_text()) for path in outputs.iterdir()] == [("train.sh", "echo first\n")]


def test_the_code_and_the_exit_code_of_the_command_are_its_own(code: Code, tmp_path: Path) -> None:
    command = "cat <<'END'\n$HOME 'x'\nEND\nexit 5"
    assert run(code.uri(), command, tmp_path, env=code.forge.trusted)[:2] == (5, "$HOME 'x'\n")


def test_on_a_cluster_it_is_part_of_what_is_wrapped(code: Code, tmp_path: Path) -> None:
    def wrapped(name: str, uri: str) -> tuple[int, bytes]:
        session = tmp_path / name
        session.mkdir()
        command = prologue(parse_module_uri(uri)) + "pwd; cat main.py"
        text = wrap(command, name=name, cap=1 << 20, session=str(session), outputs=str(session / "outputs"))
        done = subprocess.run(
            ["sh", "-c", text], cwd=session, env={"PATH": os.environ["PATH"], **code.forge.trusted},
            capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode, (session / "log").read_bytes()

    returned, log = wrapped("ft-good-001", code.uri("@v1.0"))
    assert returned == 0
    assert log.endswith(f"{tmp_path}/ft-good-001/examples\nprint('first')\n".encode())
    returned, log = wrapped("ft-bad-001", code.uri("@nowhere"))
    assert returned == IMPORT_FAILED
    assert b"could not be fetched. Tried:" in log
