"""Code comes from a repository: fetched at a tag, run where it lies, and handed on to the next task."""

from __future__ import annotations

from pathlib import Path

from fasttrack.clock import SystemClock
from fasttrack.db import Database
from fasttrack.db.jobs import list_instances
from fasttrack.domain.states import FailureClass, JobState
from fasttrack_scheduler.backends import make_backend
from fasttrack_scheduler.fetching import IMPORT_FAILED
from tests.engine import Engine
from tests.scheduler.forge import Forge, serving

PIPELINE = """
name: imported
environment: {{envs: {{{trust}}}}}
tasks:
  - name: train
    type: Import from GitHub
    module_uri: {url}/lab/examples/tree/v1.0/mnist
    command: sh train.sh > /pipeline/outputs/model
  - name: library
    type: Import from GitLab
    module_uri: {url}/lab/examples#main:lib
  - name: use
    dependencies: [train, library]
    command: cat /pipeline/input1/model /pipeline/input2/tools > /pipeline/vfroot/used
"""


def text(forge: Forge) -> str:
    trust = ", ".join(f"{name}: {value!r}" for name, value in forge.trusted.items())
    return PIPELINE.format(url=forge.url, trust=trust)


async def test_tasks_run_code_of_a_repository_and_hand_it_on(engine: Engine, tmp_path: Path) -> None:
    with serving(tmp_path) as forge:
        work = forge.repository("lab/examples")
        forge.commit(work, {"mnist/train.sh": "echo trained by v1.0 in ${PWD##*/}\n"}, tag="v1.0")
        forge.commit(work, {"mnist/train.sh": "echo newer\n", "lib/tools": "tools\n"})

        job = await engine.submit(text(forge))
        async with engine.scheduling(make_backend("local", engine.settings, SystemClock())):
            assert await engine.ended(job) is JobState.SUCCEEDED
    (used,) = engine.settings.state_dir.glob("pipelines/*/vfroot/used")
    assert used.read_text() == "trained by v1.0 in mnist\ntools\n"


async def test_code_that_is_not_there_fails_its_task_and_nothing_of_it_runs(
    engine: Engine, database: Database, tmp_path: Path
) -> None:
    with serving(tmp_path) as forge:
        job = await engine.submit(text(forge))
        async with engine.scheduling(make_backend("local", engine.settings, SystemClock())):
            assert await engine.ended(job) is JobState.FAILED
    async with database.transaction() as db:
        train, library, use = await list_instances(db, job)
    assert [(task.exit_code, task.failure) for task in (train, library)] == [(IMPORT_FAILED, FailureClass.USER)] * 2
    assert use.exit_code is None
