"""`python -m tests.chaos`: real processes, killed and cut off for two minutes, and what came of it. Exit 1 on a violation."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict

from tests.chaos.run import Options, run


def main() -> int:
    """Run once, print a table and one line of JSON."""
    defaults = Options()
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=defaults.seconds, help="how long things go wrong")
    parser.add_argument("--jobs", type=int, default=defaults.jobs)
    parser.add_argument("--schedulers", type=int, default=defaults.schedulers)
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of the jobs and the faults")
    parser.add_argument(
        "--servers", action=argparse.BooleanOptionalAction, default=True, help="attack PostgreSQL and Valkey too"
    )
    options = Options(**vars(parser.parse_args()))
    report = asyncio.run(run(options))
    rows = {**report.figures, "violations": len(report.violations)}
    sys.stdout.writelines(f"{name:<36}{value:>8}\n" for name, value in rows.items())
    sys.stdout.writelines(f"VIOLATION  {text}\n" for text in report.violations)
    if report.kept:
        sys.stdout.write(f"everything is kept in {report.kept}\n")
    sys.stdout.write(json.dumps({"options": asdict(options), **asdict(report)}) + "\n")
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
