"""A pipeline on four kinds of accelerator, through a manager: a stand-in, FastTrack beside it, one job, its result.

python infra/backendai-standin/demo.py [--generation 23.09]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

HERE = Path(__file__).parent
KEYS = {"access": "AKIADEMO", "secret": "of the demonstration"}
FASTTRACK = [sys.executable, "-m", "fasttrack_cli"]


def main() -> int:
    """Run it. The exit code is the job's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--generation", choices=["23.09", "26"], default="26", help="whose habits (default: 26)")
    parser.add_argument("--pipeline", type=Path, default=HERE / "four-accelerators.yaml", help="another pipeline")
    parser.add_argument("--shows", default="table", metavar="TASK", help="whose output is printed (default: table)")
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="fasttrack-demo-"))
    with ExitStack() as all_of_it:
        all_of_it.callback(shutil.rmtree, root, ignore_errors=True)
        manager = all_of_it.enter_context(_manager(given.generation, root / "cluster"))
        environ = os.environ | {
            "FASTTRACK_STATE_DIR": str(root / "state"),
            "FASTTRACK_BACKEND": "backend_ai",
            "FASTTRACK_BACKEND_AI_ENDPOINT": manager,
            "FASTTRACK_BACKEND_AI_ACCESS_KEY": KEYS["access"],
            "FASTTRACK_BACKEND_AI_SECRET_KEY": KEYS["secret"],
        }
        log = root / "up.log"
        all_of_it.enter_context(_process([*FASTTRACK, "up", "--no-api"], environ, log))
        job = [*FASTTRACK, "run", str(given.pipeline), "--wait"]
        code = subprocess.run(job, env=environ, check=False).returncode
        found = subprocess.run([*FASTTRACK, "--json", "jobs"], env=environ, check=True, capture_output=True).stdout
        for made in json.loads(found)["jobs"]:
            print(f"\nWhat {given.shows} printed:", flush=True)
            subprocess.run([*FASTTRACK, "logs", made["id"], given.shows], env=environ, check=False)
        if code:
            print(log.read_text()[-3000:], file=sys.stderr)
        _show(manager)
    return code


@contextmanager
def _manager(generation: str, root: Path) -> Iterator[str]:
    """A stand-in that answers, and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "standin", "--generation", generation, "--port", str(port), "--dir", str(root)]
    command += ["--access-key", KEYS["access"], "--secret-key", KEYS["secret"]]
    root.mkdir(parents=True)
    with _process(command, os.environ | {"PYTHONPATH": str(HERE)}, root.parent / "manager.log"):
        for _ in range(200):
            try:
                with urllib.request.urlopen(address, timeout=5) as answer:
                    print(f"A stand-in manager answers at {address}: {answer.read().decode()}", flush=True)
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        else:
            raise SystemExit(f"the stand-in does not answer:\n{(root.parent / 'manager.log').read_text()[-3000:]}")
        yield address


@contextmanager
def _process(command: list[str], environ: dict[str, str], log: Path) -> Iterator[None]:
    """Run it for as long as the context is open, then end it as Ctrl-C would."""
    with log.open("wb") as out, subprocess.Popen(command, env=environ, stdout=out, stderr=out) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _show(manager: str) -> None:
    """What the manager saw of it."""
    with urllib.request.urlopen(f"{manager}/standin/faults", timeout=5) as answer:
        told = json.load(answer)
    print(f"\n{sum(told['requests'].values())} requests to the manager. Its sessions:")
    for session in told["sessions"]:
        slots = " ".join(f"{name}={amount}" for name, amount in session["slots"].items() if name not in ("cpu", "mem"))
        where = ", ".join(session["agents"])
        print(f"  {session['name']:<44} {session['status']:<11} {session['result']:<8} {where:<10} {slots}")


if __name__ == "__main__":
    raise SystemExit(main())
