"""Every example of the page is run as it stands there."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path

from fasttrack.settings import Settings
from fasttrack_api.graphql.ids import Kind
from tests.api.graphql.conftest import Asking, gid
from tests.engine import Engine
from tests.factories import a_file

PAGE = (Path(__file__).parents[3] / "docs" / "capabilities" / "api-graphql.md").read_text()
JSON = re.findall(r"```json\n(.*?)```", PAGE, re.S)
EXAMPLES = re.findall(r"```graphql\n(.*?)```", PAGE, re.S)


async def test_the_examples_of_the_page_work(ask: Asking, engine: Engine) -> None:
    top = {"params": [{"name": "epochs", "type": "integer", "default": 1}]}
    job = await engine.submit(a_file({"a": "", "b": "a"}, "train", _top=top))
    record = await engine.job(job)
    listing, packed, charts, run = EXAMPLES
    found = (await ask(listing))["project"]
    assert [p["name"] for p in found["pipelines"]["nodes"]] == ["train"]
    assert found["jobs"]["nodes"] == []
    picture = (await ask(packed, id=gid(Kind.JOB, job)))["job"]["graph"]
    told = {name for row in re.findall(r"^\| (`.*?) \|", PAGE, re.M) for name in re.findall(r"`([a-z]\w*)`", row)}
    assert set(picture) - {"states", "layers", "rows"} <= told
    charted = await ask(charts, id=gid(Kind.PIPELINE, record.pipeline_id))
    assert len(charted["project"]["jobStatistics"]) == 30
    assert charted["pipeline"]["taskDurations"] == []
    done = (await ask(run, pipeline=gid(Kind.PIPELINE, record.pipeline_id)))["runPipeline"]
    assert (done["isNew"], done["errors"], done["plan"]) == (True, [], {"runs": ["a", "b"], "skips": []})


async def test_the_cost_can_be_asked_for_as_the_page_says(ask: Asking) -> None:
    body = JSON[-1]
    answer = (await ask.client.post("/graphql", json=json.loads(body))).json()
    assert answer == {"data": None, "extensions": {"cost": {"requested": 21, "limit": 10_000}}}


async def test_a_stored_operation_is_asked_for_as_the_page_says(ask: Asking) -> None:
    text = "{ viewer { name } }"
    await ask(f'mutation {{ storeOperation(input: {{text: "{text}"}}) {{ errors {{ code }} }} }}')
    by_id, by_extension = JSON[:2]
    for body in (by_id, by_extension):
        asked = body.replace("HASH", sha256(text.encode()).hexdigest())
        answer = (await ask.client.post("/graphql", json=json.loads(asked))).json()
        assert answer["data"] == {"viewer": {"name": "owner"}}


def test_the_limits_of_the_page_are_the_defaults() -> None:
    rows = re.findall(r"^\| `FASTTRACK_(API_\w+)` \| (\S+) \|", PAGE, re.M)
    others = {"host", "port", "hosts", "cors_origins", "trusted_proxies", "docs", "request_timeout"}
    others |= {"metrics_token", "open_on_loopback", "wrong_tokens"}  # of the pages on REST and on access
    here = {n for n in Settings.model_fields if n.startswith("api_") and n.removeprefix("api_") not in others}
    assert {name.lower() for name, _ in rows} == here
    for name, written in rows:
        default = Settings.model_fields[name.lower()].default
        shown = f"{default.total_seconds():g}" if hasattr(default, "total_seconds") else str(default).lower()
        assert written == shown


async def test_every_mutation_is_on_the_page(ask: Asking) -> None:
    data = await ask('{ __type(name: "Mutation") { fields { name } } }')
    missing = [f["name"] for f in data["__type"]["fields"] if f"`{f['name']}`" not in PAGE]
    assert missing == []
