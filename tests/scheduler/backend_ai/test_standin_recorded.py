"""The stand-in against what real managers answered about folders, mounts and ranges: every exchange in its order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from .clusters import Cluster, cluster_of
from .recorded import GENERATIONS
from .standins import serving
from .test_standin import send

RELEASES = pytest.mark.parametrize("release", GENERATIONS)


def recording(release: str) -> dict[str, Any]:
    """`requests`, of which some take ids from answers for those that follow, and `ranges` of a file that grows."""
    path = Path(__file__).with_name(f"folders_and_mounts_{release.replace('.', '_')}.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def filled(value: Any, ids: dict[str, str]) -> Any:
    """With the ids of this run in place of `{name}`, and of `{name}.hex`."""
    text = json.dumps(value)
    for name, found in ids.items():
        text = text.replace(f"{{{name}}}.hex", UUID(found).hex).replace(f"{{{name}}}", found)
    return json.loads(text)


def taken(answer: Any, where: str) -> str:
    for key in where.split("."):
        answer = answer[int(key)] if isinstance(answer, list) else answer[key]
    return str(UUID(answer))


@RELEASES
async def test_each_recorded_request_gets_its_recorded_answer(release: str, tmp_path: Path) -> None:
    ids: dict[str, str] = {}
    unlike: list[str] = []
    async with serving(release, tmp_path, step=5) as (_, address), httpx.AsyncClient(base_url=address) as client:
        for exchange in recording(release)["requests"]:
            path, body = filled(exchange["path"], ids), filled(exchange["body"], ids)
            got = await send(client, release, exchange["method"], path, body)
            if difference := _difference(exchange, got, ids):
                unlike.append(f"{exchange['name']}: {difference}")
            elif exchange.get("takes"):
                ids |= {name: taken(got.json(), where) for name, where in exchange["takes"].items()}
    assert not unlike, "\n".join(unlike)


def _difference(exchange: dict[str, Any], got: httpx.Response, ids: dict[str, str]) -> str:
    """How an answer differs from the recorded one in what a client reads; empty: it does not."""
    if got.status_code != exchange["status"]:
        return f"{got.status_code} instead of {exchange['status']}: {got.text[:300]}"
    expected = filled(exchange["answer"], ids)
    answer: Any = got.json() if got.content else None
    if got.status_code >= 400:
        kind = (answer or {}).get("type")
        return "" if kind == expected["type"] else f"{kind} instead of {expected['type']}"
    if "knows" in exchange:
        data = answer.get("data")
        knows = bool(data and data.get("compute_session_list"))
        return "" if knows is exchange["knows"] else f"the status is {'' if knows else 'not '}known"
    if exchange.get("is_names"):
        names = sorted(item["name"] for item in answer["items"])
        return "" if names == expected else f"{names} instead of {expected}"
    if exchange.get("is_exact"):
        return "" if answer == expected else f"{answer} instead of {expected}"
    if isinstance(answer, dict) and answer.get("errors") and "errors" not in expected:
        return f"errors: {answer['errors']}"
    if isinstance(expected, dict):
        missing = expected.keys() - (answer or {}).keys()
        return f"without {sorted(missing)}" if missing else ""
    return ""


@RELEASES
async def test_each_recorded_range_of_a_growing_file_gets_its_recorded_answer(release: str, tmp_path: Path) -> None:
    async with cluster_of(release, tmp_path) as cluster, httpx.AsyncClient() as client:
        await cluster.folder("data")
        url = await _address(cluster)
        lines = [f"line {number:05}\n" for number in range(1, 40)]
        for asked in recording(release)["ranges"]:
            cluster.within("data", "log").write_text("".join(lines)[: asked["size"]])
            headers = {"Range": asked["range"]} if asked["range"] else {}
            got = await client.request(asked["method"], url, headers=headers)
            assert got.status_code == asked["status"], asked["name"]
            assert got.headers.get("content-range") == asked.get("content_range"), asked["name"]
            assert asked.get("content", got.text) == got.text, asked["name"]


async def _address(cluster: Cluster) -> str:
    told = await cluster.gateway.call("POST", "/folders/data/request-download", body={"path": "log"}, is_write=False)
    return f"{told['url']}?token={told['token']}"
