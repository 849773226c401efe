"""A pipeline's folder that somebody deletes on the cluster: nothing runs on what is not there any more."""

from __future__ import annotations

import pytest

from fasttrack.ids import JobId, PipelineId, new_id
from fasttrack.storage.cluster_layout import folder_of
from fasttrack_scheduler.backends.base import Input, SessionRefused, SessionSpec, SessionStatus, Workspace

from .backends import Cluster, a_spec, sees
from .recorded import GENERATIONS

OLD, NEW = GENERATIONS
PIPELINE, JOB = PipelineId(new_id()), JobId(new_id())
NAME = folder_of(PIPELINE)


def first() -> SessionSpec:
    return a_spec("echo x > /pipeline/outputs/x", workspace=Workspace(PIPELINE, JOB, "first"))


def second() -> SessionSpec:
    return a_spec("cat /pipeline/input1/x", workspace=Workspace(PIPELINE, JOB, "second", (Input(JOB, "first"),)))


def delete(cluster: Cluster) -> None:
    (folder,) = (f for f in cluster.manager.folders.all.values() if f.name == NAME)
    cluster.manager.folders.delete(folder.owner, NAME)


@pytest.mark.parametrize("is_known", [True, False], ids=["by a scheduler that used it", "by another scheduler"])
async def test_a_task_whose_inputs_were_deleted_with_the_folder_is_refused_and_nothing_is_made(
    cluster: Cluster, is_known: bool
) -> None:
    backend = await cluster.backend()
    done = first()
    await backend.create(done)
    await sees(backend, done.name, SessionStatus.SUCCEEDED)
    delete(cluster)
    folders = dict(cluster.manager.folders.all)
    with pytest.raises(SessionRefused) as caught:
        await (backend if is_known else await cluster.backend()).create(second())
    where = "is in the trash of the cluster" if cluster.manager.generation.trash else "was deleted on the cluster"
    assert caught.value.message.startswith(f"the folder {NAME} of its pipeline {where}")
    assert "run the job from its beginning" in caught.value.message
    assert len(cluster.manager.ledger.sessions) == 1
    assert cluster.manager.folders.all == folders


async def test_what_is_restored_is_there_again_and_what_is_deleted_for_good_begins_anew(cluster: Cluster) -> None:
    backend = await cluster.backend()
    done = first()
    await backend.create(done)
    await sees(backend, done.name, SessionStatus.SUCCEEDED)
    if cluster.manager.generation.trash:
        delete(cluster)
        (folder,) = cluster.manager.folders.all.values()
        with pytest.raises(SessionRefused, match="restore it there"):
            await backend.create(first())
        folder.status = "ready"
        spec = second()
        await backend.create(spec)
        await sees(backend, spec.name, SessionStatus.SUCCEEDED)
        delete(cluster)
        cluster.manager.folders.delete_for_good(folder.owner, folder.id)
    else:
        delete(cluster)
    other = await cluster.backend()
    spec = first()
    await other.create(spec)
    await sees(other, spec.name, SessionStatus.SUCCEEDED)
