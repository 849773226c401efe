"""examples/finetune.yaml: a base model that knows five digits learns all ten, and a later job need not prepare again."""

from __future__ import annotations

import json

import pytest

from fasttrack.domain.states import InstanceState, JobState
from tests.engine import Engine

from .conftest import EXAMPLES, Machine, Run, a_machine

pytest.importorskip("sklearn", reason="scikit-learn comes with the extra `examples`")

FILE = (EXAMPLES / "finetune.yaml").read_text()


def values_of(run: Run) -> dict[str, float]:
    assert run.verdict is JobState.SUCCEEDED, run.logs
    values = json.loads(run.output("evaluate", "values.json"))
    assert json.loads(run.logs["evaluate"]) == values, "what is printed is what is kept"
    return dict(values)


async def test_fine_tuning_gains_and_a_later_job_reuses_what_was_prepared(engine: Engine) -> None:
    """The later job even runs where folders cannot be given at /pipeline, as on machines without user namespaces."""
    async with a_machine(engine) as machine:
        first = await machine.run(FILE)
    values = values_of(first)
    assert values.keys() == {"accuracy_before", "accuracy_after"}
    # Five of ten digits are known before: about half of a balanced test set can be right, no more.
    assert 0.4 < values["accuracy_before"] < 0.51
    assert values["accuracy_after"] >= 0.9
    assert "epoch 40/40" in first.logs["train"]
    prepared = {path.name: path.stat().st_mtime_ns for path in (first.folder / "vfroot" / "finetune").iterdir()}
    assert prepared.keys() == {"data.joblib", "base.joblib"}

    engine.settings = engine.settings.model_copy(update={"local_sandbox": "never"})
    async with a_machine(engine) as machine:
        second = await machine.run(FILE, skip=["prepare"])
    assert second.states["prepare"] is InstanceState.SKIPPED
    assert second.logs["prepare"] == ""
    assert values_of(second) == values, "same data, same base model, same seed: the same figures"
    now = {path.name: path.stat().st_mtime_ns for path in (second.folder / "vfroot" / "finetune").iterdir()}
    assert now == prepared


async def test_training_says_what_is_missing_or_does_not_fit(machine: Machine) -> None:
    never = await machine.run(FILE, skip=["prepare"])
    assert never.verdict is JobState.FAILED
    assert never.states["evaluate"] is InstanceState.UPSTREAM_FAILED
    assert never.logs["train"].endswith(
        "/vfroot/finetune has no data.joblib and no base.joblib: run this pipeline once without skipping prepare\n"
    )
    prepared = await machine.run(FILE, skip=["train", "evaluate"])
    assert prepared.verdict is JobState.SUCCEEDED
    other = await machine.run(FILE, skip=["prepare"], params={"hidden_units": "32"})
    assert other.verdict is JobState.FAILED
    assert other.logs["train"].endswith(
        "/vfroot/finetune has 64 hidden units and this job asks for 32: run it without skipping prepare\n"
    )
