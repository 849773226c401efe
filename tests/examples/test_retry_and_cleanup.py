"""examples/retry-and-cleanup.yaml: what each addition to the file does, seen in a run."""

from __future__ import annotations

from fasttrack.domain.states import InstanceState, JobState

from .conftest import EXAMPLES, Machine

FILE = (EXAMPLES / "retry-and-cleanup.yaml").read_text()


async def test_one_retry_heals_the_download_and_nobody_is_told(machine: Machine) -> None:
    run = await machine.run(FILE)
    assert run.verdict is JobState.SUCCEEDED, run.logs
    assert run.states == {
        "download": InstanceState.SUCCEEDED,
        "check": InstanceState.SUCCEEDED,
        "use": InstanceState.SUCCEEDED,
        "report": InstanceState.SKIPPED,
        "clean-up": InstanceState.SUCCEEDED,
    }
    assert run.logs["download"] == "attempt 1\nthe server is busy\nattempt 2\n"
    assert run.logs["use"] == "42 rows\n"
    assert run.logs["clean-up"] == "nothing is left behind\n"


async def test_when_no_attempt_helps_the_failure_is_reported_and_the_clean_up_runs(machine: Machine) -> None:
    run = await machine.run(FILE.replace("delay: 0.5", "delay: 0"), params={"failures": "5"})
    assert run.verdict is JobState.FAILED
    assert run.states == {
        "download": InstanceState.FAILED,
        "check": InstanceState.UPSTREAM_FAILED,
        "use": InstanceState.UPSTREAM_FAILED,
        "report": InstanceState.SUCCEEDED,
        "clean-up": InstanceState.SUCCEEDED,
    }
    assert run.logs["download"].count("the server is busy") == 3
    assert run.logs["report"] == f"job {run.job.id} failed\n"


async def test_a_check_that_takes_too_long_is_ended_and_does_not_stop_the_job(machine: Machine) -> None:
    run = await machine.run(FILE, params={"failures": "0", "mode": "thorough"})
    assert run.verdict is JobState.SUCCEEDED, run.logs
    assert run.states["check"] is InstanceState.FAILED
    assert run.states["use"] is InstanceState.SUCCEEDED
    assert run.states["report"] is InstanceState.SKIPPED
