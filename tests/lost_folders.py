"""Pipelines whose folder is not on the cluster, as a scheduler would have found them."""

from __future__ import annotations

from fasttrack.db import Database
from fasttrack.db.problems import SurveyedPipeline, write_problems
from fasttrack.domain.catalog import FolderProblem
from fasttrack.ids import PipelineId

GONE = FolderProblem("its folder ft-1 was deleted on the cluster", is_gone=True)
TRASHED = FolderProblem("its folder ft-1 is in the trash of the cluster; restore it there", is_gone=False)


async def lose_folder(database: Database, name: str = "demo", problem: FolderProblem = GONE) -> None:
    """Note the problem of the live pipeline of that name."""
    async with database.transaction() as db:
        row = await db.row("SELECT id, problem FROM pipeline WHERE name = $1 AND archived_at IS NULL", name)
        assert row is not None
        pipeline = PipelineId(row["id"])
        assert await write_problems(db, [SurveyedPipeline(pipeline, None, row["problem"])], {pipeline: problem}) == [
            pipeline
        ]
