"""The templates that come with FastTrack are files without a problem, and run to their end."""

from __future__ import annotations

from uuid import UUID

from fasttrack import spec
from fasttrack.domain.states import JobState
from fasttrack.workflow.shipped import shipped
from tests.engine import Engine


def test_they_have_ids_that_stay_and_nothing_is_wrong_with_them() -> None:
    assert [(s.id, s.name) for s in shipped()] == [
        (UUID(int=1), "hello"),
        (UUID(int=2), "train-and-evaluate"),
        (UUID(int=3), "fan-out-and-in"),
        (UUID(int=4), "retry-and-cleanup"),
    ]
    for template in shipped():
        assert spec.load_pipeline(template.text)[2] == (), template.name
        assert template.description


async def test_each_of_them_runs_to_its_end(engine: Engine) -> None:
    jobs = [await engine.submit(template.text) for template in shipped()]
    async with engine.scheduling():
        assert [await engine.ended(job) for job in jobs] == [JobState.SUCCEEDED] * 4
