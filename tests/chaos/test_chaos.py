"""A short run of `python -m tests.chaos`: three scheduler processes, and everything under them, killed again and again."""

from __future__ import annotations

import pytest

from tests.chaos.run import Options, run


@pytest.mark.timeout(90)
async def test_jobs_end_as_they_should_while_schedulers_database_and_valkey_are_killed() -> None:
    report = await run(Options(seconds=15, jobs=20))
    assert report.violations == [], report
    assert report.figures["jobs"] == 20
    assert report.figures["schedulers killed"] >= 3
    assert report.figures["schedulers paused"] >= 1
    assert report.figures["connections cut"] >= 3
    assert report.figures["PostgreSQL crashes"] == 2
    assert report.figures["Valkey killed"] == 2
