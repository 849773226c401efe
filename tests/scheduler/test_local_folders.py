"""What a local task sees: its folders, its variables, its output."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from fasttrack.domain.pipeline import Mount
from fasttrack.domain.states import FailureClass
from fasttrack.ids import JobId, PipelineId, new_id
from fasttrack.storage import layout
from fasttrack.storage.layout import as_file_name
from fasttrack_scheduler.backends.base import (
    Input,
    SessionBackendUnavailable,
    SessionRefused,
    SessionSpec,
    SessionStatus,
    Workspace,
    wait_until_terminal,
)
from fasttrack_scheduler.backends.local import removal, sandbox, watch
from fasttrack_scheduler.backends.local.backend import LocalBackend
from fasttrack_scheduler.backends.local.folders import Folders
from fasttrack_scheduler.backends.local.sandbox import find_sandbox
from tests.contracts.sites import LocalTestSite, make_spec
from tests.waiting import eventually

PIPELINE, JOB = PipelineId(new_id()), JobId(new_id())
CANARY = "canary-5bd1c8"

needs_sandbox = pytest.mark.skipif(
    not find_sandbox("auto").is_on, reason="user namespaces are forbidden on this machine"
)


@pytest.fixture(params=[pytest.param("always", marks=needs_sandbox), "never"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalTestSite]:
    made = LocalTestSite(tmp_path, request.param)
    yield made
    await made.close()


@pytest.fixture
async def backend(site: LocalTestSite) -> LocalBackend:
    return await site.backend()


async def run(backend: LocalBackend, spec: SessionSpec, *, status: SessionStatus = SessionStatus.SUCCEEDED) -> str:
    await backend.create(spec)
    seen = await wait_until_terminal(backend, spec.name, timeout=5)
    text = (await backend.logs(spec.name, offset=0, limit=100_000)).data.decode()
    assert seen.status is status, text
    return text


def place(task: str, *inputs: str, mounts: tuple[Mount, ...] = ()) -> Workspace:
    return Workspace(PIPELINE, JOB, task, tuple(Input(JOB, name) for name in inputs), mounts)


async def test_outputs_become_inputs_in_order(backend: LocalBackend) -> None:
    for task in ("extract", "train a/b"):
        spec = make_spec(f'printf "%s" "{task}" > "$PIPELINE_OUTPUT_ROOT/made"', workspace=place(task))
        await run(backend, spec)
    command = 'cat "$FASTTRACK_INPUT1/made" "$FASTTRACK_INPUT2/made"; ls "$FASTTRACK_INPUT3" "$FASTTRACK_OUTPUTS"'
    text = await run(backend, make_spec(command, workspace=place("report", "train a/b", "extract", "never ran")))
    assert text.split("\n")[0].startswith("train a/bextract")
    assert "made" not in text


async def test_vfroot_outlives_the_job_and_outputs_are_fresh(backend: LocalBackend) -> None:
    command = 'ls "$PIPELINE_VFROOT" "$FASTTRACK_OUTPUTS"; touch "$FASTTRACK_VFROOT/kept" "$FASTTRACK_OUTPUTS/gone"'
    await run(backend, make_spec(command, workspace=place("task")))
    text = await run(backend, make_spec(command, workspace=place("task")))
    assert "kept" in text
    assert "gone" not in text


@needs_sandbox
async def test_folders_are_at_the_paths_of_the_cluster(tmp_path: Path) -> None:
    site = LocalTestSite(tmp_path, "always")
    data = site.settings.folders_dir / "datasets"
    data.mkdir(parents=True)
    (data / "rows").write_text("1 2 3\n")
    backend = await site.backend()
    await run(backend, make_spec("echo model > /pipeline/outputs/model", workspace=place("before")))
    command = (
        "pwd; cat /pipeline/input1/model /home/work/data/rows; touch /pipeline/vfroot/v; "
        "touch /pipeline/input1/x 2>/dev/null || echo read-only; echo 4 >> data/rows; ls /home/work; echo $HOME; "
        f"{sys.executable} -c 'print(6 * 7)'; python3 -c 'print(6 * 8)'"
    )
    text = await run(
        backend, make_spec(command, workspace=place("after", "before", mounts=(Mount("datasets", "data"),)))
    )
    assert text.split() == ["/home/work", "model", "1", "2", "3", "read-only", "data", "/home/work", "42", "48"]
    assert (data / "rows").read_text() == "1 2 3\n4\n"
    assert not Path("/pipeline").exists()
    await site.close()


@needs_sandbox
async def test_an_isolated_task_sees_only_its_own_processes(tmp_path: Path) -> None:
    site = LocalTestSite(tmp_path, "always")
    backend = await site.backend()
    text = await run(backend, make_spec("ls -d /proc/[0-9]* | wc -l; cat /proc/1/comm"))
    assert int(text.split()[0]) <= 5
    assert text.split()[1] == "bwrap"
    await site.close()


async def test_mounts_appear_below_home(site: LocalTestSite, backend: LocalBackend) -> None:
    folder = site.settings.folders_dir / "models" / "base"
    folder.mkdir(parents=True)
    (folder / "weights").write_text("w")
    workspace = place("task", mounts=(Mount("models/base", "deep/model"),))
    assert (
        await run(backend, make_spec('cat "$HOME/deep/model/weights" deep/model/weights', workspace=workspace)) == "ww"
    )
    assert (folder / "weights").exists()


@pytest.mark.parametrize("folder", ["unknown", "../state", "/etc", ""])
async def test_an_unknown_folder_is_refused(backend: LocalBackend, folder: str) -> None:
    spec = make_spec(workspace=place("task", mounts=(Mount(folder, "data"),)))
    with pytest.raises(SessionRefused) as caught:
        await backend.create(spec)
    assert repr(folder) in caught.value.message
    if folder == "unknown":
        assert "create the directory" in caught.value.message
    assert await backend.find(spec.name) is None


@pytest.mark.parametrize("alias", ["../x", "/etc", ""])
async def test_an_alias_outside_of_home_is_refused(site: LocalTestSite, backend: LocalBackend, alias: str) -> None:
    (site.settings.folders_dir / "data").mkdir(parents=True)
    with pytest.raises(SessionRefused):
        await backend.create(make_spec(workspace=place("task", mounts=(Mount("data", alias),))))


async def test_the_environment_is_clean(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTTRACK_DATABASE_URL", f"postgresql://{CANARY}@host/db")
    monkeypatch.setenv("SERVICE_PASSWORD", CANARY)
    text = await run(backend, make_spec("env", envs={"GREETING": "good day", "PIPELINE_INPUT_ROOT": "/mine"}))
    assert CANARY not in text
    assert "OLDPWD" not in text
    found = dict(line.split("=", 1) for line in text.splitlines())
    assert found["GREETING"] == "good day"
    assert found["PIPELINE_INPUT_ROOT"] == "/mine"
    assert found["PATH"].startswith(f"{os.path.dirname(sys.executable)}:")
    assert found["BACKENDAI_CLUSTER_SIZE"] == "1"
    assert found["CUDA_VISIBLE_DEVICES"] == ""
    assert found["HOME"] == found["PWD"]


async def test_secrets_are_in_no_file_once_it_runs(site: LocalTestSite, backend: LocalBackend) -> None:
    spec = make_spec(f": {CANARY}; echo ready; exec sleep 60", envs={"TOKEN": CANARY})
    await backend.create(spec)
    log = Path(backend._site.directory(spec.name).log)
    await eventually(lambda: log.exists() and log.read_text() == "ready\n")

    def files_with_canary() -> list[str]:
        files = [path for path in site.settings.state_dir.rglob("*") if path.is_file()]
        return [str(path) for path in files if CANARY.encode() in path.read_bytes()]

    await eventually(lambda: files_with_canary() == [])
    assert (site.settings.state_dir / "local").stat().st_mode & 0o077 == 0
    assert log.stat().st_mode & 0o077 == 0


async def test_secrets_of_a_waiting_session_are_private(site: LocalTestSite, backend: LocalBackend) -> None:
    for _ in range(2):
        await backend.create(site.runs())
    await backend.create(spec := make_spec(envs={"TOKEN": CANARY}))
    path = Path(backend._site.directory(spec.name).path)
    assert path.stat().st_mode & 0o777 == 0o700
    assert (path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert CANARY not in (path / "spec.json").read_text()
    await backend.terminate(spec.name, grace=timedelta(0))
    await wait_until_terminal(backend, spec.name, timeout=5)
    await eventually(lambda: not (path / "secrets.json").exists())


async def test_scratch_is_removed(backend: LocalBackend) -> None:
    await run(backend, spec := make_spec("mkdir -p a/b; touch a/b/c"))
    await eventually(lambda: not Path(backend._site.directory(spec.name).work).exists())


async def test_long_output_is_cut_and_says_so(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "LOG_CAP", 10)
    await run_and_check_cut(backend)


async def run_and_check_cut(backend: LocalBackend) -> None:
    spec = make_spec("echo 0123456789abcdef; exit 0")
    text = await run(backend, spec)
    assert text == "0123456789\n[the output is cut here: only its first 10 bytes are kept]\n"
    middle = await backend.logs(spec.name, offset=8, limit=5)
    assert (middle.data, middle.next_offset, middle.is_final) == (b"89\n[t", 13, False)
    rest = await backend.logs(spec.name, offset=13, limit=1000)
    assert rest.data.decode() == text[13:]
    assert rest.is_final
    watch._cut_log(backend._site.directory(spec.name).log)
    assert (await backend.logs(spec.name, offset=0, limit=1000)).data.decode() == text


async def test_isolation_is_said(site: LocalTestSite, backend: LocalBackend) -> None:
    await run(backend, spec := make_spec(cluster_size=2))
    seen = await backend.find(spec.name)
    assert seen is not None
    isolated = site.settings.local_sandbox == "always"
    assert seen.facts["isolation"] == ("bubblewrap" if isolated else "none: FASTTRACK_LOCAL_SANDBOX=never")
    assert seen.facts["cluster"].startswith("1 of 2 containers")
    assert Path(seen.facts["log"]).exists()


async def test_where_namespaces_are_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fasttrack_scheduler.backends.local.sandbox._program", lambda: "/bin/false")
    site = LocalTestSite(tmp_path, "always")
    backend = await site.backend()
    with pytest.raises(SessionRefused, match=r"FASTTRACK_LOCAL_SANDBOX=always.*bubblewrap does not run here"):
        await backend.create(make_spec())
    await site.close()
    (tmp_path / "other").mkdir()
    site = LocalTestSite(tmp_path / "other", "auto")
    backend = await site.backend()
    await run(backend, spec := make_spec())
    seen = await backend.find(spec.name)
    assert seen is not None
    assert seen.facts["isolation"].startswith("none: bubblewrap does not run here")
    await site.close()


async def test_a_full_disk_is_not_a_refusal(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fasttrack_scheduler.backends.local.journal.write_new", full)
    spec = make_spec()
    with pytest.raises(SessionBackendUnavailable, match="No space left on device"):
        await backend.create(spec)
    monkeypatch.undo()
    assert await backend.find(spec.name) is None
    await run(backend, spec)


async def test_what_the_system_cannot_start_is_refused(backend: LocalBackend) -> None:
    with pytest.raises(SessionRefused, match="NUL"):
        await backend.create(make_spec("echo \0"))
    with pytest.raises(SessionRefused, match="longer than"):
        await backend.create(make_spec("x" * 200_000))
    with pytest.raises(SessionRefused, match="not a session name"):
        await backend.create(make_spec(name="../x"))
    many = {f"V{n}": "x" * 100_000 for n in range(40)}
    await backend.create(spec := make_spec(envs=many))
    seen = await wait_until_terminal(backend, spec.name, timeout=5)
    assert (seen.status, seen.failure) == (SessionStatus.FAILED, FailureClass.REFUSED)
    assert "too long" in seen.reason


async def test_a_removal_that_was_cut_short_is_finished_and_runs_nothing(
    backend: LocalBackend, site: LocalTestSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a directory must never look like a session that waits: its command would run a second time."""
    await run(backend, old := make_spec("echo hello"))
    monkeypatch.setattr("fasttrack_scheduler.backends.local.removal._remove", _pulls_the_plug)
    with pytest.raises(ZeroDivisionError):
        await backend.forget_sessions([old.name])
    monkeypatch.undo()
    assert await (await site.backend()).live() == []
    assert (await backend.forget_sessions([old.name])).items == 1
    assert [name for name in os.listdir(f"{backend._site.sessions}") if old.name in name] == []


