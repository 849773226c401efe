"""A real identity provider: it serves discovery and its keys over HTTP, and signs with the library that we verify with."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fastapi import FastAPI, Response
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "fasttrack"


@cache
def _usual_key() -> Any:
    """Made once: a key of RSA takes a while."""
    return rsa.generate_private_key(65537, 2048)


class Provider:
    """Signs tokens, and counts who asks for its keys."""

    def __init__(self, *, is_impostor: bool = False) -> None:
        self._own_keys = is_impostor
        self.issuer = ""
        self.keys: dict[str, tuple[str, Any]] = {}
        self.published: list[dict[str, Any]] = []
        self.asked = 0
        self.is_away = False
        self.announced: dict[str, Any] = {}
        self.add_key("first")

    def add_key(self, kid: str, algorithm: str = "RS256", *, size: int = 2048, **more: Any) -> None:
        """A further key, published."""
        if algorithm.startswith("ES"):
            private: Any = ec.generate_private_key(ec.SECP256R1())
            public = ECAlgorithm.to_jwk(private.public_key())
        elif algorithm == "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
            public = OKPAlgorithm.to_jwk(private.public_key())
        else:
            is_usual = kid == "first" and not self._own_keys
            private = _usual_key() if is_usual else rsa.generate_private_key(65537, size)
            public = RSAAlgorithm.to_jwk(private.public_key())
        self.keys[kid] = (algorithm, private)
        jwk = json.loads(public)
        jwk.pop("key_ops", None)
        self.published.append({**jwk, "kid": kid, "use": "sig", **more})

    def withdraw(self, kid: str) -> None:
        """A key is published no more."""
        self.published = [k for k in self.published if k["kid"] != kid]

    def token(
        self, subject: str = "id-1", *, kid: str = "first", head: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """A token; a claim that is `None` is left out."""
        now = int(time.time())
        body = {
            "iss": self.issuer, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 300,
            "preferred_username": "ada", "email": "ada@example.com", "name": "Ada Lovelace",
        }  # fmt: skip
        body = {k: v for k, v in {**body, **claims}.items() if v is not None}
        algorithm, key = self.keys[kid]
        return jwt.encode(body, key, algorithm, headers={"kid": kid, **(head or {})})

    def app(self) -> FastAPI:
        """What it serves."""
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        async def discovery() -> Any:
            if self.is_away:
                return Response("away", 503)
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", **self.announced}

        @app.get("/keys")
        async def keys() -> Any:
            self.asked += 1
            return {"keys": self.published}

        @app.get("/elsewhere")
        async def elsewhere() -> Response:
            return Response(status_code=302, headers={"Location": f"{self.issuer}/keys"})

        @app.get("/endless")
        async def endless() -> Response:
            return Response(b"x" * 1_000_000)

        return app


@asynccontextmanager
async def a_provider() -> AsyncIterator[Provider]:
    """A provider on a port of this machine."""
    provider = Provider()
    server = uvicorn.Server(uvicorn.Config(provider.app(), port=0, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
        assert not serving.done()
    provider.issuer = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        server.should_exit = True
        await serving
