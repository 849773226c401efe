"""Every read, end to end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

import pytest

from fasttrack.db import Db
from fasttrack.db.instances import load_standings
from fasttrack.db.secrets import SecretBox, put_secret
from fasttrack.domain.states import JobState
from fasttrack.feed import Cursor, Feed, Placer
from fasttrack.workflow.admit import change_limit
from fasttrack.workflow.control import pause
from fasttrack_api.graphql.ids import Kind
from tests.api.graphql.conftest import Asking, gid
from tests.engine import Engine
from tests.factories import a_file

DIAMOND = {"a": "", "b": "a", "c": "a", "d": "b c"}


async def ran(engine: Engine, graph: dict[str, str], name: str = "demo", **changes: Any) -> Any:
    job = await engine.submit(a_file(graph, name, **changes))
    async with engine.scheduling():
        await engine.ended(job)
    return job


async def test_who_is_calling(ask: Asking) -> None:
    viewer = (await ask("{ viewer { name kind isSuperadmin scopes } }"))["viewer"]
    assert viewer == {
        "name": "owner",
        "kind": "USER",
        "isSuperadmin": True,
        "scopes": ["READ", "EDIT", "RUN", "SECRETS", "OPERATE", "MANAGE"],
    }


async def test_projects_are_found_by_name_and_by_id_and_listed(ask: Asking, elsewhere: Engine) -> None:
    data = await ask(
        'query($id: ID!) { projects { nodes { id name } } project(name: "default") { id createdAt uuid } '
        "other: project(id: $id) { name viewerPermissions } }",
        id=gid(Kind.PROJECT, elsewhere.project),
    )
    assert [p["name"] for p in data["projects"]["nodes"]] == ["default", "elsewhere"]
    assert data["project"]["id"] == ask.project_id
    assert data["project"]["uuid"] == str(ask.project)
    assert data["other"]["viewerPermissions"] == ["READ", "EDIT", "RUN", "SECRETS", "OPERATE", "MANAGE"]


async def test_pipelines_are_searched_ordered_and_paged_both_ways(ask: Asking, engine: Engine) -> None:
    for name in ("beta", "alpha", "Gamma", "alphabet"):
        await engine.submit(a_file({"a": ""}, name))
    query = """query($f: PipelineFilter, $o: PipelineOrder!, $first: Int, $after: String, $last: Int, $before: String) {
      project(name: "default") { pipelines(filter: $f, order: $o, first: $first, after: $after, last: $last, before: $before) {
        nodes { name } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""

    async def page(**variables: Any) -> Any:
        return (await ask(query, **variables))["project"]["pipelines"]

    def names(found: Any) -> list[str]:
        return [n["name"] for n in found["nodes"]]

    everything = names(await page(o="NAME"))
    assert sorted(everything) == ["Gamma", "alpha", "alphabet", "beta"]
    assert names(await page(o="NAME_DESC")) == everything[::-1]
    assert names(await page(o="CREATED")) == ["beta", "alpha", "Gamma", "alphabet"]
    assert names(await page(o="CREATED_DESC")) == ["alphabet", "Gamma", "alpha", "beta"]
    assert sorted(names(await page(o="NAME", f={"search": "ALPHA"}))) == ["alpha", "alphabet"]
    assert names(await page(o="NAME", f={"search": "%"})) == []
    assert names(await page(o="NAME", f={"isPaused": True})) == []
    assert names(await page(o="NAME", f={"isArchived": True})) == []

    walked, after = [], None
    while True:
        found = await page(o="NAME", first=2, after=after)
        walked += names(found)
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert walked == everything
    end = await page(o="NAME", last=3)
    assert names(end) == everything[1:]
    assert end["pageInfo"]["hasPreviousPage"] is True
    assert names(await page(o="NAME", last=3, before=end["pageInfo"]["startCursor"])) == everything[:1]


async def test_a_pipeline_shows_its_versions_and_its_last_job(ask: Asking, engine: Engine) -> None:
    await ran(engine, {"a": ""})
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    data = await ask("""{ project(name: "default") { pipeline(name: "demo") {
        id uuid name latestVersionNumber jobCount createdBy createdAt isPaused pausedAt archivedAt
        latestVersion { number author message hash } lastJob { uuid number state }
        versions { nodes { number pipeline { name } } } version(number: 1) { number }
        jobs { nodes { number versionNumber } } project { name } } } }""")
    found = data["project"]["pipeline"]
    assert (found["latestVersionNumber"], found["jobCount"], found["createdBy"]) == (2, 2, "ada")
    assert (found["isPaused"], found["pausedAt"], found["archivedAt"]) == (False, None, None)
    assert found["latestVersion"]["number"] == 2
    assert found["lastJob"] == {"uuid": str(job), "number": 2, "state": "PENDING"}
    assert [v["number"] for v in found["versions"]["nodes"]] == [2, 1]
    assert found["version"] == {"number": 1}
    assert [(j["number"], j["versionNumber"]) for j in found["jobs"]["nodes"]] == [(2, 2), (1, 1)]
    assert found["project"] == {"name": "default"}
    again = await ask(
        "query($id: ID!) { pipeline(id: $id) { name } node(id: $id) { id ... on Pipeline { name } } }", id=found["id"]
    )
    assert again == {"pipeline": {"name": "demo"}, "node": {"id": found["id"], "name": "demo"}}


async def test_a_version_shows_its_texts_its_tasks_and_what_has_changed(ask: Asking, engine: Engine) -> None:
    first = a_file({"a": ""})
    await engine.submit(first)
    changed = {
        "environment": {"image": "python:3.12", "envs": {"TOKEN": "${{ secrets.HUB }}", "LR": "0.1"}},
        "retry": {"max_attempts": 3, "delay": "10s", "backoff": 2},
        "timeouts": {"running": "1h"},
        "run_if": "always",
    }
    top = {"params": [{"name": "epochs", "type": "integer", "default": 3}]}
    await engine.database.run(lambda db: put_secret(db, engine.box, engine.project, "HUB", "canary-value", by="ada"))
    await engine.submit(a_file({"a": "", "b": "a"}, b=changed, _top=top))
    data = await ask("""{ project(name: "default") { pipeline(name: "demo") { version(number: 2) {
        source canonicalYaml old: canonicalYaml(generation: G25_6) document secretNames
        diff(since: 1) { fromNumber toNumber isSame text } same: diff(since: 2) { isSame text }
        params { name type default description choices }
        task(name: "b") { index kind image command needs runIf envs { name value } slots { name amount } shmemBytes
            retry { maxAttempts delaySeconds backoff maxDelaySeconds on } waitingTimeoutSeconds runningTimeoutSeconds
            mounts { folder alias } isSkipped continueOnFailure resourceGroup clusterMode clusterSize pool poolSlots
            service { name } anyOf { image } }
        tasks { name needs } jobs { nodes { number } } } } } }""")
    version = data["project"]["pipeline"]["version"]
    assert version["source"] == a_file({"a": "", "b": "a"}, b=changed, _top=top)
    assert "python:3.12" in version["canonicalYaml"]
    assert version["old"] != version["canonicalYaml"]
    assert version["document"]["name"] == "demo"
    assert version["secretNames"] == ["HUB"]
    assert (version["diff"]["fromNumber"], version["diff"]["toNumber"], version["diff"]["isSame"]) == (1, 2, False)
    assert "+- name: b" in version["diff"]["text"].replace("  ", "")
    assert version["same"] == {"isSame": True, "text": ""}
    assert version["params"] == [{"name": "epochs", "type": "integer", "default": 3, "description": "", "choices": []}]
    task = version["task"]
    assert {e["name"]: e["value"] for e in task["envs"]} == {"TOKEN": "${{ secrets.HUB }}", "LR": "0.1"}
    assert (task["needs"], task["runIf"], task["image"], task["kind"]) == (["a"], "ALWAYS", "python:3.12", "BATCH")
    assert {s["name"]: s["amount"] for s in task["slots"]} == {"cpu": "1", "mem": str(64 * 2**20)}
    assert task["retry"] == {
        "maxAttempts": 3,
        "delaySeconds": 10.0,
        "backoff": 2.0,
        "maxDelaySeconds": None,
        "on": ["OUT_OF_MEMORY", "TIMEOUT", "USER"],
    }
    assert (task["waitingTimeoutSeconds"], task["runningTimeoutSeconds"]) == (None, 3600.0)
    assert version["tasks"] == [{"name": "a", "needs": []}, {"name": "b", "needs": ["a"]}]
    assert version["jobs"]["nodes"] == [{"number": 2}]
    assert "canary-value" not in str(data)


async def test_a_job_shows_everything_that_is_stored(ask: Asking, engine: Engine) -> None:
    job = await ran(engine, DIAMOND)
    data = await ask(
        """query($id: ID!) { job(id: $id) { id uuid number pipelineName versionNumber state reason params priority
        submittedBy skip site taskCount openTaskCount failedTaskCount cancelledTaskCount createdAt startedAt endedAt
        cancelRequestedAt outputsRemovedAt waitedSeconds runSeconds eventCount project { name } pipeline { name }
        version { number } origin { id } counts { state count } taskInstance(name: "d") { name index }
        taskInstances { feedCursor nodes { id uuid index name state reason attempt failure exitCode resourceGroup pool poolSlots
          notBefore readyAt startedAt endedAt waitedSeconds runSeconds sessionId facts job { number } task { name needs }
          attempts { number state sessionName sessionId reason failure exitCode facts openedAt runningAt endedAt runSeconds }
          reusedFrom { id } waiting { reason } } } } }""",
        id=gid(Kind.JOB, job),
    )
    found = data["job"]
    assert (found["state"], found["taskCount"], found["openTaskCount"]) == ("SUCCEEDED", 4, 0)
    assert found["counts"] == [{"state": "SUCCEEDED", "count": 4}]
    assert (found["project"], found["pipeline"], found["version"]) == (
        {"name": "default"},
        {"name": "demo"},
        {"number": 1},
    )
    assert found["origin"] is None
    assert found["runSeconds"] >= 0
    assert found["taskInstance"] == {"name": "d", "index": 3}
    instances = found["taskInstances"]["nodes"]
    assert [i["name"] for i in instances] == ["a", "b", "c", "d"]
    last = instances[3]
    assert (last["state"], last["attempt"], last["exitCode"], last["waiting"]) == ("SUCCEEDED", 1, 0, None)
    assert last["task"] == {"name": "d", "needs": ["b", "c"]}
    assert [a["number"] for a in last["attempts"]] == [1]
    assert last["attempts"][0]["sessionId"] == last["sessionId"]
    assert last["job"] == {"number": 1}


async def test_an_instance_tells_what_it_waits_for(ask: Asking, engine: Engine) -> None:
    job = await engine.submit(a_file(DIAMOND))
    data = await ask(
        """query($id: ID!) { job(id: $id) { taskInstances { nodes { name waiting { needs { task state id } isInLine reason
        until resourceGroup pool poolSlots } } } } }""",
        id=gid(Kind.JOB, job),
    )
    waiting = {n["name"]: n["waiting"] for n in data["job"]["taskInstances"]["nodes"]}
    assert waiting["a"]["isInLine"] is True
    assert waiting["a"]["needs"] == []
    assert [(n["task"], n["state"]) for n in waiting["d"]["needs"]] == [("b", "PENDING"), ("c", "PENDING")]
    assert waiting["d"]["isInLine"] is False


async def test_jobs_are_filtered_by_state_version_pipeline_and_time(ask: Asking, engine: Engine) -> None:
    done = await ran(engine, {"a": ""})
    open_job = await engine.submit(a_file({"a": ""}, "other"))
    query = """query($f: JobFilter, $first: Int, $after: String) { project(name: "default") {
        jobs(filter: $f, first: $first, after: $after) { nodes { uuid } pageInfo { hasNextPage endCursor } } openJobCounts { state count } } }"""

    async def found(**filter: Any) -> list[str]:
        return [n["uuid"] for n in (await ask(query, f=filter))["project"]["jobs"]["nodes"]]

    both = [str(open_job), str(done)]
    assert await found() == both
    assert await found(states=["SUCCEEDED"]) == [str(done)]
    assert await found(states=["PENDING", "RUNNING"]) == [str(open_job)]
    assert await found(states=["SUCCEEDED", "PENDING"]) == both
    record = await engine.job(done)
    assert await found(pipelineId=gid(Kind.PIPELINE, record.pipeline_id)) == [str(done)]
    assert await found(versionId=gid(Kind.VERSION, record.version_id)) == [str(done)]
    moment = (await engine.job(open_job)).created_at
    assert await found(createdFrom=moment.isoformat()) == [str(open_job)]
    assert await found(createdBefore=moment.isoformat()) == [str(done)]
    assert await found(createdBefore=(moment - timedelta(days=3)).isoformat()) == []
    counts = (await ask(query))["project"]["openJobCounts"]
    assert counts == [{"state": "PENDING", "count": 1}]
    first = (await ask(query, first=1))["project"]["jobs"]
    assert (first["nodes"], first["pageInfo"]["hasNextPage"]) == ([{"uuid": both[0]}], True)
    second = (await ask(query, first=1, after=first["pageInfo"]["endCursor"]))["project"]["jobs"]
    assert (second["nodes"], second["pageInfo"]["hasNextPage"]) == ([{"uuid": both[1]}], False)
    assert await ask.code(query, f={"createdFrom": "2026-11-24T09:00:00"}) == "INVALID_INPUT"


async def test_instances_are_filtered_by_state_and_name(ask: Asking, engine: Engine) -> None:
    job = await engine.submit(a_file(DIAMOND))
    query = "query($id: ID!, $f: TaskInstanceFilter) { job(id: $id) { taskInstances(filter: $f, last: 2) { nodes { name } } } }"

    async def found(**filter: Any) -> list[str]:
        data = await ask(query, id=gid(Kind.JOB, job), f=filter)
        return [n["name"] for n in data["job"]["taskInstances"]["nodes"]]

    assert await found() == ["c", "d"]
    assert await found(states=["READY"]) == ["a"]
    assert await found(search="B") == ["b"]


async def test_the_history_is_paged_and_each_event_has_its_place(ask: Asking, engine: Engine) -> None:
    job = await ran(engine, {"a": ""})
    await Placer(engine.database).place()
    query = """query($id: ID!, $after: String) { job(id: $id) { eventCount events(first: 3, after: $after) {
        nodes { seq kind at task taskInstanceId jobId payload feedCursor } pageInfo { hasNextPage endCursor } } } }"""
    events: list[Any] = []
    after = None
    while True:
        found = (await ask(query, id=gid(Kind.JOB, job), after=after))["job"]
        events += found["events"]["nodes"]
        after = found["events"]["pageInfo"]["endCursor"]
        if not found["events"]["pageInfo"]["hasNextPage"]:
            break
    assert [e["seq"] for e in events] == list(range(1, found["eventCount"] + 1))
    assert (events[0]["kind"], events[-1]["kind"]) == ("job.submitted", "job.succeeded")
    assert all(e["jobId"] == gid(Kind.JOB, job) and e["feedCursor"] for e in events)
    assert {e["task"] for e in events} == {None, "a"}


async def test_what_follows_a_jobs_cursor_has_all_that_the_job_does_not_say_yet(
    ask: Asking, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job changes after it was read, and before its graph and its tasks are."""
    job = await engine.submit(a_file({"a": ""}))
    await Placer(engine.database).place()

    async def in_between(db: Db, *asked: Any, **how: Any) -> Any:
        async with engine.database.transaction() as other:
            await pause(other, engine.project, job)
        await Placer(engine.database).place()
        return await load_standings(db, *asked, **how)

    monkeypatch.setattr("fasttrack_api.graphql.types.job.load_standings", in_between)
    query = "query($id: ID!) { job(id: $id) { graph state feedCursor taskInstances { feedCursor } } }"
    found = (await ask(query, id=gid(Kind.JOB, job)))["job"]
    cursors = {found["feedCursor"], found["graph"]["feedCursor"], found["taskInstances"]["feedCursor"]}
    assert (found["state"], len(cursors)) == ("PENDING", 1)
    following = Feed(engine.database, engine.project).follow(Cursor.parse(cursors.pop()), job=job)
    async with aclosing(following):
        _, event = await anext(following)
    assert event.kind == "job.paused"


async def test_the_packed_graph_and_gantt_have_a_column_entry_per_task(ask: Asking, engine: Engine) -> None:
    job = await ran(engine, DIAMOND)
    data = (await ask("query($id: ID!) { job(id: $id) { graph gantt eventCount } }", id=gid(Kind.JOB, job)))["job"]
    graph, gantt = data["graph"], data["gantt"]
    assert graph["name"] == ["a", "b", "c", "d"]
    assert graph["layer"] == [0, 1, 1, 2]
    assert graph["row"] == [0, 0, 1, 0]
    assert (graph["layers"], graph["rows"]) == (3, 2)
    assert graph["edges"] == [0, 1, 0, 2, 1, 3, 2, 3]
    assert [graph["states"][s] for s in graph["state"]] == ["SUCCEEDED"] * 4
    assert graph["seq"] == data["eventCount"]
    assert len(set(graph["id"])) == 4
    assert len(gantt["attempts"]) == 4
    assert all(len(gantt[column]) == 4 for column in ("name", "state", "readyAt", "startedAt", "endedAt"))
    assert all(end >= start for start, end in zip(gantt["readyAt"], gantt["endedAt"], strict=True))


async def test_limits_and_secrets_are_listed(ask: Asking, engine: Engine) -> None:
    await engine.database.run(lambda db: change_limit(db, engine.project, "pool", "gpu", 2))
    await engine.database.run(
        lambda db: put_secret(db, SecretBox(b"k" * 32), engine.project, "HUB", "canary", by="ada")
    )
    data = await ask(
        """{ project(name: "default") { limits { scope name slots used waiting } secrets { name updatedBy updatedAt } } }"""
    )
    project = data["project"]
    assert project["limits"] == [{"scope": "POOL", "name": "gpu", "slots": 2, "used": 0, "waiting": 0}]
    assert [(s["name"], s["updatedBy"]) for s in project["secrets"]] == [("HUB", "ada")]
    assert datetime.fromisoformat(project["secrets"][0]["updatedAt"]).tzinfo is not None
    assert "canary" not in str(data)


async def test_nodes_answers_at_the_places_of_the_ids(ask: Asking, engine: Engine) -> None:
    job = await engine.submit(a_file({"a": ""}))
    record = await engine.job(job)
    ids = [
        gid(Kind.JOB, job),
        "nonsense",
        gid(Kind.VERSION, record.version_id),
        gid(Kind.JOB, record.version_id),
        ask.project_id,
    ]
    data = await ask("query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", ids=ids)
    assert [n and n["__typename"] for n in data["nodes"]] == ["Job", None, "Version", None, "Project"]
    assert await ask.code("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["x"] * 101) == "INVALID_INPUT"


async def test_a_re_run_names_its_origin_and_what_it_reuses(ask: Asking, engine: Engine) -> None:
    job = await ran(engine, {"a": "", "b": "a"})
    done = await ask.do("rerunJob", "job { origin { uuid } id }", jobId=gid(Kind.JOB, job), start="TASK", task="b")
    assert done["errors"] == []
    assert done["job"]["origin"] == {"uuid": str(job)}
    data = await ask(
        "query($id: ID!) { job(id: $id) { taskInstances { nodes { name reusedFrom { uuid } } } } }",
        id=done["job"]["id"],
    )
    assert data["job"]["taskInstances"]["nodes"] == [
        {"name": "a", "reusedFrom": {"uuid": str(job)}},
        {"name": "b", "reusedFrom": None},
    ]


async def test_lists_take_the_same_number_of_statements_whatever_their_length(
    ask: Asking, engine: Engine, statements: Callable[[], Any]
) -> None:
    jobs_query = """{ project(name: "default") {
        pipelines { nodes { name latestVersion { number pipeline { name } } lastJob { number version { number } counts { state } } } }
        jobs { nodes { number project { name } pipeline { name } version { number } counts { state count } origin { id }
            taskInstances(first: 5) { nodes { name } } } } } }"""
    instances = """query($id: ID!) { job(id: $id) { taskInstances { nodes { name job { number } task { image }
        attempts { number } reusedFrom { id } waiting { needs { task } } } } } }"""

    async def cost(query: str, **variables: Any) -> int:
        with statements() as count:
            await ask(query, **variables)
        return int(count[0])

    one = await engine.submit(a_file({"a": ""}, "p0"))
    short = await cost(instances, id=gid(Kind.JOB, one))
    flat = jobs_query.replace("taskInstances(first: 5) { nodes { name } }", "")
    few = await cost(flat)
    for n in range(1, 6):
        many = await engine.submit(a_file({f"t{i}": f"t{i - 1}" if i else "" for i in range(20)}, f"p{n}"))
    assert await cost(flat) == few
    long = await cost(instances, id=gid(Kind.JOB, many))
    # A job of which something waits for a task asks once where its tasks stand.
    assert long == short + 1
    assert (await engine.job(many)).state is JobState.PENDING


async def test_totals_are_told_where_they_are_stored(
    ask: Asking, engine: Engine, statements: Callable[[], Any]
) -> None:
    for count in (1, 2, 3):
        job = await engine.submit(a_file({f"t{n}": "" for n in range(count)}, "demo"))
    query = """query($id: ID!, $f: TaskInstanceFilter) { job(id: $id) {
      taskInstances(first: 2, filter: $f) { totalCount nodes { name } }
      pipeline { versions(last: 1) { totalCount nodes { number } } } } }"""
    found = (await ask(query, id=gid(Kind.JOB, job)))["job"]
    assert (found["taskInstances"]["totalCount"], len(found["taskInstances"]["nodes"])) == (3, 2)
    assert found["pipeline"]["versions"] == {"totalCount": 3, "nodes": [{"number": 1}]}
    filtered = (await ask(query, id=gid(Kind.JOB, job), f={"search": "t"}))["job"]["taskInstances"]
    assert (filtered["totalCount"], len(filtered["nodes"])) == (None, 2)
    with statements() as with_totals:
        await ask(query, id=gid(Kind.JOB, job))
    with statements() as without:
        await ask(query.replace("totalCount", ""), id=gid(Kind.JOB, job))
    assert with_totals == without