async def test_folders_that_a_task_closed_are_removed_and_links_are_not_followed(
    backend: LocalBackend, site: LocalTestSite, tmp_path: Path
) -> None:
    (precious := tmp_path / "precious").mkdir()
    (precious / "file").write_text("keep")
    command = (
        f"cd $FASTTRACK_OUTPUTS; mkdir -p a/b; echo 12345 > a/b/c; ln -s {precious} a/link; chmod 0 a/b; chmod 0 a"
    )
    await run(backend, spec := make_spec(command))
    freed = await backend.forget_outputs([(spec.workspace.pipeline_id, spec.workspace.job_id)])
    assert (freed.items, freed.stuck) == (1, ())
    assert not site.has_outputs(spec.workspace)
    assert (precious / "file").read_text() == "keep"


async def test_what_cannot_be_removed_is_named_and_holds_up_nothing(
    backend: LocalBackend, site: LocalTestSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [make_spec(), make_spec()]
    for spec in specs:
        await run(backend, spec)
    jobs = [(spec.workspace.pipeline_id, spec.workspace.job_id) for spec in specs]
    really = removal._remove

    def refuse(path: str, stop: Event) -> None:
        if str(jobs[0][1]) in path:
            raise PermissionError(1, "Operation not permitted", path)
        really(path, stop)

    monkeypatch.setattr(removal, "_remove", refuse)
    freed = await backend.forget_outputs(jobs)
    assert freed.items == 1
    assert [sentence.split(":")[0] for sentence in freed.stuck] == [f"outputs of job {jobs[0][1]}"]
    assert not site.has_outputs(specs[1].workspace)


async def test_a_removal_ends_soon_when_it_is_cancelled(backend: LocalBackend, site: LocalTestSite) -> None:
    await run(backend, spec := make_spec("for n in 1 2 3; do echo > $FASTTRACK_OUTPUTS/$n; done"))
    job = (spec.workspace.pipeline_id, spec.workspace.job_id)
    stop = Event()
    stop.set()
    with pytest.raises(removal.Stopped):
        removal.forget_outputs(layout.Layout(site.settings.state_dir), [job], dry_run=False, stop=stop)
    assert site.has_outputs(spec.workspace)


def _pulls_the_plug(path: str, stop: Event) -> None:
    os.unlink(f"{path}/exit")
    raise ZeroDivisionError


@needs_sandbox
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_an_ordinary_user_gets_the_same_folders() -> None:
    program = sandbox._program()
    assert program is not None
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 65534, 65534)
        folders = Folders(folder, folder, (folder,), ((folder, "data"),))
        made = sandbox.Sandbox(program, ["--unshare-user", *sandbox._binds()], "")
        command = "id -u; cd /home/work/data; touch made; pwd; touch /pipeline/input1/x 2>/dev/null || echo read-only"
        argv = made.argv(["/bin/sh", "-c", command], folders, folder)
        done = await asyncio.to_thread(
            subprocess.run, argv, capture_output=True, text=True, user=65534, group=65534, extra_groups=[], cwd="/"
        )
        assert done.stdout.split() == ["65534", "/home/work/data", "read-only"], done.stderr
        assert os.path.exists(f"{folder}/made")


def test_task_names_are_safe_and_distinct_file_names() -> None:
    names = ["a", "A b", "a/b", "a%2Fb", "..", ".", "", "x" * 300, "x" * 301, "훈련", "a\nb"]
    found = [as_file_name(name) for name in names if name]
    assert len(set(found)) == len(found)
    assert all("/" not in name and not name.startswith(".") and len(name.encode()) <= 120 for name in found)
    assert as_file_name("훈련 1") == "훈련 1"
