"""What one run has otherwise than its file: read with the file's checks, laid over what is compiled."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from fasttrack.domain.pipeline import Pipeline
from fasttrack.domain.states import FailureClass
from fasttrack.errors import InvalidRun
from fasttrack.spec import apply_overrides, load_pipeline, override_task, read_overrides

FILE = """
name: demo
params: [{name: image, type: string, default: "torch:1"}]
environment: {envs: {ALL: "1"}}
tasks:
  - name: load
    command: "true"
    environment: {image: "python:3.11", envs: {TOKEN: "${{ secrets.HUB }}"}}
    resources: {cpu: 1, mem: 1g, cuda.shares: 0.5}
  - name: fit
    command: "true"
    environment: {image: "torch:1", scaling-group: gpu, envs: {SEED: "1", KEEP: "x"}}
    resources: {cpu: 2, mem: 4g}
    resource_opts: {shmem: 1g}
    retry: {max_attempts: 2, delay: 10s}
    timeouts: {running: 1h}
    any_of:
      - {resources: {cuda.device: 1}, image: "torch:cuda", envs: {SEED: "2"}}
      - {resources: {atom.device: 2, mem: 8g}}
"""
D = Decimal


@pytest.fixture
def pipeline() -> Pipeline:
    return load_pipeline(FILE)[1]


def overridden(pipeline: Pipeline, task: str = "fit", **asked: Any) -> Any:
    return apply_overrides(pipeline, read_overrides(pipeline, {task: asked})).by_name[task]


def test_what_is_not_named_is_as_the_file_says(pipeline: Pipeline) -> None:
    fit = overridden(pipeline, resources={"cpu": 8}, environment={"image": "torch:2", "envs": {"SEED": "7"}})
    before = pipeline.by_name["fit"]
    assert (fit.resources.slots, fit.resources.shmem) == ({"cpu": D(8), "mem": D(4 * 2**30)}, 2**30)
    assert (fit.image, fit.resource_group) == ("torch:2", "gpu")
    assert fit.envs == {"ALL": "1", "SEED": "7", "KEEP": "x"}
    assert (fit.retry, fit.timeouts, fit.command) == (before.retry, before.timeouts, before.command)
    assert apply_overrides(pipeline, None) is pipeline
    assert override_task(before, None) is before


def test_slots_and_variables_come_over_each_choice_of_any_of(pipeline: Pipeline) -> None:
    fit = overridden(pipeline, resources={"mem": "16g"}, environment={"image": "torch:2", "envs": {"SEED": "7"}})
    assert [(c.slots["mem"], c.image, dict(c.envs)) for c in fit.any_of] == [(D(2**34), None, {})] * 2
    assert fit.asked == {"cpu": D(2), "mem": D(2**34), "cuda.device": D(1)}


def test_asking_for_an_accelerator_takes_the_place_of_any_of(pipeline: Pipeline) -> None:
    fit = overridden(pipeline, resources={"rocm.device": 2})
    assert (fit.any_of, fit.asked["rocm.device"]) == ((), 2)
    assert overridden(pipeline, "load", resources={"cuda.shares": 0}).resources.slots == {"cpu": D(1), "mem": D(2**30)}


def test_retries_and_time_outs_are_changed_key_by_key(pipeline: Pipeline) -> None:
    fit = overridden(
        pipeline, retry={"max_attempts": "5", "on": ["user"]}, timeouts={"waiting": "10m", "running": None}
    )
    assert (fit.retry.max_attempts, fit.retry.delay, fit.retry.on) == (
        5, timedelta(seconds=10), frozenset({FailureClass.USER}),
    )  # fmt: skip
    assert (fit.timeouts.waiting, fit.timeouts.running) == (timedelta(minutes=10), None)


def test_what_is_stored_is_what_was_asked_for_in_one_spelling(pipeline: Pipeline) -> None:
    asked = {
        "fit": {"resources": {"mem": "2048m", "cpu": "8"}, "environment": {"envs": {}}, "retry": {}},
        "load": {"environment": {"scaling-group": "cpu-only"}, "timeouts": {"running": "90s"}},
    }
    assert read_overrides(pipeline, asked) == {
        "fit": {"resources": {"mem": "2g", "cpu": "8"}},
        "load": {"environment": {"scaling-group": "cpu-only"}, "timeouts": {"running": 90}},
    }
    assert read_overrides(pipeline, {"fit": {}, "load": {"environment": {}}}) == {}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"fitt": {}}, "overrides.fitt: There is no task `fitt`. Did you mean `fit`?"),
        ({"fit": 3}, "overrides.fit: 3 stands where a map is expected"),
        ({"fit": {"command": "rm"}}, "overrides.fit.command: `command` cannot be changed for one run"),
        ({"fit": {"environment": {"project": "x"}}}, "overrides.fit.environment.project: `project` cannot be changed"),
        ({"fit": {"resources": {"cpu": 0}}}, "overrides.fit.resources.cpu: A container needs at least one core"),
        ({"fit": {"resources": {"mem": "lots"}}}, "overrides.fit.resources.mem: 'lots' is not a size"),
        ({"fit": {"resources": {"mem": "512m"}}}, "overrides.fit.resources.mem: This leaves nothing beside"),
        ({"fit": {"resources": {"cuda.device": 0.5}}}, "overrides.fit.resources.cuda.device: 0.5 of `cuda.device`"),
        ({"load": {"resources": {"cuda.device": 1}}}, "cannot be asked for together"),
        ({"fit": {"environment": {"image": " "}}}, "overrides.fit.environment.image: `image` is empty"),
        ({"fit": {"environment": {"image": "${{ params.nope }}"}}}, "There is no parameter `nope`"),
        ({"fit": {"environment": {"envs": {"LD_PRELOAD": "x"}}}}, "overrides.fit.environment.envs.LD_PRELOAD: "),
        ({"fit": {"environment": {"envs": {"N": 3}}}}, "overrides.fit.environment.envs.N: 3 stands where a text"),
        ({"fit": {"environment": {"envs": {"T": "${{ secrets.HUB }}"}}}}, "does not use the secret `HUB`"),
        ({"fit": {"retry": {"max_attempts": 0}}}, "overrides.fit.retry.max_attempts: 0 is out of range"),
        ({"fit": {"retry": {"max": 3}}}, "overrides.fit.retry.max: The key `max` is not known here"),
        ({"fit": {"timeouts": {"running": "soon"}}}, "overrides.fit.timeouts.running: "),
        ({"fit": {"environment": {"image": "a\0b"}}}, "overrides: 'a"),
        ({f"t{n}": {} for n in range(1001)}, "overrides: 1,001 tasks are overridden; at most 1,000"),
    ],
)
def test_what_cannot_be_is_refused_with_its_path(pipeline: Pipeline, asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRun) as refused:
        read_overrides(pipeline, asked)
    assert sentence in str(refused.value)


def test_every_problem_is_told_at_once(pipeline: Pipeline) -> None:
    asked = {"fit": {"resources": {"cpu": 0}}, "load": {"resources": {"mem": "x"}}, "z": {}}
    with pytest.raises(InvalidRun) as refused:
        read_overrides(pipeline, asked)
    assert len(str(refused.value).splitlines()) == 3


def test_a_secret_that_the_file_gives_the_task_may_be_moved(pipeline: Pipeline) -> None:
    load = overridden(pipeline, "load", environment={"envs": {"OTHER": "${{ secrets.HUB }}"}})
    assert load.envs["OTHER"] == "${{ secrets.HUB }}"
