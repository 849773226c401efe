"""Figures of a project's own: what is stored is consistent, and what is refused changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fasttrack.db import Database
from fasttrack.domain.retention import Kind, Retention
from fasttrack.errors import InvalidInput
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack.workflow.retention import change_retention, read_retention, reset_retention

SETTINGS = Settings()


async def stored(database: Database) -> Any:
    async with database.transaction() as db:
        return await db.value("SELECT retention FROM project")


async def change(database: Database, project: ProjectId, **figures: str | int) -> Retention:
    changes = {Kind(name): value for name, value in figures.items()}
    return await database.run(lambda db: change_retention(db, project, SETTINGS, changes))


async def test_a_project_without_figures_follows_the_settings(database: Database, project: ProjectId) -> None:
    for settings, holds in (
        (SETTINGS, Retention()),
        (Settings(retention_logs_days="7", retention_jobs_days="forever"), Retention(logs=7, jobs=None)),
    ):
        async with database.transaction() as db:
            assert await read_retention(db, project, settings) == (holds, frozenset())


async def test_figures_are_added_to_those_there_are(database: Database, project: ProjectId) -> None:
    assert await change(database, project, logs=7) == Retention(logs=7)
    assert await change(database, project, jobs="forever", events="400") == Retention(logs=7, jobs=None, events=400)
    assert await stored(database) == {"logs": 7, "jobs": "forever", "events": 400}
    async with database.transaction() as db:
        assert await read_retention(db, project, SETTINGS) == (
            Retention(logs=7, jobs=None, events=400),
            {Kind.LOGS, Kind.JOBS, Kind.EVENTS},
        )


async def test_a_reset_leaves_the_settings_alone(database: Database, project: ProjectId) -> None:
    await change(database, project, logs=7)
    assert await database.run(lambda db: reset_retention(db, project, SETTINGS)) == Retention()
    assert await stored(database) is None


async def test_a_contradiction_is_refused_and_nothing_is_stored(database: Database, project: ProjectId) -> None:
    await change(database, project, logs=7)
    with pytest.raises(InvalidInput, match="keep jobs for at least 90 days, or events for 10 days at most"):
        await change(database, project, jobs=10, outputs=10)
    assert await stored(database) == {"logs": 7}
    assert await change(database, project, jobs=10, outputs=10, events=10) == Retention(10, 7, 10, 10)


@pytest.mark.parametrize("value", ["0", "-1", "36501", "1.5", "", "never", "1e3", "９", 0, True])
async def test_a_figure_that_is_none_is_refused(database: Database, project: ProjectId, value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"logs: .* must be a whole number of days from 1 to 36500, or forever"):
        await change(database, project, logs=value)
    assert await stored(database) is None


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="must be at least FASTTRACK_RETENTION_EVENTS_DAYS, which is 90"):
        Settings(retention_jobs_days=60)
    with pytest.raises(ValidationError, match="must be at least FASTTRACK_RETENTION_LOGS_DAYS, which is forever"):
        Settings(retention_logs_days="forever")
    with pytest.raises(ValidationError, match="whole number of days"):
        Settings(retention_outputs_days="0")
