"""What must hold of the stored history whatever was killed, as sentences: none is told when all is well."""

from __future__ import annotations

import os
from pathlib import Path

from fasttrack.db import Db
from fasttrack.db.feed import PLACED

_CLAIMS = {
    # I7
    "a job's history has a gap, or its counter does not fit it": """
        SELECT j.id::text FROM job j LEFT JOIN event e ON e.job_id = j.id
        GROUP BY j.id HAVING count(e.seq) <> j.seq OR max(e.seq) <> j.seq OR min(e.seq) <> 1""",
    # I8
    "an event has no place in the feed": f"""
        SELECT e.job_id || ' ' || e.seq FROM event e LEFT JOIN ({PLACED}) AS p ON p.job_id = e.job_id AND p.seq = e.seq
        WHERE p.pos IS NULL""",
    "places of the feed are missing or given twice": f"""
        SELECT 'head ' || h.pos || ', ' || count(e.pos) || ' places from ' || min(e.pos) || ' to ' || max(e.pos)
        FROM feed_head h, ({PLACED}) AS e GROUP BY h.pos
        HAVING NOT (count(DISTINCT e.pos) = count(*) AND min(e.pos) = 1 AND max(e.pos) = count(*) AND h.pos = count(*))""",
    "the feed does not keep a job's order": f"""
        SELECT job_id || ' ' || seq FROM (SELECT job_id, seq, pos, lag(pos) OVER (PARTITION BY job_id ORDER BY seq) AS before
                                          FROM ({PLACED}) AS e) AS e WHERE pos < before""",
    # I6
    "a task's event does not begin where the one before it ended": """
        SELECT job_id || ' ' || seq || ': ' || "from" || ' after ' || before FROM (
            SELECT job_id, seq, payload->>'from' AS "from",
                   lag(payload->>'to') OVER (PARTITION BY job_id, task ORDER BY seq) AS before
            FROM event WHERE payload ? 'to') AS e WHERE before <> "from" """,
    "a task's last event does not tell its state": """
        SELECT job_id || ' ' || name || ': ' || state || ', told ' || told FROM task_instance i CROSS JOIN LATERAL (
            SELECT payload->>'to' AS told FROM event e
            WHERE e.job_id = i.job_id AND e.task = i.index AND payload ? 'to' ORDER BY seq DESC LIMIT 1) AS last
        WHERE state <> told""",
    # I13
    "a task was started after its job had been told to stop": """
        SELECT s.job_id || ' ' || s.seq FROM event c JOIN event s ON s.job_id = c.job_id AND s.seq > c.seq
        WHERE c.kind = 'job.cancel_requested' AND s.kind = 'task.starting'""",
    # I2
    "attempts of a task are missing, or one is open that is not the newest": """
        SELECT i.job_id || ' ' || i.name FROM task_instance i LEFT JOIN attempt a ON a.instance_id = i.id
        GROUP BY i.id, i.job_id, i.name, i.attempt
        HAVING count(a.number) <> i.attempt OR count(*) FILTER (WHERE a.ended_at IS NULL AND a.number < i.attempt) > 0""",
    # I4
    "a job that is not over is never due again": """
        SELECT id::text FROM job WHERE (state IN ('SUCCEEDED', 'FAILED', 'CANCELLED')) <> (next_reconcile_at IS NULL)
            OR next_reconcile_at > now() + interval '61 seconds'""",
    # I16
    "a task was charged for what was not its fault": """
        SELECT job_id || ' ' || name FROM task_instance WHERE infrastructure_failures > 0 OR failure = 'infrastructure'""",
}


async def violations(db: Db) -> list[str]:
    """What does not hold of the jobs, tasks, attempts and events that are stored."""
    found = []
    for claim, sql in _CLAIMS.items():
        found += [f"{claim}: {row[0]}" for row in await db.rows(sql)]
    return found


async def are_all_events_placed(db: Db) -> bool:
    """Whether the feed has everything that is committed."""
    return not await db.value("SELECT count(*) FROM unplaced_range")


def processes_of_tasks(state_dir: Path) -> list[int]:
    """Every process of a session below this state directory, by its environment: none escapes by changing its parent."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(state_dir).encode() in words and (b"BACKENDAI_SESSION_ID" in words or b"/local/sessions/" in words):
            found.append(int(entry.name))
    return found


def sessions_without_an_end(state_dir: Path) -> list[str]:
    """Sessions of the local backend that wait or run, by their files."""
    return sorted(
        d.name
        for d in (state_dir / "local" / "sessions").glob("[!.]*")
        if (d / "spec.json").exists() and not (d / "exit").exists()
    )
