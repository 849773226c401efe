"""docs/how-to/build-a-ui.md: its files, saved as it says, list and show a job live on a real server, killed meanwhile."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import httpx
import pytest

from fasttrack.clock import SystemClock
from fasttrack.domain.access import Permission
from fasttrack.doorbell import Doorbell
from fasttrack.settings import Settings
from fasttrack_api.app import create_app
from fasttrack_api.parts import Parts
from fasttrack_scheduler.backends.simulated import Script
from tests.engine import Engine
from tests.people import People
from tests.serving import NODE, Program, api_process, served
from tests.waiting import eventually

from .conftest import EXAMPLES

PAGE = (EXAMPLES.parent / "docs" / "how-to" / "build-a-ui.md").read_text()
PIPELINE = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)[0]
COMMANDS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)[0]
FILES = dict(re.findall(r"`(\w+\.(?:js|html))`[^\n]*:\n\n```(?:js|html)\n(.*?)^```", PAGE, re.M | re.S))
SCRIPT = re.findall(r'<script type="module">\n(.*?)</script>', FILES.get("index.html", ""), re.S)

# What the page's own script finds in a browser; each change of a text is a line.
DOCUMENT = """
const element = (name) => new Proxy({}, { set(it, key, value) {
  it[key] = value;
  if (typeof value === "string") console.log(JSON.stringify([name, value]));
  if (key === "onclick") globalThis.click = value;
  return true;
} });
globalThis.document = { querySelector: element };
"""


@pytest.fixture
def engine(engine: Engine, doorbell: Doorbell) -> Engine:
    """The engine, with a task that runs until the test lets it end."""
    engine.doorbell = doorbell
    engine.site.script("train", Script(held=True))
    return engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the page, saved."""
    saved = tmp_path / "ui"
    saved.mkdir()
    for name, text in FILES.items():
        (saved / name).write_text(text)
    (saved / "page.js").write_text(DOCUMENT + SCRIPT[0] + "await click();\n")
    (saved / "package.json").write_text('{"type": "module"}')
    return saved


def configure(folder: Path, server: str, token: str = "") -> None:
    text = FILES["config.js"].replace("http://127.0.0.1:8811", server).replace("ftp_…", token)
    assert server in text
    (folder / "config.js").write_text(text)


def test_the_page_has_every_file_that_its_files_import() -> None:
    assert set(FILES) == {
        "config.js", "api.js", "jobs.js", "try.js", "graph.js", "follow.js", "live.js", "index.html",
    }  # fmt: skip
    imported = {name for text in FILES.values() for name in re.findall(r'from "\./([^"]+)"', text)}
    assert imported <= FILES.keys()
    assert len(re.findall(r"^```(?:js|html)\n", PAGE, re.M)) == len(FILES), "every block is a file"


@pytest.mark.timeout(120)  # an api process starts twice
async def test_the_page_shows_a_job_live_over_a_killed_server_and_runs_it_again(
    engine: Engine, folder: Path, database_url: str, redis_url: str
) -> None:
    """What the page sets is the heading and the picture; the click on its button comes when the first job is over."""
    job = await engine.submit(PIPELINE)
    page = Program()

    def texts(element: str) -> list[str]:
        return [text for name, text in map(json.loads, page.lines) if name == element]

    def shown() -> dict[str, str]:
        labels = re.findall(r'font-size="1\d">([^<]*)</text>', (texts("main") or [""])[-1])
        return dict(zip(labels[::2], labels[1::2], strict=True))

    def end_train() -> None:
        engine.site.finish(next(s.name for s in engine.site.live()))

    async with api_process(database_url, redis_url, folder.parent / "state") as api:
        configure(folder, api.address)
        running = asyncio.create_task(page.run(NODE, "page.js", cwd=folder))
        try:
            await eventually(lambda: texts("h1") == ["training #1: PENDING"])
            async with engine.scheduling():
                half = {"fetch": "SUCCEEDED", "train": "RUNNING", "baseline": "SUCCEEDED", "compare": "PENDING"}
                await eventually(lambda: shown() == half)
                await api.kill()
                end_train()
                await engine.ended(job)
                assert shown() == half
                await api.start()
                await eventually(lambda: texts("h1")[-1] == "training #2: RUNNING")
                end_train()
                async with asyncio.timeout(30):
                    assert await running == 0, page.notes
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert set(shown().values()) == {"SUCCEEDED"}
    headings = [text for text, before in zip(texts("h1"), ["", *texts("h1")], strict=False) if text != before]
    first = [f"training #1: {state}" for state in ("PENDING", "RUNNING", "SUCCEEDED")]
    assert headings[:3] == first
    assert headings[-2:] == ["training #2: RUNNING", "training #2: SUCCEEDED"]
    assert texts("main")[-1].count("<line") == 4


async def test_the_list_goes_through_all_pages(engine: Engine, folder: Path, doorbell: Doorbell) -> None:
    for _ in range(60):
        await engine.submit(PIPELINE)
    parts = Parts(engine.settings, engine.database, doorbell, engine.box, SystemClock())
    async with served(create_app(engine.settings, given=parts)) as address:
        configure(folder, address)
        listing = Program()
        assert await listing.run(NODE, "try.js", cwd=folder) == 0, listing.notes
    assert listing.lines == [f"training {number} PENDING" for number in range(60, 0, -1)]


async def test_its_origin_may_call_with_the_token_and_no_other_may(
    engine: Engine, settings: Settings, doorbell: Doorbell
) -> None:
    """The setting and the scopes are those of the page."""
    people = People(engine.database)
    listed = json.loads(re.findall(r"FASTTRACK_API_CORS_ORIGINS='(.*)'", COMMANDS)[0])
    scopes = [Permission(scope) for scope in re.findall(r"--scope (\w+)", COMMANDS)]
    token = (await people.token(await people.user("ada", default="editor"), *scopes)).secret.text
    own = settings.model_copy(update={"api_cors_origins": [*listed, "https://portal.example"]})
    parts = Parts(own, engine.database, doorbell, engine.box, SystemClock())
    query = {"query": "{ viewer { scopes } }"}
    async with served(create_app(own, given=parts)) as address, httpx.AsyncClient(base_url=address) as client:
        for origin, status in ((listed[0], 200), ("https://evil.example", 400)):
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            asked["Access-Control-Request-Headers"] = "authorization,content-type,last-event-id"
            answer = await client.options("/graphql", headers=asked)
            assert answer.status_code == status
            assert answer.headers.get("access-control-allow-origin") == (origin if status == 200 else None)
        with_token = {"Origin": listed[0], "Authorization": f"Bearer {token}"}
        answer = await client.post("/graphql", headers=with_token, json=query)
        assert answer.json()["data"] == {"viewer": {"scopes": ["READ", "RUN"]}}
        assert answer.headers["access-control-allow-origin"] == listed[0]
        elsewhere = {"Origin": "https://portal.example"}
        assert (await client.post("/graphql", headers=elsewhere, json=query)).status_code == 401, "not of this machine"
        other = with_token | {"Origin": "https://evil.example"}
        assert (await client.post("/graphql", headers=other, json=query)).status_code == 403
