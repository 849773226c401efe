"""A forge for tests: real git repositories behind HTTPS, by git's own server, with the archives that GitHub and GitLab offer."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_GIT_ENV = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}  # fmt: skip


def git(*words: str, at: Path, stdin: bytes | None = None, **env: str) -> bytes:
    """What git says there."""
    return subprocess.run(
        ["git", "-c", "init.defaultBranch=main", "-c", "safe.directory=*", *words],
        cwd=at, env={**_GIT_ENV, **env}, input=stdin, check=True, capture_output=True,
    ).stdout  # fmt: skip


class Forge:
    """Repositories below a directory, and the address they are served at."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.certificate = root / "certificate.pem"
        self.port = 0
        self.logins: set[str] = set()
        """What callers gave as `Authorization`."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def trusted(self) -> Mapping[str, str]:
        """Variables that make git, Python, curl and wget trust it."""
        wgetrc = self.root / "wgetrc"
        wgetrc.write_text(f"ca_certificate = {self.certificate}\n")
        certificate = str(self.certificate)
        return {
            "GIT_SSL_CAINFO": certificate, "SSL_CERT_FILE": certificate, "CURL_CA_BUNDLE": certificate,
            "WGETRC": str(wgetrc),
        }  # fmt: skip

    def repository(self, name: str) -> Path:
        """A bare repository and a working copy of it, which is returned."""
        bare, work = self.root / f"{name}.git", self.root / "work" / name
        bare.mkdir(parents=True)
        git("init", "-q", "--bare", ".", at=bare)
        work.mkdir(parents=True)
        git("init", "-q", ".", at=work)
        git("remote", "add", "origin", str(bare), at=work)
        return work

    def commit(self, work: Path, files: Mapping[str, str], *, branch: str = "main", tag: str = "") -> str:
        """Write the files, commit and push them; the commit."""
        git("checkout", "-q", "-B", branch, at=work)
        for name, text in files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text)
        git("add", "-A", at=work)
        git("commit", "-qm", "work", at=work)
        git("push", "-q", "origin", branch, at=work)
        if tag:
            git("tag", tag, at=work)
            git("push", "-q", "origin", tag, at=work)
        return git("rev-parse", "HEAD", at=work).decode().strip()


@contextmanager
def serving(root: Path) -> Iterator[Forge]:
    """A forge that is being served."""
    forge = Forge(root)
    key_file = _certificate(forge.certificate)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(forge, self)

        do_POST = do_GET  # noqa: N815  the name that the base class looks for

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(forge.certificate, key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    forge.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield forge
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(forge: Forge, request: BaseHTTPRequestHandler) -> None:
    parts = urlsplit(request.path)
    path = unquote(parts.path)
    forge.logins.add(request.headers.get("Authorization") or "")
    body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
    if found := re.match(r"/(.+?)(?:/-/archive/(.+)/[^/]+|/archive/(.+))\.tar\.gz\Z", path):
        return _archive(forge, request, found[1], found[2] or found[3])
    if not re.match(r"/.+\.git/", path):
        return _send(request, 404, [], b"")
    answer = subprocess.run(
        ["git", "-c", "safe.directory=*", "http-backend"],
        env={
            **_GIT_ENV, "GIT_PROJECT_ROOT": str(forge.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": parts.query, "REQUEST_METHOD": request.command, "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": request.headers.get("Content-Type") or "", "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding") or "",
            "GIT_PROTOCOL": request.headers.get("Git-Protocol") or "",
        },
        input=body, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
    ).stdout  # fmt: skip
    head, _, rest = answer.partition(b"\r\n\r\n")
    fields = [(name, value) for name, _, value in (line.partition(": ") for line in head.decode().split("\r\n"))]
    status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200)
    return _send(request, status, [field for field in fields if field[0] != "Status"], rest)


def _archive(forge: Forge, request: BaseHTTPRequestHandler, name: str, revision: str) -> None:
    prefix = f"{name.rpartition('/')[2]}-{revision.replace('/', '-')}/"
    try:
        packed = git("archive", "--format=tar.gz", f"--prefix={prefix}", revision, at=forge.root / f"{name}.git")
    except (subprocess.CalledProcessError, OSError):
        return _send(request, 404, [], b"")
    return _send(request, 200, [("Content-Type", "application/gzip")], packed)


def _send(request: BaseHTTPRequestHandler, status: int, fields: list[tuple[str, str]], body: bytes) -> None:
    request.send_response(status)
    for name, value in fields:
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def _certificate(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a forge for tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file = path.with_name("key.pem")
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return key_file
