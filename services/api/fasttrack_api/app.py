"""The API's application: routes, error answers, and what is opened and closed with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from fasttrack.settings import Settings

from . import auth, graphql, openapi, pages, parts, rest, streams
from .guards import CrossOrigin, Guard
from .problems import add_handlers
from .requests import Requests
from .strangers import Strangers

# Requests are traced, counted and logged in `requests.py`, around everything: not a second time by the framework, whose
# lines would have the text of every exception.
_NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False)


def create_app(settings: Settings, *, given: parts.Parts | None = None) -> FastAPI:
    """The application, which opens its connections when it is started.

    :param given: parts that the caller has opened, and will close: of a test, or of `fasttrack up`, which runs all
        services in one process.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if given is not None:
            app.state.parts = given
            async with auth.running(given), streams.closing(app), rest.sweeping(given):
                yield
            return
        async with parts.opened(settings) as own:
            app.state.parts = own
            async with auth.running(own), streams.closing(app), rest.sweeping(own):
                yield

    app = FastAPI(
        title="FastTrack",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json" if settings.api_docs else None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
    )
    app.state.examine = graphql.examiner(settings)
    add_handlers(app)
    for router in (*rest.ROUTERS, *graphql.routers(settings)):
        app.include_router(router)
    if settings.api_docs:
        app.include_router(pages.router)
        app.mount("/static", pages.Files(), name="static")
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]
    # The last one that is added is the first one that a request meets.
    app.add_middleware(Strangers)
    if settings.api_cors_origins:
        app.add_middleware(
            CrossOrigin,
            allow_origins=settings.api_cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "If-Match",
                "If-None-Match",
                "Idempotency-Key",
                "Last-Event-ID",
                "Range",
                "If-Range",
                *("Tus-Resumable", "Upload-Length", "Upload-Offset", "Upload-Metadata", "Upload-Checksum"),
            ],
            expose_headers=[
                *(
                    "ETag",
                    "Location",
                    "X-Request-Id",
                    "Retry-After",
                    "RateLimit",
                    "RateLimit-Policy",
                    "Content-Range",
                    "Accept-Ranges",
                ),
                *("Log-Attempt", "Log-Next-Offset", "Log-Is-Final"),
                *("Tus-Resumable", "Tus-Version", "Tus-Max-Size", "Tus-Extension", "Tus-Checksum-Algorithm"),
                *("Upload-Offset", "Upload-Length", "Upload-Expires"),
            ],
            max_age=600,
        )
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Requests)
    return app


if __name__ == "__main__":  # make openapi
    import sys

    sys.stdout.write(openapi.as_text(create_app(Settings())))
