"""What keeps the jobs of a pipeline from running: the state of its folder, as the scheduler of its site finds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..domain.catalog import FolderProblem
from ..ids import JobId, PipelineId
from .engine import Db

_LOOKED_AT = 20  # newest jobs of a pipeline among which one that had a session is looked for


@dataclass(frozen=True, slots=True)
class SurveyedPipeline:
    """A live pipeline whose folder should be there, or that has a problem."""

    id: PipelineId
    job: JobId | None
    """The newest that had a session, and so the folder; `None`: none has, and nothing can be lost."""
    problem: str | None
    """As it is stored."""


async def list_surveyed(db: Db, site: str, *, after: PipelineId | None, limit: int) -> list[SurveyedPipeline]:
    """At most so many by id, of those whose newest session was on the site, or that had none and still have a problem.

    Jobs of personal keys do not count: theirs is the folder of a person, which others of the project do without. Nor do
    those whose files were given up with an older folder.
    """
    rows = await db.rows(
        f"""SELECT p.id, last.id AS job, p.problem
            FROM pipeline p LEFT JOIN LATERAL (
              SELECT j.id, j.site
              FROM (SELECT id, number, site, credential_id FROM job
                    WHERE pipeline_id = p.id AND number > p.lost_jobs ORDER BY number DESC LIMIT {_LOOKED_AT}) j
                   LEFT JOIN credential c ON c.id = j.credential_id
              WHERE j.site IS NOT NULL AND c.account_id IS NULL AND EXISTS (
                SELECT FROM task_instance i JOIN attempt t ON t.instance_id = i.id
                WHERE i.job_id = j.id AND t.session_id IS NOT NULL)
              ORDER BY j.number DESC LIMIT 1) last ON true
            WHERE ($2::uuid IS NULL OR p.id > $2) AND p.archived_at IS NULL AND p.deleted_at IS NULL
              AND (last.site = $1 OR (last.id IS NULL AND p.problem IS NOT NULL))
            ORDER BY p.id LIMIT $3""",
        site,
        after,
        limit,
    )
    return [SurveyedPipeline(**row) for row in rows]


async def write_problems(
    db: Db, found: Sequence[SurveyedPipeline], problems: Mapping[PipelineId, FolderProblem | None]
) -> list[PipelineId]:
    """Note what was found about these, where it is news and nobody was faster; those that changed.

    One statement, repeatable, by any number of schedulers at once. What `problems` leaves out stays as it is.
    """
    told = [(it, problems[it.id]) for it in found if it.id in problems]
    news = [(it, problem) for it, problem in told if it.problem != (problem and problem.sentence)]
    if not news:
        return []
    rows = await db.rows(
        """WITH told AS (SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bool[])
                           AS t(id, before, problem, is_folder_gone)),
             held AS (SELECT id FROM pipeline WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE)
           UPDATE pipeline p SET problem = t.problem, is_folder_gone = t.is_folder_gone
           FROM told t JOIN held USING (id) WHERE p.id = t.id AND p.problem IS NOT DISTINCT FROM t.before RETURNING p.id""",
        [it.id for it, _ in news],
        [it.problem for it, _ in news],
        [problem and problem.sentence for _, problem in news],
        [problem is not None and problem.is_gone for _, problem in news],
    )
    return [PipelineId(row["id"]) for row in rows]


async def find_problem(db: Db, pipeline: PipelineId) -> FolderProblem | None:
    """What keeps its jobs from running now; `None`: nothing."""
    row = await db.row("SELECT problem, is_folder_gone FROM pipeline WHERE id = $1 AND deleted_at IS NULL", pipeline)
    return FolderProblem(row["problem"], row["is_folder_gone"]) if row and row["problem"] is not None else None


async def give_up_files(db: Db, pipeline: PipelineId) -> None:
    """Have the pipeline begin anew with an empty folder: what its jobs so far have written is given up. Needs its row held."""
    await db.execute(
        "UPDATE pipeline SET problem = NULL, is_folder_gone = false, lost_jobs = latest_job WHERE id = $1", pipeline
    )
