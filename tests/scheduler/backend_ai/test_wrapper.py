"""The wrapper around a batch command, run for real: by every shell that is here, in a root of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttrack.backend_ai.markers import cut
from fasttrack_scheduler.backends.backend_ai.wrapper import MAX_BYTES, RAN_BEFORE, TOOLS, quote, wrap
from fasttrack_scheduler.backends.base import SessionRefused

NAME = "ft-b5s6m7x3jvh2lmfvq2c4i6vzqe-001"
SHELLS = {"dash": ("dash", "-c"), "bash": ("bash", "-c"), "bash as sh": ("bash", "-o", "posix", "-c"),
          "busybox": ("busybox", "sh", "-c")}  # fmt: skip
ENV = {"PATH": os.environ["PATH"], "HOME": "/home/work", "LANG": "C.UTF-8"}
PROGRAMS = ("mkdir", "tee", "mkfifo", "rm", "find", "chmod", "sleep", "date", "sync", "mv", "env", "cat", "seq", "true")

NASTY = (
    "exit 0",
    "echo out; echo err >&2; echo more; exit 3",
    "printf 'no line end'",
    "printf '\\000\\377binary\\r\\n'; exit 255",
    """echo 'single' "double \\" $HOME" $(echo `echo nested`) \\\\ '"'"'"'"'""",
    "cat <<'END'\n$HOME 'x' \\\nEND\ncat <<END\n$HOME `echo y`\nEND\n",
    "set -e\necho one\nfalse\necho never",
    "# a comment\n\n  echo ünïcode 한국어 🚂\n\n",
    "kill -KILL $$",
    "kill -TERM $$",
    "exec no-such-program",
    "if",
    "echo $0 $# \"$*\"; set; trap",
    "pwd; env | sort; ls /proc/self/fd; grep Sig[BIC] /proc/self/status",
    "cat; echo; read -r line; echo \"<$line>\"",
    "exit 97",
    "echo -e '\\t%s'; printf %s '%d %%'",
    "exec >&-; exec 2>&-; exit 5",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_signal_is_ignored() -> Iterator[None]:
    """As in a container: the tests themselves may run with signals ignored, by `nohup` or behind a shell's `&`."""
    ignored = [s for s in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT) if signal.getsignal(s) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    words = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} here")
    return words


@dataclass(frozen=True)
class Place:
    root: Path
    shell: tuple[str, ...]
    tools: str = TOOLS

    @property
    def session(self) -> Path:
        return self.root / "session"

    @property
    def outputs(self) -> Path:
        return self.root / "outputs"

    @property
    def log(self) -> bytes:
        return (self.session / "log").read_bytes()

    @property
    def exit(self) -> dict[str, str]:
        return dict(line.split("=") for line in (self.session / "exit").read_text().splitlines())

    def argv(self, command: str, *, cap: int = 1 << 20, linger: int = 20) -> list[str]:
        text = wrap(
            command, name=NAME, cap=cap, linger=linger, session=str(self.session), outputs=str(self.outputs),
            tools=self.tools,
        )  # fmt: skip
        return [*self.shell, text]

    def run(
        self, command: str, *, cap: int = 1 << 20, linger: int = 20, stdin: bytes = b"", env: Mapping[str, str] = ENV
    ) -> tuple[bytes, int]:
        done = subprocess.run(
            self.argv(command, cap=cap, linger=linger), input=stdin, capture_output=True, cwd=self.root, env=env,
            timeout=20, check=False,
        )  # fmt: skip
        assert done.stderr == b""
        return done.stdout, done.returncode

    @contextmanager
    def started(self, command: str, *, linger: int = 20) -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen(
            self.argv(command, linger=linger), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=self.root, env=ENV
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == f"=== fasttrack {NAME} begins ===\n".encode()
            yield process


@pytest.fixture
def place(tmp_path: Path, shell: tuple[str, ...]) -> Place:
    found = Place(tmp_path, shell)
    found.session.mkdir()
    found.outputs.mkdir()
    return found


def between(printed: bytes) -> tuple[bytes, int]:
    """What stands between the marker lines, and the code of the last."""
    begin = f"=== fasttrack {NAME} begins ===\n".encode()
    end = re.search(f"\n=== fasttrack {NAME} ends with code ([0-9]+) ===\n\\Z".encode(), printed)
    assert printed.startswith(begin)
    assert end is not None
    return printed[len(begin) : end.start()], int(end[1])


def comparable(output: bytes) -> bytes:
    """Without what any shell in between changes, and what busybox cannot give back: INT and QUIT stay ignored."""
    output = re.sub(rb"(?m)^(PPID|_|SHLVL|OLDPWD)='?.*\n", b"", output)
    return re.sub(rb"(?m)^(SigIgn:.*)6$", rb"\g<1>0", output) if b"SigIgn" in output else output


@pytest.mark.parametrize("command", NASTY)
def test_a_command_runs_exactly_as_it_stands_with_its_output_kept_and_its_code_passed_on(
    place: Place, command: str
) -> None:
    direct = subprocess.run(
        ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd=place.root, env=ENV, check=False,
    )  # fmt: skip
    code = direct.returncode if direct.returncode >= 0 else 128 - direct.returncode

    printed, returned = place.run(command, stdin=b"first line\nsecond")
    output, told = between(printed)

    assert comparable(output) == comparable(direct.stdout)
    assert place.log == output
    assert (told, returned, place.exit["code"]) == (code, code, str(code))
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", place.exit["ended"])
    assert sorted(p.name for p in place.session.iterdir()) == ["begun", "exit", "log"]


def test_the_second_session_of_one_name_runs_nothing_and_touches_nothing(place: Place) -> None:
    first, _ = place.run("echo first; echo kept > outputs/kept")
    before = {path: path.stat().st_mtime_ns for path in place.session.iterdir()}

    printed, code = place.run("echo second; echo lost > outputs/kept")

    assert (printed, code) == (
        f"=== fasttrack {NAME} was begun before and is not run again ===\n".encode(),
        RAN_BEFORE,
    )
    assert between(first) == (b"first\n", 0)
    assert (place.outputs / "kept").read_text() == "kept\n"
    assert {path: path.stat().st_mtime_ns for path in place.session.iterdir()} == before
    assert cut(printed.decode(), NAME) == (b"", None)


def test_of_many_at_once_one_runs(place: Place) -> None:
    processes = [
        subprocess.Popen(place.argv("echo ran >> ran"), stdout=subprocess.DEVNULL, cwd=place.root, env=ENV)
        for _ in range(8)
    ]
    assert sorted(process.wait(20) for process in processes) == [0] + [RAN_BEFORE] * 7
    assert (place.root / "ran").read_text() == "ran\n"


def test_the_outputs_begin_empty_and_links_in_them_are_not_followed(place: Place) -> None:
    elsewhere = place.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    elsewhere.chmod(0o500)
    for name in ("plain", ".hidden", "..two", "-rf", "with space", "new\nline", "*"):
        (place.outputs / name).touch()
    (place.outputs / "link").symlink_to(elsewhere)
    (place.outputs / "dangling").symlink_to(elsewhere / "nothing")
    deep = place.outputs / ".deep" / "er"
    deep.mkdir(parents=True)
    (deep / "file").touch()
    (deep / "link").symlink_to(elsewhere)
    deep.chmod(0o500)

    output, code = between(place.run("ls -A outputs; touch outputs/mine")[0])

    assert (output, code) == (b"", 0)
    assert [path.name for path in place.outputs.iterdir()] == ["mine"]
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]
    assert elsewhere.stat().st_mode & 0o777 == 0o500


