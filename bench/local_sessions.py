"""How many short sessions per second the local backend runs, with and without folders at /pipeline.

    python -m bench.local_sessions [--sessions 300] [--at-once 8] [--rounds 3] [--json]

Each round creates that many sessions of the command `true` and waits for their ends by events. The best of the rounds
counts, and beside it the machine's own speed: the same number of bare shells, started and waited for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from fasttrack.domain.pipeline import ClusterMode
from fasttrack.ids import JobId, PipelineId, new_id
from fasttrack.settings import Settings
from fasttrack_scheduler.backends.base import SessionSpec, Workspace
from fasttrack_scheduler.backends.local.backend import LocalBackend


def sessions(count: int) -> list[SessionSpec]:
    pipeline, job = PipelineId(new_id()), JobId(new_id())
    return [
        SessionSpec(
            name=f"bench-{job.hex}-{number}",
            command="true",
            image="none",
            resource_group="default",
            project="default",
            cluster_mode=ClusterMode.SINGLE_NODE,
            cluster_size=1,
            slots={"cpu": Decimal(1)},
            shmem=0,
            envs={},
            workspace=Workspace(pipeline, job, f"task {number}"),
        )
        for number in range(count)
    ]


async def run(sandbox: str, *, count: int, at_once: int) -> tuple[float, str]:
    """Sessions per second of one round, and how they were isolated."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(state_dir=Path(folder), local_sandbox=sandbox, local_slots={"cpu": str(at_once)})
        backend = LocalBackend(settings)
        await backend.start()
        events = backend.events()
        specs = sessions(count)
        left = {spec.name for spec in specs}
        began = time.perf_counter()
        creating = asyncio.gather(*(backend.create(spec) for spec in specs))
        isolation = ""
        while left:
            for seen in await backend.observe([await anext(events)]):
                if seen.status.is_terminal:
                    assert seen.exit_code == 0, seen
                    left.discard(seen.name)
                    isolation = seen.facts["isolation"]
        took = time.perf_counter() - began
        await creating
        await backend.close()
        return count / took, isolation


def bare_shells(count: int) -> float:
    """Shells per second, one after the other."""
    began = time.perf_counter()
    for _ in range(count):
        os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", "true"], {}), 0)
    return count / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=300)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [{"what": "bare shells", "isolation": "none", "per_second": round(bare_shells(options.sessions), 1)}]
    for what, sandbox in (("sessions", "never"), ("sessions in a sandbox", "auto")):
        rounds = [
            asyncio.run(run(sandbox, count=options.sessions, at_once=options.at_once)) for _ in range(options.rounds)
        ]
        best, isolation = max(rounds)
        rows.append({"what": what, "isolation": isolation.partition(":")[0], "per_second": round(best, 1)})
    if options.json:
        json.dump(
            {"sessions": options.sessions, "at_once": options.at_once, "cpus": os.cpu_count(), "rows": rows}, sys.stdout
        )
        print()
        return
    for row in rows:
        print(f"{row['what']:<24}{row['isolation']:<14}{row['per_second']:>8} /s")


if __name__ == "__main__":
    main()
