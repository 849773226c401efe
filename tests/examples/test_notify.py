"""examples/notify: the figure and the job's id arrive at the webhook; a refusal fails the task and says why."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import InvalidRun

from .conftest import EXAMPLES, Machine

FILE = (EXAMPLES / "notify" / "pipeline.yaml").read_text()
AT_ONCE = FILE.replace("    delay: 1\n", "    delay: 0\n")


class Webhook(ThreadingHTTPServer):
    """An incoming webhook on loopback that keeps what it gets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.requests: list[tuple[str, str, bytes]] = []
        """Path, content type, body."""
        self.answer: tuple[int, bytes] = (200, b"ok")
        self.location = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/T000/B000/token-of-the-test"


class _Receiver(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, self.headers["Content-Type"], body))
        status, answer = self.server.answer
        self.send_response(status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_the_figure_arrives_with_the_id_of_the_job(machine: Machine, webhook: Webhook) -> None:
    await machine.put_secret("SLACK_WEBHOOK_URL", webhook.address)
    run = await machine.run(FILE)
    assert run.verdict is JobState.SUCCEEDED, run.logs
    assert run.output("train", "result.txt") == "3.14224\n"
    ((path, kind, body),) = webhook.requests
    assert (path, kind) == ("/services/T000/B000/token-of-the-test", "application/json")
    assert json.loads(body) == {"text": f"Training is over: pi is about 3.14224 (job {run.job.id})"}
    assert "token-of-the-test" not in run.logs["notify"]


async def test_a_refused_message_fails_the_task_and_says_why(machine: Machine, webhook: Webhook) -> None:
    await machine.put_secret("SLACK_WEBHOOK_URL", webhook.address)
    webhook.answer = (403, b"invalid_token")
    run = await machine.run(AT_ONCE)
    assert run.verdict is JobState.FAILED
    assert run.states == {"train": InstanceState.SUCCEEDED, "notify": InstanceState.FAILED}
    assert run.logs["notify"] == "the webhook refused the message: 403 Forbidden: invalid_token\n" * 3
    assert len(webhook.requests) == 3


async def test_a_redirected_message_counts_as_refused(machine: Machine, webhook: Webhook) -> None:
    """Followed, it would become a GET that any page answers with success."""
    await machine.put_secret("SLACK_WEBHOOK_URL", webhook.address)
    webhook.answer, webhook.location = (302, b""), "/"
    run = await machine.run(AT_ONCE)
    assert run.verdict is JobState.FAILED
    assert run.logs["notify"] == "the webhook refused the message: 302 Found: \n" * 3


async def test_a_webhook_that_cannot_be_reached_fails_the_task_and_says_so(machine: Machine) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # the port is ours, and nobody listens
        await machine.put_secret("SLACK_WEBHOOK_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}/services")
        run = await machine.run(AT_ONCE)
    assert run.verdict is JobState.FAILED
    assert run.logs["notify"] == "the webhook could not be reached: [Errno 111] Connection refused\n" * 3


async def test_an_address_that_is_none_fails_the_task_and_names_the_secret(machine: Machine) -> None:
    await machine.put_secret("SLACK_WEBHOOK_URL", "file:///etc/hostname")
    run = await machine.run(AT_ONCE)
    assert run.verdict is JobState.FAILED
    assert "SLACK_WEBHOOK_URL is not an http address" in run.logs["notify"]
    assert "hostname" not in run.logs["notify"]


async def test_without_the_secret_no_job_is_made(machine: Machine) -> None:
    with pytest.raises(InvalidRun, match=r"^missing secrets: SLACK_WEBHOOK_URL; set them with `fasttrack secrets set"):
        await machine.engine.submit(FILE)


async def test_the_receiver_that_comes_along_prints_what_arrives(machine: Machine) -> None:
    async with a_receiver() as (address, lines):
        await machine.put_secret("SLACK_WEBHOOK_URL", address)
        run = await machine.run(FILE)
        assert run.verdict is JobState.SUCCEEDED, run.logs
        line = await asyncio.wait_for(lines.readline(), 5)
    assert line.decode() == f"Training is over: pi is about 3.14224 (job {run.job.id})\n"


@asynccontextmanager
async def a_receiver() -> AsyncIterator[tuple[str, asyncio.StreamReader]]:
    """`python examples/notify/receiver.py`: its address, and the lines that follow."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / "notify" / "receiver.py"), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        address = (await asyncio.wait_for(process.stdout.readline(), 10)).decode().strip()
        yield address, process.stdout
    finally:
        process.terminate()
        await process.wait()