@pytest.mark.parametrize("cap", [0, 512, 4096])
def test_what_is_past_the_cap_is_cut_from_the_log_and_still_flows(place: Place, cap: int) -> None:
    output, code = between(place.run("seq 100000; echo last; exit 4", cap=cap)[0])
    assert (len(output), code) == (588_900, 4)
    assert output.endswith(b"100000\nlast\n")
    assert place.log == output[:cap]


def test_a_process_left_in_the_background_does_not_keep_the_session(place: Place) -> None:
    printed, returned = place.run("(sleep 5; echo too late) & echo now; exit 6", linger=1)
    assert (between(printed), returned, place.log) == ((b"now\n", 6), 6, b"now\n")


def test_what_is_still_in_the_pipe_at_the_end_is_taken(place: Place) -> None:
    printed, _ = place.run("(sleep 0.3; seq 20000) & echo first")
    output, _ = between(printed)
    assert output.startswith(b"first\n1\n")
    assert output.endswith(b"\n20000\n")
    assert place.log == output


def test_a_command_that_is_asked_to_end_may_end_in_its_own_way(place: Place) -> None:
    with place.started("trap 'echo asked; exit 9' TERM; echo ready; while :; do sleep 0.05; done") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert rest.endswith(f"asked\n\n=== fasttrack {NAME} ends with code 9 ===\n".encode())
    assert (process.returncode, place.exit["code"]) == (9, "9")
    assert place.log.endswith(b"asked\n")


def test_a_program_below_a_plain_shell_gets_the_signal_and_the_time_to_save_its_work(place: Place) -> None:
    program = "trap 'sleep 1.2; echo saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    with place.started(f"cd /; sh -c {quote(program)}; echo never", linger=0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert rest.endswith(f"saved\n\n=== fasttrack {NAME} ends with code 143 ===\n".encode())
    assert b"never" not in rest
    assert (process.returncode, place.exit["code"]) == (143, "143")


def test_a_command_that_ignores_the_signal_goes_on_to_its_own_end(place: Place) -> None:
    os.mkfifo(place.root / "go")
    with place.started("trap '' TERM; echo ready; read -r x < go; echo $x; exit 127") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for _ in range(3):
            process.send_signal(signal.SIGTERM)
        (place.root / "go").write_text("went on\n")
        rest = process.stdout.read()
    assert rest == f"went on\n\n=== fasttrack {NAME} ends with code 127 ===\n".encode()


