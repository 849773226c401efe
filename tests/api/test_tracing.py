"""Traces: made when they are asked for, below the caller's own, and nothing of them otherwise."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from fasttrack import tracing
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from tests.cli.command_line import a_process
from tests.engine import Engine
from tests.factories import a_file

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Spans are made, and kept in memory."""
    exporter = InMemorySpanExporter()
    assert tracing.set_up(exporter)
    yield exporter
    tracing.turn_off()


async def test_a_request_is_a_span_below_that_of_its_caller(
    client: httpx.AsyncClient, project: ProjectId, exported: InMemorySpanExporter
) -> None:
    await client.get("/api/v1/pipelines/nothing", headers={"traceparent": PARENT})
    await client.post("/graphql", json={"query": "{ viewer { name } }"}, headers={"traceparent": "nonsense"})
    await client.get("/healthz")
    first, second = exported.get_finished_spans()
    assert (first.name, first.kind.name) == ("GET /api/v1/pipelines/{pipeline}", "SERVER")
    assert dict(first.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/api/v1/pipelines/{pipeline}",
        "http.response.status_code": 404,
    }
    assert first.parent is not None
    assert (format(first.context.trace_id, "032x"), format(first.parent.span_id, "016x")) == (TRACE, PARENT[36:52])
    assert (second.name, second.parent) == ("POST /graphql", None)


async def test_lines_of_the_log_have_the_trace(
    client: httpx.AsyncClient, project: ProjectId, exported: InMemorySpanExporter
) -> None:
    import structlog

    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        await client.get("/api/v1/jobs", headers={"traceparent": PARENT})
        tracing.turn_off()
        await client.get("/api/v1/jobs", headers={"traceparent": PARENT})
    assert [line.get("trace_id") for line in logs if line["event"] == "request"] == [TRACE, None]


async def test_a_fault_of_ours_is_a_failed_span(
    client: httpx.AsyncClient, app: FastAPI, exported: InMemorySpanExporter
) -> None:
    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("no")

    assert (await client.get("/broken")).status_code == 500
    (span,) = exported.get_finished_spans()
    assert (span.name, span.status.status_code.name) == ("GET /broken", "ERROR")


async def test_a_pass_is_a_span(engine: Engine, exported: InMemorySpanExporter) -> None:
    job = await engine.submit(a_file({"a": ""}))
    async with engine.scheduling():
        await engine.ended(job)
    spans = exported.get_finished_spans()
    assert {s.name for s in spans} == {"reconcile pass"}
    assert {(s.attributes or {})["fasttrack.jobs"] for s in spans} == {1}
    assert sum(int((s.attributes or {})["fasttrack.events"]) for s in spans) >= 3  # type: ignore[arg-type]


async def test_nothing_of_the_sdk_is_imported_when_nobody_asks_for_it() -> None:
    code = (
        "import sys, fasttrack_api.app, fasttrack_scheduler.service, fasttrack_cli.diagnostics as d\n"
        "from fasttrack.settings import Settings\n"
        "from fasttrack import tracing\n"
        "d.set_up_logging(Settings(), 'info')\n"
        "with tracing.span('x') as span: span.name('y'); span.note({'a': 1}); span.failed('z')\n"
        "print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'opentelemetry.exporter', 'google'))])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert (process.returncode, out.decode().strip()) == (0, "[]")


class Collector(BaseHTTPRequestHandler):
    """Keeps what is sent to it."""

    bodies: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


async def test_the_api_sends_its_spans_to_the_collector(
    database_url: str, redis_url: str, settings: Settings, project: ProjectId
) -> None:
    class Here(Collector):
        bodies: list[tuple[str, bytes]] = []  # noqa: RUF012

    collector = ThreadingHTTPServer(("127.0.0.1", 0), Here)
    Thread(target=collector.serve_forever, daemon=True).start()
    environment = {
        "FASTTRACK_STATE_DIR": str(settings.state_dir),
        "FASTTRACK_DATABASE_URL": database_url,
        "FASTTRACK_REDIS_URL": redis_url,
        "FASTTRACK_API_PORT": "0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
    }
    async with a_process("api", "--json", env=environment) as process:
        assert process.stdout is not None
        said = (await process.stdout.readline()).decode()
        address = said.partition('"api":')[2].strip(' "}\n')
        async with httpx.AsyncClient(base_url=address) as client:
            await client.get("/api/v1", headers={"traceparent": PARENT})
        process.terminate()
        assert await process.wait() == 0  # what is left is sent at its end
    collector.shutdown()
    collector.server_close()
    assert {path for path, _ in Here.bodies} == {"/v1/traces"}
    sent = b"".join(body for _, body in Here.bodies)
    assert bytes.fromhex(TRACE) in sent
    assert sent.count(b"GET /api/v1") == 1, "the framework makes no span of its own"
    assert b"fasttrack" in sent


async def test_without_the_extra_it_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with capture_logs() as logs:
        assert tracing.set_up() is False
    assert "fasttrack[otel] is not installed" in logs[0]["event"]
