"""The pipeline of `make demo-cluster` fits the machines that a stand-in has by itself."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from fasttrack import spec
from standin.agents import default_agents
from standin.catalogue import IMAGES

PIPELINE = Path(__file__).parents[3] / "infra" / "backendai-standin" / "four-accelerators.yaml"


def test_each_task_of_the_demonstration_has_an_image_and_a_machine_with_room_in_its_group() -> None:
    document, compiled, warnings = spec.load_pipeline(PIPELINE.read_text())
    assert warnings == ()
    agents = default_agents()
    for task in compiled.tasks:
        assert task.image in IMAGES
        wanted = {slot: Decimal(str(amount)) for slot, amount in task.resources.slots.items()}
        assert any(agent.group == task.resource_group and agent.has_room(wanted) for agent in agents), task.name
    kinds = {slot for task in document.tasks for slot in task.resources} - {"cpu", "mem"}
    assert kinds == {"cuda.shares", "atom.device", "warboy.device", "ipu.device"}
