"""Watch a job in the terminal: `python watch.py` lists the newest jobs, `python watch.py JOB` shows one.

Where the output is no terminal, it is a line for each event instead. The environment: FASTTRACK_SERVER,
FASTTRACK_TOKEN, FASTTRACK_PROJECT. Exit code 0 when the job succeeded, 1 when not, 2 when there was an error.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

from client import ApiError, Client

JOBS = """query Jobs($project: String!) {
  project(name: $project) { jobs(first: 100) { nodes { id uuid number pipelineName state } feedCursor } }
}"""
TASKS = """query JobTasks($job: ID!, $after: String) {
  job(id: $job) {
    number pipelineName state
    taskInstances(first: 100, after: $after) {
      nodes { name state attempt reason }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""
EVENTS = """subscription JobEvents($job: ID!, $after: String!) {
  events(job: $job, after: $after) { cursor events { seq kind task payload } }
}"""
OVER = ("job.succeeded", "job.failed", "job.cancelled")


class Screen:
    """A table of the tasks, drawn again in the same place; a line for each event where the output is no terminal."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._drawn = 0
        self._title = ""
        self._tasks: dict[str, Any] = {}

    def tell(self, event: Any) -> None:
        """Say that something has happened."""
        if not self._is_terminal:
            print(legible(f"{event['seq']} {event['kind']} {event['task'] or ''}".strip()), flush=True)

    def note(self, text: str) -> None:
        """Say something about the watching itself."""
        if self._is_terminal:
            self.draw(self._title, self._tasks, text)
        else:
            print(legible(text), file=sys.stderr, flush=True)

    def draw(self, title: str, tasks: dict[str, Any], note: str = "") -> None:
        """Draw the table, if the output is a terminal; as much of it as there is room for."""
        if not self._is_terminal:
            return
        self._title, self._tasks = title, tasks
        columns, rows = shutil.get_terminal_size()
        lines = [f"{t['name']:24} {t['state']:16} {t['attempt']:3}  {t['reason']}" for t in tasks.values()]
        shown = [legible(line)[: columns - 1] for line in [title, *lines[: rows - 3], note]]
        print(f"\033[{self._drawn}F\033[J" if self._drawn else "", "\n".join(shown), sep="", flush=True)
        self._drawn = len(shown)


def jobs(client: Client) -> Any:
    """The newest jobs, and the cursor after which whatever they do not show yet will come."""
    return client.ask(JOBS, project=os.environ.get("FASTTRACK_PROJECT", "default"))["project"]["jobs"]


def look(client: Client, job: str) -> tuple[Any, dict[str, Any]]:
    """The job, and its tasks by name."""
    first = client.ask(TASKS, job=job)["job"]
    page = first["taskInstances"]
    tasks: dict[str, Any] = {}
    while True:
        tasks |= {task["name"]: task for task in page["nodes"]}
        if not page["pageInfo"]["hasNextPage"]:
            return first, tasks
        page = client.ask(TASKS, job=job, after=page["pageInfo"]["endCursor"])["job"]["taskInstances"]


def watch(client: Client, screen: Screen, job: str, cursor: str) -> bool:
    """Show the job until it is over; whether it succeeded.

    First the cursor, then the look, then whatever came after the cursor: so nothing falls between the two.
    """
    while True:
        found, tasks = look(client, job)
        title = f"{found['pipelineName']} #{found['number']}"
        screen.note(f"{title} is {found['state']}")
        screen.draw(title, tasks)
        if f"job.{found['state'].lower()}" in OVER:
            return bool(found["state"] == "SUCCEEDED")
        try:
            for batch in client.follow(EVENTS, job=job, after=cursor):
                for event in batch["events"]:
                    if event["task"] in tasks:  # one that was looked at already changes nothing for good
                        new = {"reason": "", **event["payload"]}
                        new["state"] = new.pop("to", tasks[event["task"]]["state"])
                        tasks[event["task"]] |= new
                    screen.tell(event)
                screen.draw(title, tasks)
                for event in batch["events"]:
                    if event["kind"] in OVER:
                        return bool(event["kind"] == "job.succeeded")
        except ApiError as error:
            if error.code != "CURSOR_EXPIRED":
                raise
            screen.note("the cursor is too old; listing again")
            cursor = jobs(client)["feedCursor"]


def legible(text: str) -> str:
    """The text without what could steer this terminal: names and reasons come from others."""
    return "".join(c if c.isprintable() else " " for c in text)


def main() -> None:
    server = os.environ.get("FASTTRACK_SERVER", "http://127.0.0.1:8811")
    screen = Screen()
    client = Client(server, os.environ.get("FASTTRACK_TOKEN"), lambda error, _: screen.note(f"{error}; trying again"))
    try:
        found = jobs(client)
        if len(sys.argv) < 2:
            for job in found["nodes"]:
                print(legible(f"{job['uuid']}  {job['pipelineName']} #{job['number']}  {job['state']}"))
        else:
            asked = sys.argv[1]
            chosen = next((j["id"] for j in found["nodes"] if asked in (j["id"], j["uuid"])), asked)
            sys.exit(0 if watch(client, screen, chosen, found["feedCursor"]) else 1)
    except ApiError as error:
        print(f"{error.code}: {legible(str(error))}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
