"""The documentation pages, with every file they are made of: they work with no network, and ask nobody else for anything."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

router = APIRouter(include_in_schema=False)


def _page(name: str) -> Response:
    return FileResponse(
        STATIC / name,
        media_type="text/html",
        headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"},
    )


@router.get("/docs")
async def docs() -> Response:
    """The REST API to read and to try."""
    return _page("docs.html")


@router.get("/graphql/ui")
async def graphiql() -> Response:
    """The GraphQL API to read and to try."""
    return _page("graphiql.html")


@router.get("/")
async def top(_: Request) -> Response:
    """Where a person lands who types the address."""
    return RedirectResponse("/docs", 307)


class Files(StaticFiles):
    """Files of the pages, which a browser may keep for a day."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    def file_response(self, *args: object, **kwargs: object) -> Response:
        answer = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        answer.headers["Cache-Control"] = "public, max-age=86400"
        return answer
