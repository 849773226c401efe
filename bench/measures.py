"""What is measured, and what it should be.

Machines differ and drift, so what counts is the ratio to the floor of the same run; the absolute targets are those of a
two-core machine, and are shown beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Figures = dict[str, float]
"""Values of one round, by the names below."""


@dataclass(frozen=True)
class Measure:
    """How a figure is called and shown."""

    label: str
    unit: str
    digits: int = 2
    is_more_better: bool = False


MEASURES = {
    "tasks_per_s": Measure("throughput", "tasks/s", 0, is_more_better=True),
    "ms_per_hop": Measure("time per hop", "ms"),
    "hop_p50_ms": Measure("from a task to its dependant, p50", "ms"),
    "hop_p95_ms": Measure("from a task to its dependant, p95", "ms"),
    "start_p50_ms": Measure("trigger to first session started, p50", "ms"),
    "start_p95_ms": Measure("trigger to first session started, p95", "ms"),
    "told_p50_ms": Measure("commit to subscriber, p50", "ms"),
    "told_p99_ms": Measure("commit to subscriber, p99", "ms"),
    "cpu_ms_per_task": Measure("CPU per task, all servers", "ms"),
    "scheduler_cpu_ms_per_task": Measure("CPU per task, scheduler", "ms"),
    "postgres_cpu_ms_per_task": Measure("CPU per task, PostgreSQL", "ms"),
    "valkey_cpu_ms_per_task": Measure("CPU per task, Valkey", "ms"),
    "statements_per_task": Measure("statements per task", "", 2),
    "commits_per_task": Measure("commits per task", "", 2),
    "bytes_per_task": Measure("database bytes per task, with indexes", "B", 0),
    "wal_per_task": Measure("WAL bytes per task", "B", 0),
    "peak_mb": Measure("memory at the peak, scheduler and Valkey", "MB", 0),
    "longest_pass_ms": Measure("longest pass", "ms", 0),
    "passes": Measure("passes", "", 0),
    "submit_s": Measure("submit", "s"),
    "publish_s": Measure("publish", "s"),
    "seconds": Measure("whole run", "s", 3),
    "memory_mb": Measure("memory, scheduler and Valkey", "MB", 0),
    "postgres_memory_mb": Measure("memory, PostgreSQL", "MB", 0),
    "followers_mb": Measure("memory of the api process for all who follow", "MB", 0),
    "cpu_us_per_delivery": Measure("CPU of the api process per delivery", "µs", 0),
    "first_event_all_told_ms": Measure("the first event, to the last of them", "ms", 0),
    "changes_per_s": Measure("changes of state", "/s", 0, is_more_better=True),
    "messages_per_s": Measure("messages to the window", "/s", 1, is_more_better=True),
    "api_cpu_percent": Measure("CPU of one core, api process", "%", 0),
    "created_p50_ms": Measure("from ready to created, p50", "ms", 0),
    "created_p95_ms": Measure("from ready to created, p95", "ms", 0),
    "created_max_ms": Measure("from ready to created, the last", "ms", 0),
    "requests_per_task": Measure("requests to the manager per session", ""),
    "seen_p50_ms": Measure("from its end on the cluster to the commit, p50", "ms", 0),
    "seen_p95_ms": Measure("from its end on the cluster to the commit, p95", "ms", 0),
    "seen_max_ms": Measure("from its end on the cluster to the commit, the longest", "ms", 0),
    "requests_900s": Measure("requests to the manager in 900 s", "", 0),
    "share_of_limit": Measure("of the limit of requests", "%", 1),
    "listings_900s": Measure("lists of sessions among them", "", 0),
    "about_one_900s": Measure("about one session alone among them", "", 0),
    "cpu_percent": Measure("CPU of one core, all servers", "%"),
    "scheduler_cpu_percent": Measure("CPU of one core, scheduler", "%"),
}


def measure(name: str) -> Measure:
    """The measure of this name; one that is not in the table is a time in ms that says itself what it is of."""
    return MEASURES.get(name) or Measure(name, "ms")


@dataclass(frozen=True)
class Target:
    """What a figure should be: at most `limit` (at least, where more is better), or `ratio` times its floor."""

    workload: str
    measure: str
    limit: float
    ratio: float | None = None
    slack: float = 0.0
    """Added to what the ratio allows: times below it are noise."""

    def is_met(self, value: float) -> bool:
        return self._holds(value, self.limit)

    def is_ratio_met(self, value: float, floor: float | None) -> bool:
        return floor is not None and self.ratio is not None and self._holds(value, self.ratio * floor + self.slack)

    def _holds(self, value: float, bound: float) -> bool:
        return value >= bound if measure(self.measure).is_more_better else value <= bound


# A ratio only where one was set as a target; where none is, the ratio is shown and judges nothing.
TARGETS = (
    Target("idle", "memory_mb", 120),
    Target("idle", "cpu_percent", 1),
    Target("W1", "ms_per_hop", 3.5, 2.2),
    Target("W1", "commits_per_task", 2),
    Target("W2", "tasks_per_s", 1800),
    Target("W3", "tasks_per_s", 2000, 0.25),
    Target("W3", "cpu_ms_per_task", 0.55, 4.5),
    Target("W3", "bytes_per_task", 1000),
    Target("W3", "commits_per_task", 0.2),
    Target("W4", "tasks_per_s", 1000),
    Target("W4", "peak_mb", 300),
    Target("W5", "start_p50_ms", 6),
    Target("W5", "start_p95_ms", 12, 1.3),
    Target("W6", "told_p50_ms", 5),
    Target("W6", "told_p99_ms", 20),
    Target("W6-http", "told_p50_ms", 5),
    Target("W6-http", "told_p99_ms", 20),
    Target("W6-sse", "told_p99_ms", 150),
    Target("W6-sockets", "told_p99_ms", 1000),
    Target("W6-sockets", "followers_mb", 100),
    Target("W7", "*", 50, 1.5, slack=2),  # here the floor is the same question over 10,000 instances: pages stay flat
    Target("W7-http", "*", 50, 1.5, slack=4),  # likewise, with a client and a server between
    Target("W8", "submit_s", 3),
    Target("W8", "longest_pass_ms", 100),
    Target("W8", "tasks_per_s", 1000),
    Target("W8", "peak_mb", 500),
    Target("W8-window", "changes_per_s", 198),
    Target("W8-window", "messages_per_s", 4),
    Target("W9", "50 jobs with 6 fields, CPU", 10),
    Target("W9", "1,000 instances in ten pages, CPU", 150),
    Target("W9", "packed graph of 1,000 tasks, CPU", 10),
    Target("W9", "layout of 10,000 tasks, CPU", 100),
    Target("W9", "dearest refusal of the zoo, CPU", 100),
    *(
        Target(f"{name}{release}", of, limit)
        for release in ("", "-23.09")
        for name, of, limit in (
            ("B1", "created_p95_ms", 5000),
            ("B1", "requests_per_task", 4),
            ("B2", "seen_p95_ms", 4000),
            ("B2", "seen_max_ms", 4000),
            ("B3", "requests_900s", 18_000),
            ("B3", "about_one_900s", 500),
        )
    ),
    Target("W1-local", "ms_per_hop", 14),
    Target("W3-local", "tasks_per_s", 150),
)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    return sorted(values)[max(math.ceil(len(values) * percent / 100) - 1, 0)]
