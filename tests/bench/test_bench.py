"""The bench works: a tiny run brings up its own servers, does exactly what it says, and tells it in the agreed form."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from bench.calls import CALLS
from bench.measures import TARGETS, Target, percentile
from bench.report import BEGIN, END

ROOT = Path(__file__).parents[2]
TASKS = 5


async def test_a_tiny_run_does_every_task_once_and_tells_so(tmp_path: Path) -> None:
    told, page = tmp_path / "told.json", tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "W1", "W2", "--tasks", str(TASKS), "--repeat", "1"),
        *("--json", str(told), "--markdown", str(page)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, progress = await process.communicate()
    assert process.returncode == 0, progress.decode()

    made = json.loads(told.read_text())
    assert (made["format"], made["ok"]) == (1, True)
    assert list(made["workloads"]) == ["W1", "W2"]
    for workload in made["workloads"].values():
        assert workload["fault"] == ""
        assert workload["counts"] == {
            "jobs": 1,
            "succeeded": 1,
            "tasks": TASKS,
            "tasks_succeeded": TASKS,
            "attempts": TASKS,
        }
        assert len(workload["rounds"]) == len(workload["floors"]) == 1
        assert workload["figures"]["passes"] > 0
        assert workload["figures"]["commits_per_task"] > 0
    assert [(row["workload"], row["measure"]) for row in made["rows"]] == [
        ("W1", "ms_per_hop"),
        ("W1", "commits_per_task"),
        ("W2", "tasks_per_s"),
    ]
    assert all(row["value"] > 0 for row in made["rows"])

    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "| W1 | time per hop, ms |" in text
    assert "old" not in text


@pytest.mark.timeout(200)  # five api processes, one after the other
async def test_a_tiny_run_over_http_asks_everything_and_tells_every_subscriber(tmp_path: Path) -> None:
    """What would be a wrong outcome (an answer with errors, an event that somebody did not get) fails the run."""
    told = tmp_path / "told.json"
    names = ["W6-http", "W6-sse", "W6-sockets", "W7-http", "W8-window"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", *names, "--tasks", str(TASKS), "--rows", "2000", "--json", str(told)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, progress = await process.communicate()
    assert process.returncode == 0, progress.decode()
    made = json.loads(told.read_text())
    assert list(made["workloads"]) == names
    figures = {name: workload["figures"] for name, workload in made["workloads"].items()}
    assert all(len(workload["rounds"]) == 1 for workload in made["workloads"].values())
    assert figures["W7-http"].keys() == made["workloads"]["W7-http"]["floor"].keys() == CALLS.keys()
    assert figures["W8-window"]["changes_per_s"] > 0
    judged = {(row["workload"], row["measure"]) for row in made["rows"]}
    assert {(t.workload, t.measure) for t in TARGETS if t.workload in names and t.measure != "*"} <= judged
    assert {("W7-http", name) for name in CALLS} <= judged


@pytest.mark.timeout(120)  # two schedulers and two clusters, one pair after the other
async def test_a_tiny_run_on_clusters_of_both_generations_counts_every_request(tmp_path: Path) -> None:
    """A session that was made twice, or a task that needed a second attempt, fails the run."""
    told = tmp_path / "told.json"
    names = ["B1", "B2", "B3", "B1-23.09"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", *names, "--tasks", str(TASKS), "--repeat", "1", "--json", str(told)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, progress = await process.communicate()
    assert process.returncode == 0, progress.decode()
    made = json.loads(told.read_text())
    assert list(made["workloads"]) == names
    figures = {name: workload["figures"] for name, workload in made["workloads"].items()}
    assert {(t.workload, t.measure) for t in TARGETS if t.workload in names} == {
        (row["workload"], row["measure"]) for row in made["rows"]
    }
    creates = {"B1": "POST /v2/sessions/enqueue", "B1-23.09": "POST /session"}
    for name, create in creates.items():
        assert figures[name]["requests_per_task"] > 1
        assert f"{TASKS:6} {create}" in progress.decode()
    assert figures["B3"]["listings_900s"] > 0
    assert figures["B3"]["about_one_900s"] == 0


def test_a_target_is_met_by_its_limit_or_by_its_ratio_to_the_floor() -> None:
    quick = Target("W1", "ms_per_hop", 3.5, 2.0)
    assert (quick.is_met(3.5), quick.is_met(3.6)) == (True, False)
    assert (quick.is_ratio_met(3.6, 1.8), quick.is_ratio_met(3.7, 1.8)) == (True, False)
    assert not quick.is_ratio_met(3.6, None)
    much = Target("W2", "tasks_per_s", 1800, 0.25)
    assert (much.is_met(1800), much.is_met(1799)) == (True, False)
    assert (much.is_ratio_met(1000, 4000), much.is_ratio_met(999, 4000)) == (True, False)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile(list(range(1, 101)), 95) == 95
    assert percentile([7.0], 99) == 7.0
