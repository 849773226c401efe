"""Everything that FastTrack is made of is killed in the middle of a run; then it is started again, and the job goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path

import pytest

from tests.waiting import eventually

PIPELINE = """
name: slow
tasks:
  - name: one
    command: echo one >> /pipeline/vfroot/ran.txt; echo from one > /pipeline/outputs/word
    resources: {cpu: 1, mem: 64m}
  - name: two
    dependencies: [one]
    command: |
      echo two >> /pipeline/vfroot/ran.txt
      while [ ! -e /pipeline/vfroot/go ]; do sleep 0.05; done
      cp /pipeline/input1/word /pipeline/outputs/word
    resources: {cpu: 1, mem: 64m}
  - name: three
    dependencies: [two]
    command: echo three >> /pipeline/vfroot/ran.txt; cat /pipeline/input1/word
    resources: {cpu: 1, mem: 64m}
"""


class Machine:
    """A state directory of its own, and the `fasttrack` command on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(directory), "FASTTRACK_STATE_DIR": str(self.state)}

    async def start(self, *words: str) -> Process:
        command = [sys.executable, "-W", "ignore", "-m", "fasttrack_cli", *words]
        return await asyncio.create_subprocess_exec(
            *command,
            env=self.env,
            cwd=self.directory,
            start_new_session=True,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def ask(self, *words: str) -> str:
        process = await self.start(*words)
        output, _ = await process.communicate()
        return output.decode()

    async def state_of(self, job: str) -> object:
        return json.loads(await self.ask("job", job, "--json"))["job"]["state"]

    def processes(self, *, of_tasks: bool) -> list[int]:
        """Everything that mentions the state directory: servers and schedulers, or the sessions."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            is_task = b"BACKENDAI_SESSION_ID" in words or b"/local/sessions/" in words
            if str(self.state).encode() in words and is_task == of_tasks:
                found.append(int(entry.name))
        return found


@pytest.mark.timeout(90)
async def test_a_job_goes_on_after_everything_was_killed_and_no_task_ran_twice(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    (tmp_path / "slow.yaml").write_text(PIPELINE)
    up = await machine.start("up")
    job = (await machine.ask("run", "slow.yaml", "--no-wait")).split()[0]

    def ran() -> list[str]:
        files = list(machine.state.glob("pipelines/*/vfroot/ran.txt"))
        return files[0].read_text().split() if files else []

    await eventually(lambda: ran() == ["one", "two"], within=30)

    # The scheduler, PostgreSQL, Valkey, and whatever else there is of it, all at once and without a word.
    for pid in machine.processes(of_tasks=False):
        os.kill(pid, signal.SIGKILL)
    await up.wait()
    assert machine.processes(of_tasks=True), "the running task knows nothing of all this"

    up = await machine.start("up")
    next(machine.state.glob("pipelines/*/vfroot")).joinpath("go").touch()

    async def succeeded() -> bool:
        return await machine.state_of(job) == "SUCCEEDED"

    await eventually(succeeded, within=30)
    assert ran() == ["one", "two", "three"]
    assert (await machine.ask("logs", job, "three")).strip() == "from one"

    up.send_signal(signal.SIGTERM)
    assert await up.wait() == 0
    await machine.ask("down")
    await eventually(lambda: machine.processes(of_tasks=False) + machine.processes(of_tasks=True) == [])
