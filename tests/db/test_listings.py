"""Each filter of a list has its index: proved by the plan, on tables that are large enough to need one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fasttrack.db import Database, Db
from fasttrack.db.audit import AuditFilter, list_audit_entries
from fasttrack.db.deleted import list_deleted
from fasttrack.db.jobs import list_jobs
from fasttrack.db.listings import BY_AGE_DOWN, BY_NAME, JobFilter, list_jobs_of, list_pipelines_of
from fasttrack.db.pipelines import list_pipelines
from fasttrack.db.templates import list_stored_templates
from fasttrack.db.windows import Window
from fasttrack.domain.catalog import TemplateScope
from fasttrack.domain.states import JobState
from fasttrack.ids import PipelineId, ProjectId, VersionId

PIPELINE, VERSION = PipelineId(UUID(int=1)), VersionId(UUID(int=2))
NOW = datetime(2026, 11, 24, tzinfo=UTC)
_FILL = [
    """INSERT INTO project (id, name) VALUES ('ffffffff-0000-0000-0000-000000000000', 'other')""",
    """INSERT INTO pipeline (id, project_id, name, created_by, latest_version)
       SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, $1, 'p' || n, 'ada', 1
       FROM generate_series(1, 500) AS n""",
    """INSERT INTO pipeline (id, project_id, name, created_by, latest_version)
       SELECT ('ffffffff-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, 'ffffffff-0000-0000-0000-000000000000',
              'p' || n, 'ada', 1 FROM generate_series(1, 10000) AS n""",
    # Every other pipeline has the tag `gpu`, and one in a hundred `rare`.
    """UPDATE pipeline SET tags = array_remove(ARRAY['gpu', CASE WHEN hashtext(name) % 50 = 0 THEN 'rare' END], NULL)
       WHERE hashtext(name) % 2 = 0""",
    """INSERT INTO pipeline_version (id, pipeline_id, number, author, message, hash, source, spec)
       SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(n + 1), 12, '0'))::uuid,
              ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, 1, 'ada', '', '', '', '{}'
       FROM generate_series(1, 500) AS n""",
    """INSERT INTO template (id, project_id, pipeline_id, version_id, scope, name, shared_by, revision)
       SELECT gen_random_uuid(), $1, v.pipeline_id, v.id, CASE WHEN v.pipeline_id::text < '00000000-0000-0000-0000-00000000000a'
              THEN 'everyone' ELSE 'project' END, 't', 'ada', nextval('revision') FROM pipeline_version v""",
    # One job in fifty is of the project that is asked about.
    """INSERT INTO job (id, project_id, pipeline_id, version_id, number, state, params, priority, submitted_by, seq, tasks,
                        open_tasks, failed_tasks, cancelled_tasks, created_at, next_reconcile_at)
       SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
              CASE WHEN n % 50 = 0 THEN $1::uuid ELSE 'ffffffff-0000-0000-0000-000000000000' END,
              ('00000000-0000-0000-0000-' || lpad(to_hex(n % 500 + 1), 12, '0'))::uuid,
              ('00000000-0000-0000-0000-' || lpad(to_hex(n % 500 + 2), 12, '0'))::uuid, n,
              CASE n % 400 WHEN 0 THEN 'RUNNING' WHEN 50 THEN 'FAILED' ELSE 'SUCCEEDED' END, '{}', 0, 'ada', 1, 1,
              CASE n % 400 WHEN 0 THEN 1 ELSE 0 END, 0, 0, now(), CASE n % 400 WHEN 0 THEN now() END
       FROM generate_series(1, 20000) AS n""",
]


@pytest.fixture
async def filled(database: Database, project: ProjectId) -> Database:
    """20,000 jobs of 500 pipelines, and 10,000 pipelines of another project."""
    async with database.transaction() as db:
        for statement in _FILL:
            await db.execute(statement, *([project] if "$1" in statement else []))
        for table in ("pipeline", "pipeline_version", "job", "template"):
            await db.execute(f"ANALYZE {table}")
    return database


class Explaining(Db):
    """Notes the plan of each statement instead of running it."""

    __slots__ = ("plans",)

    async def rows(self, sql: str, *args: object) -> list[Any]:
        self.plans = "\n".join(r[0] for r in await super().rows("EXPLAIN " + sql, *args))
        return []


FAILED, NOT_DONE = (JobState.FAILED,), (JobState.FAILED, JobState.CANCELLED, JobState.PAUSED)


@pytest.mark.parametrize(
    ("wanted", "indexes"),
    [
        (JobFilter(), ["ix_job_project"]),
        (JobFilter(states=FAILED), ["ix_job_over"]),
        (JobFilter(states=(JobState.RUNNING, JobState.PENDING)), ["ix_job_open"]),
        (JobFilter(states=NOT_DONE), ["ix_job_over", "ix_job_open"]),
        (JobFilter(pipeline=PIPELINE), ["ix_job_pipeline"]),
        (JobFilter(pipeline=PIPELINE, states=FAILED), ["ix_job_over_pipeline"]),
        (JobFilter(version=VERSION), ["ix_job_version"]),
        (JobFilter(created_before=NOW - timedelta(days=900)), ["Index Scan"]),  # by id, which is ordered by time
    ],
)
async def test_jobs_come_newest_first_from_an_index(
    filled: Database, project: ProjectId, wanted: JobFilter, indexes: list[str]
) -> None:
    async with filled.transaction() as db:
        explaining = Explaining(db._connection)
        await list_jobs_of(explaining, replace(wanted, project=project), Window(50))
        for index in indexes:
            assert index in explaining.plans
        assert "Seq Scan on job" not in explaining.plans
        if wanted.pipeline is None and wanted.version is None and len(wanted.states) < 2:
            assert "Sort" not in explaining.plans  # elsewhere it is of few rows, or of a page per state
        if wanted.version is None and wanted.created_before is None:
            await list_jobs(explaining, project, limit=50, pipeline=wanted.pipeline, states=wanted.states)
            for index in indexes:
                assert index in explaining.plans
            assert "Seq Scan on job" not in explaining.plans


async def test_jobs_in_several_states_come_in_one_order(filled: Database, project: ProjectId) -> None:
    wanted = JobFilter(project=project, states=(JobState.FAILED, JobState.RUNNING))
    async with filled.transaction() as db:
        page = await list_jobs_of(db, wanted, Window(60))
        rest = await list_jobs_of(db, wanted, Window(60, after=(page.items[-1].id,)))
        told = await list_jobs(db, project, limit=60, states=wanted.states)
        older = await list_jobs(db, project, limit=60, states=wanted.states, before=told[-1].id)
    found = [*page.items, *rest.items]
    # Of 20,000 jobs, 50 in 20,000 / 400 are of each state.
    assert (page.has_more, rest.has_more) == (True, False)
    assert [j.id for j in found] == sorted((j.id for j in found), reverse=True)
    assert [j.number for j in found] == sorted([*range(400, 20001, 400), *range(50, 20000, 400)], reverse=True)
    assert [j.id for j in (*told, *older)] == [j.id for j in found]


async def test_pipelines_are_found_by_an_index(filled: Database, project: ProjectId) -> None:
    async with filled.transaction() as db:
        await db.execute("SET LOCAL enable_seqscan = off")  # 500 pipelines are few enough to read them all
        explaining = Explaining(db._connection)
        await list_pipelines_of(explaining, project, Window(50), order=BY_NAME)
        assert "uq_pipeline_name" in explaining.plans
        await list_pipelines_of(explaining, project, Window(50), order=BY_AGE_DOWN)
        assert "ix_pipeline_project" in explaining.plans


async def test_pipelines_with_tags_are_found_by_tags_and_project_in_one_index(
    filled: Database, project: ProjectId
) -> None:
    async with filled.transaction() as db:
        explaining = Explaining(db._connection)
        await list_pipelines_of(explaining, project, Window(50), tags=["rare"])
        assert "ix_pipeline_tags" in explaining.plans
        assert "Seq Scan" not in explaining.plans
        await list_pipelines(explaining, project, limit=50, tags=["rare", "gpu"])
        assert "ix_pipeline_tags" in explaining.plans
        page = await list_pipelines_of(db, project, Window(500), tags=["rare", "gpu"])
    assert 0 < len(page.items) < 50
    assert {p.project_id for p in page.items} == {project}


async def test_templates_and_what_is_to_be_removed_are_found_by_an_index(filled: Database) -> None:
    async with filled.transaction() as db:
        await db.execute("SET LOCAL enable_seqscan = off")  # there are never many
        explaining = Explaining(db._connection)
        await list_stored_templates(explaining, None, Window(50), scope=TemplateScope.EVERYONE)
        assert "ix_template_everyone" in explaining.plans
        await list_deleted(explaining)
        assert "ix_pipeline_deleted" in explaining.plans


_AUDIT = """INSERT INTO audit_entry (id, at, account_id, account_name, origin, action, project_id, object_kind, object_id, outcome)
            SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, now(),
                   ('00000000-0000-0000-0000-' || lpad(to_hex(n % 300), 12, '0'))::uuid, 'ada', 'command line',
                   CASE WHEN n % 200 < 2 THEN 'secret.set' ELSE 'pipeline.run' END,
                   CASE n % 200 WHEN 0 THEN $1::uuid WHEN 1 THEN 'ffffffff-0000-0000-0000-000000000000'
                     ELSE ('ffffffff-0000-0000-0000-' || lpad(to_hex(n % 200), 12, '0'))::uuid END,
                   CASE WHEN n % 200 < 2 THEN 'secret' ELSE 'pipeline' END, 'o' || n % 500,
                   CASE WHEN n % 200 < 2 THEN 'refused' ELSE 'done' END
            FROM generate_series(1, 20000) AS n"""


async def test_each_filter_of_the_audit_log_has_its_index(database: Database, project: ProjectId) -> None:
    async with database.transaction() as db:
        await db.execute(_AUDIT, project)
        await db.execute("ANALYZE audit_entry")
        explaining = Explaining(db._connection)
        for wanted, of_project, of_all in (
            (AuditFilter(), "ix_audit_entry_project", "pk_audit_entry"),
            (AuditFilter(action="secret.set"), "ix_audit_entry_project_action", "ix_audit_entry_action"),
            (AuditFilter(object_kind="secret"), "ix_audit_entry_project_kind", "ix_audit_entry_kind"),
            (AuditFilter(outcome="refused"), "ix_audit_entry_project_refused", "ix_audit_entry_refused"),
            (AuditFilter(account=PIPELINE), "ix_audit_entry_account", "ix_audit_entry_account"),
            (AuditFilter(object_kind="pipeline", object_id="o7"), "ix_audit_entry_object", "ix_audit_entry_object"),
        ):
            for projects, index in (([project], of_project), (None, of_all), ([project, UUID(int=9)], of_project)):
                asked = replace(wanted, projects=projects and [ProjectId(p) for p in projects])
                await list_audit_entries(explaining, asked, Window(20))
                assert f" {index} " in explaining.plans, asked
                assert "Seq Scan" not in explaining.plans


async def test_the_log_of_several_projects_is_in_one_order(database: Database, project: ProjectId) -> None:
    other = ProjectId(UUID("ffffffff-0000-0000-0000-000000000000"))
    async with database.transaction() as db:
        await db.execute(_AUDIT, project)
        both = AuditFilter(projects=[project, other, project], action="secret.set")
        page = await list_audit_entries(db, both, Window(30))
        last = await list_audit_entries(db, both, Window(30, before=(page.items[-1].id,), is_from_end=True))
        assert page == await list_audit_entries(db, AuditFilter(action="secret.set"), Window(30))
        none = await list_audit_entries(db, AuditFilter(projects=[]), Window(30))
    assert [e.project_id for e in page.items[:3]] == [project, other, project]  # of n = 20,000, 19,801, 19,800
    assert [e.id for e in last.items] == [e.id for e in page.items[:-1]]
    assert none.items == []