def test_the_end_is_written_down_before_the_last_line_is_printed(place: Place) -> None:
    with place.started("exit 7") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        assert process.stdout.readline() == f"=== fasttrack {NAME} ends with code 7 ===\n".encode()
        assert place.exit["code"] == "7"
    assert not list(place.session.glob("*.new"))


def without(*missing: str) -> Callable[[Place], Mapping[str, str]]:
    def make(place: Place) -> Mapping[str, str]:
        tools = place.root / "bin"
        tools.mkdir()
        for tool in PROGRAMS:
            if tool not in missing:
                found = shutil.which("busybox" if place.shell[0].endswith("busybox") else tool)
                assert found is not None
                (tools / tool).symlink_to(found)
        return {**ENV, "PATH": str(tools), "TMPDIR": str(place.root)}

    return make


@pytest.mark.parametrize("missing", ["tee", "mkfifo", "sync", "find", "date", "sleep", "env", "chmod", "rm", "mv"])
def test_an_image_that_lacks_a_program_still_runs_the_command(place: Place, missing: str) -> None:
    shell = tuple(shutil.which(word) or word for word in place.shell)
    place = Place(place.root, shell, tools="/nonexistent")
    (place.outputs / "old").touch()
    printed, returned = place.run("echo out; echo err >&2; exit 3", env=without(missing)(place))
    assert (between(printed), returned) == ((b"out\nerr\n", 3), 3)
    if missing not in ("tee", "mkfifo"):
        assert place.log == b"out\nerr\n"
    if missing not in ("mv",):
        assert place.exit["code"] == "3"
    if missing != "rm":
        assert not list(place.outputs.iterdir())


@pytest.mark.parametrize("path", ["", "/nonexistent", "/opt/own/bin"])
def test_a_task_whose_own_path_leads_nowhere_still_has_all_promises_and_its_own_path(place: Place, path: str) -> None:
    shell = tuple(shutil.which(word) or word for word in place.shell)
    place = Place(place.root, shell)
    env = {"PATH": path}
    direct = subprocess.run(["/bin/sh", "-c", "echo $PATH"], capture_output=True, env=env, cwd=place.root, check=True)
    assert between(place.run("echo $PATH", env=env)[0]) == (direct.stdout, 0)
    assert place.log == direct.stdout
    assert place.exit["code"] == "0"
    assert place.run("echo again", env=env)[1] == RAN_BEFORE


def test_without_the_folders_the_command_runs_and_tells_its_code(place: Place) -> None:
    place.session.rmdir()
    place.outputs.rmdir()
    printed, returned = place.run("echo out; exit 3")
    assert (between(printed), returned) == ((b"out\n", 3), 3)
    assert not place.session.exists()
    assert not place.outputs.exists()


def test_variables_of_the_environment_survive_whatever_they_are_called(place: Place) -> None:
    env = {
        **ENV,
        "name": "n",
        "command": "c",
        "session": "s",
        "cap": "1",
        "IFS": "x",
        "TMPDIR": "/nowhere",
        "code": "2",
    }
    printed, _ = place.run('echo "$name $command $session $cap $TMPDIR $code"', env=env)
    assert between(printed) == (b"n c s 1 /nowhere 2\n", 0)


def test_a_command_that_is_too_long_for_a_shell_is_refused_and_the_longest_runs(place: Place) -> None:
    def of(length: int) -> str:
        return "echo fits #" + "'" * (length // 4)

    longest = next(n for n in range(MAX_BYTES, 0, -1) if _fits(place, of(n)))
    assert longest > 120_000
    assert between(place.run(of(longest), linger=20)[0]) == (b"fits\n", 0)
    with pytest.raises(SessionRefused, match=r"The command is \d+ bytes too long: a cluster takes about 128 KiB"):
        place.argv(of(longest + 4))


def _fits(place: Place, command: str) -> bool:
    try:
        return bool(place.argv(command))
    except SessionRefused:
        return False


def test_the_page_shows_the_lines_that_are_printed(place: Place) -> None:
    page = (Path(__file__).parents[3] / "docs" / "capabilities" / "backend-ai-sessions.md").read_text()
    first, *_, last = place.run("true")[0].decode().splitlines()
    assert f"{first}\n…\n{last}\n" in page
    assert f"exit code {RAN_BEFORE}" in page


def test_no_marker_line_stands_in_the_text_that_a_list_of_processes_shows() -> None:
    assert f"=== fasttrack {NAME}" not in wrap("true", name=NAME, cap=1024)


def test_the_places_are_those_that_the_session_mounts() -> None:
    text = wrap("true", name=NAME, cap=1024)
    assert "_ft_session='/pipeline/.session'\n" in text
    assert "_ft_outputs='/pipeline/outputs'\n" in text


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))
def test_quoting_keeps_every_text(text: str) -> None:
    done = subprocess.run(["/bin/sh", "-c", f"printf %s {quote(text)}"], capture_output=True, check=True, env=ENV)
    assert done.stdout.decode() == text
