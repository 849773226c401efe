"""Retention of a project over REST."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from fasttrack.db import Database
from fasttrack.ids import ProjectId
from tests.api.rest.conftest import contents, problem_of
from tests.people import entries

URL = "/api/v1/retention"
BY_SETTINGS = {
    "events": {"days": 90, "source": "settings"},
    "logs": {"days": 30, "source": "settings"},
    "outputs": {"days": 30, "source": "settings"},
    "jobs": {"days": 365, "source": "settings"},
}


async def test_a_projects_own_figures_hold_over_the_settings_until_they_are_reset(
    client: httpx.AsyncClient, project: ProjectId, foreign: ProjectId, database: Database
) -> None:
    assert (await client.get(URL)).json() == BY_SETTINGS
    changed = await client.patch(URL, json={"logs": 7, "outputs": None})
    assert changed.json() == BY_SETTINGS | {"logs": {"days": 7, "source": "project"}}
    changed = await client.patch(URL, json={"outputs": "forever", "jobs": "forever"})
    kept = {"days": None, "source": "project"}
    own = BY_SETTINGS | {"logs": {"days": 7, "source": "project"}, "outputs": kept, "jobs": kept}
    assert changed.json() == own
    assert (await client.get(URL)).json() == own
    assert (await client.get(URL, params={"project": "foreign"})).json() == BY_SETTINGS
    seen = len(await entries(database))
    for _ in range(2):
        assert (await client.delete(URL)).status_code == 204
    assert (await client.get(URL)).json() == BY_SETTINGS
    [entry] = (await entries(database))[seen:]
    assert (entry["action"], entry["project_id"]) == ("retention.change", project)
    assert (entry["before"], entry["after"]) == ({"logs": 7, "outputs": "forever", "jobs": "forever"}, {})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "nothing to change: name at least one of events, logs, outputs, jobs"),
        ({"logs": 0}, "logs: '0' must be a whole number of days from 1 to 36500, or forever. Nothing was changed."),
        ({"logs": "never"}, "logs: 'never' must be a whole number of days"),
        ({"jobs": 1}, "outlive"),
        ({"logs": 1.5}, ""),
        ({"logs": "9" * 41}, ""),
        ({"tasks": 7}, ""),
    ],
)
async def test_what_cannot_hold_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, project: ProjectId, database: Database, body: dict[str, Any], says: str
) -> None:
    before = await contents(database)
    assert says in problem_of(await client.patch(URL, json=body), 422, "INVALID_INPUT")["detail"]
    assert await contents(database) == before
    assert await entries(database) == []
