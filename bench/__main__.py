"""The command line of the bench. Exit code 1 only when a workload did not do exactly what it should have done."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from fasttrack.db.projects import ensure_project
from fasttrack.doorbell import Doorbell
from fasttrack_cli.running import run_async

from . import report
from .ground import Ground, connected, ground, machine
from .hosted import count
from .manager import GENERATIONS, cluster
from .measures import measure
from .stage import Counts, Stage, WrongOutcome
from .workloads import WORKLOADS, Sizes, Workload


def main() -> None:
    options = _options()
    chosen = [w for w in WORKLOADS if not options.workloads or w.name in options.workloads]
    chosen = [w for w in chosen if options.backend in (None, w.backend)]
    sizes = replace(Sizes(), rows=options.rows)
    if options.tasks:
        sizes = sizes.shrunk(options.tasks)
    where = machine()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # end in order: servers too
    results = run_async(_run(chosen, sizes, options, where))
    print(report.text(results, where))
    if options.json:
        asked = {"repeat": options.repeat, "tasks": options.tasks, "rows": options.rows}
        report.write_json(options.json, report.document(results, where, asked))
    if options.markdown:
        report.write_markdown(options.markdown, results, where)
    sys.exit(1 if any(result.fault for result in results) else 0)


def _options() -> argparse.Namespace:
    names = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m bench", description="How fast FastTrack is, beside the floor.")
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"{' '.join(names)}; all, if none is given")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the tables between the marks of this page")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="rounds; the median counts (3)")
    parser.add_argument(
        "--backend", choices=["simulated", "local", *GENERATIONS], help="only the workloads of this session backend"
    )
    parser.add_argument("--profile", type=Path, metavar="FILE", help="where the scheduler's time goes, per backend")
    parser.add_argument("--rows", type=int, default=200_000, metavar="N", help="W7's stored task instances (200,000)")
    parser.add_argument("--tasks", type=int, metavar="N", help="shrink every workload to about N tasks, for a try")
    parser.add_argument("--within", type=float, default=120, metavar="S", help="seconds that a round may take (120)")
    options = parser.parse_args()
    unknown = set(options.workloads) - set(names)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return options


async def _run(
    chosen: Sequence[Workload], sizes: Sizes, options: argparse.Namespace, where: dict[str, object]
) -> list[report.Result]:
    results = []
    async with ground(options.profile) as place:
        where |= place.versions
        count(place.own_board)
        for backend in dict.fromkeys(w.backend for w in chosen):
            async with _stage(place, backend, options.within) as stage:
                for workload in (w for w in chosen if w.backend == backend):
                    result = await _rounds(stage, workload, sizes, options.repeat)
                    results.append(result)
    return results


@asynccontextmanager
async def _stage(place: Ground, backend: str, within: float) -> AsyncIterator[Stage]:
    database, doorbell = place.connect(), Doorbell(place.addresses.redis_url)
    try:
        async with AsyncExitStack() as opened:
            manager = None
            if backend in GENERATIONS:
                manager = await opened.enter_async_context(cluster(backend, place.state_dir))
            watch = await opened.enter_async_context(connected(place.dsn))
            settings = manager.settings if manager is not None else {}
            hosted = await opened.enter_async_context(place.scheduling(backend, **settings))
            project = await database.run(lambda db: ensure_project(db, "default"))
            pid = watch.get_server_pid()
            yield Stage(place, database, project, doorbell, watch, pid, within, cluster=manager)
            if complaints := place.complaints(hosted):
                _say(f"the scheduler said:\n{complaints}")
    finally:
        await doorbell.close()
        await database.close()


async def _rounds(stage: Stage, workload: Workload, sizes: Sizes, repeat: int) -> report.Result:
    """The floor, then the workload, as often as asked: the machine's moods meet both."""
    result = report.Result(workload.name, workload.what, workload.backend)
    stage.counts = result.counts = Counts()
    repeat = repeat if workload.is_repeated else 1
    for number in range(1, repeat + 1):
        began = time.perf_counter()
        try:
            floor = await workload.floor(stage.ground, sizes) if workload.floor else {}
            figures = await workload.run(stage, sizes)
        except (WrongOutcome, TimeoutError) as error:
            result.fault = str(error) or type(error).__name__
            _say(f"{workload.name} failed: {result.fault}")
            break
        result.rounds.append(figures)
        if floor:
            result.floors.append(floor)
        _say(f"{workload.name} {number}/{repeat}  {time.perf_counter() - began:.1f} s  {_gist(figures)}")
        await asyncio.sleep(0.2)
    return result


_GIST = (
    *("created_p95_ms", "seen_max_ms", "requests_900s"),
    *("ms_per_hop", "tasks_per_s", "start_p50_ms", "told_p50_ms", "memory_mb"),
)


def _gist(figures: dict[str, float]) -> str:
    first = [n for n in _GIST if n in figures]
    return "  ".join(f"{measure(n).label} {figures[n]:,.2f} {measure(n).unit}" for n in first[:2])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
