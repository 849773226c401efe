"""`python -m standin`: serve a stand-in manager until interrupted."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import uvicorn

from .agents import default_agents
from .app import Manager, make_app
from .generations import GENERATIONS
from .pretending import SECONDS


def main() -> None:
    """Read the arguments, and serve."""
    parser = argparse.ArgumentParser(prog="standin", description="A stand-in for a Backend.AI manager.")
    parser.add_argument("--generation", choices=sorted(GENERATIONS), default="26", help="whose habits (default: 26)")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8081, help="the port to listen on (default: 8081)")
    parser.add_argument("--step", type=float, default=0.3, help="seconds that each status takes (default: 0.3)")
    parser.add_argument("--dir", type=Path, help="where folders are kept (default: a new temporary directory)")
    parser.add_argument("--access-key", default="AKIASTANDIN", help="the key that is let in")
    parser.add_argument("--secret-key", default="standin", help="its secret")
    parser.add_argument(
        "--key", action="append", default=[], metavar="ACCESS:SECRET:USER", help="another key that is let in, and whose"
    )
    parser.add_argument("--times", type=int, default=1, help="so many times the usual slots on each agent (default: 1)")
    parser.add_argument(
        "--pretend",
        action="store_true",
        help=f"run no command: each takes as many seconds as its session's variable {SECONDS} says, and ends with 0",
    )
    parser.add_argument("--quiet", action="store_true", help="write no line for each request")
    given = parser.parse_args()
    root = given.dir or Path(tempfile.mkdtemp(prefix="standin-"))
    keys, users = {given.access_key: given.secret_key}, {}
    for text in given.key:
        access_key, secret_key, users[access_key] = _three(parser, text)
        keys[access_key] = secret_key
    manager = Manager(
        given.generation,
        root,
        keys=keys,
        users=users,
        agents=default_agents(given.times),
        step=given.step,
        pretends=given.pretend,
    )
    uvicorn.run(make_app(manager), host=given.host, port=given.port, log_level="warning" if given.quiet else "info")


def _three(parser: argparse.ArgumentParser, text: str) -> list[str]:
    parts = text.split(":")
    if len(parts) != 3 or not all(parts):
        parser.error(f"--key takes ACCESS:SECRET:USER, and {text!r} is none")
    return parts


if __name__ == "__main__":
    main()
