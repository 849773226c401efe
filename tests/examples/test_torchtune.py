"""examples/torchtune-short.yaml: the graph of a real pipeline with its names, folders and resources, run here."""

from __future__ import annotations

import pytest

from fasttrack.domain.states import JobState

from .conftest import EXAMPLES, Machine


@pytest.mark.usefixtures("folders_at_pipeline")
async def test_the_graph_of_the_real_pipeline_runs_on_one_machine(machine: Machine) -> None:
    run = await machine.run((EXAMPLES / "torchtune-short.yaml").read_text())
    assert run.verdict is JobState.SUCCEEDED, run.logs
    assert run.logs == {
        "download-model": "downloaded\n",
        "fine-tune-single": "tuned in one container\n",
        "fine-tune-multi": "tuned in container main1, one of 1\n",
        "evaluate": "loss in one container: 0.31, in several: 0.29\n",
    }
