"""Asks the cluster for a session: what it needs is compared with what there is, and its folders are made, before that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from fasttrack.backend_ai.answers import Missing, Refused
from fasttrack.backend_ai.folders import Folders
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.domain.pipeline import Service
from fasttrack.storage.cluster_layout import folder_of
from fasttrack.storage.layout import LOG_CAP

from ..base import Observation, SessionBackendUnavailable, SessionRefused, SessionSpec
from . import checks
from .catalogue import Catalogue
from .creation import command_of, session_id_of, v1_body, v2_body
from .mounting import Mounted, mounts_of, own_folder, service_mounts_of
from .serving import Serving
from .wrapper import wrap


class Making:
    """Sessions and services of one key, asked for in the way of the manager's release."""

    def __init__(
        self,
        gateway: Gateway,
        catalogue: Catalogue,
        folders: Folders,
        serving: Serving,
        *,
        domain: str,
        architecture: str,
    ) -> None:
        self._gateway = gateway
        self._catalogue = catalogue
        self._folders = folders
        self._serving = serving
        self._domain = domain
        self._architecture = architecture

    async def ask(self, spec: SessionSpec) -> str:
        """The id of a session that was made for it just now.

        :raises SessionRefused: it could never run, with the field of the pipeline file and what there is instead.
        :raises ManagerError: the manager did not make it, or it is not known.
        """
        generation = await self._gateway.generation()
        mounts = mounts_of(spec.name, spec.workspace)
        image = await self._check(spec)
        ids = await self._ready(spec, mounts)
        command = wrap(command_of(spec), name=spec.name, cap=LOG_CAP)
        if generation.has_v2_sessions:
            project = (await self._catalogue.projects())[spec.project]
            pairs = [(mount, ids[mount.folder]) for mount in mounts]
            path, body = "/v2/sessions/enqueue", v2_body(spec, command, pairs, image=image, project=project)
        else:
            path = "/session"
            body = v1_body(spec, command, mounts, generation, domain=self._domain, architecture=self._architecture)
        session_id = session_id_of(await self._gateway.call("POST", path, body=body))
        if session_id is None:
            raise SessionBackendUnavailable("the cluster made a session and does not say which")
        return session_id

    async def serve(self, spec: SessionSpec, service: Service) -> Observation:
        """The model service of this session, started or found. :raises SessionRefused, ManagerError: as `ask`."""
        generation = await self._gateway.generation()
        model = await self._folders.find(service.model) if service.model else None
        if model is None:
            raise SessionRefused(
                f"it serves the model folder {service.model or ''!r} (`service.model`), which is not there or not for this "
                "key; make one of usage `model` on the cluster, or name another"
            )
        image = await self._check(spec)
        mounts = service_mounts_of(spec.workspace, has_vfroot=generation.has_deployments)
        ids = await self._ready(spec, mounts)
        if generation.has_runtime_variants:  # 26.4.4 and later take a name for any folder of that name, whoever's it is
            service = replace(service, model=str(model))
        pairs = [(mount, ids[mount.folder]) for mount in mounts]
        return await self._serving.create(spec, service, pairs, image=image)

    async def _check(self, spec: SessionSpec) -> UUID:
        """The image's id. :raises SessionRefused: with the field of the pipeline file and what there is instead."""
        projects = await self._catalogue.projects()
        if spec.project not in projects:
            raise SessionRefused(checks.unknown("project", spec.project, projects, "environment.project"))
        groups = await self._catalogue.groups(spec.project)
        if groups is not None and spec.resource_group not in groups:
            raise SessionRefused(
                checks.unknown("resource group", spec.resource_group, groups, "environment.scaling-group")
            )
        image = await self._catalogue.image(spec.image)
        if image is None:
            images = await self._catalogue.images()
            raise SessionRefused(checks.unknown("image", spec.image, images, "environment.image"))
        seen = await self._catalogue.agents.look()
        for problem in (
            checks.clashing_kinds(spec.slots),
            checks.too_fine(spec.slots),
            checks.too_little_memory(spec, image),
            checks.fits_nowhere(checks.need_of(spec), seen.agents, seen.rooms),
        ):
            if problem is not None:
                raise SessionRefused(problem)
        return image.id

    async def _ready(self, spec: SessionSpec, mounts: Sequence[Mounted]) -> dict[str, UUID]:
        """The ids of the folders, with every directory of ours that is mounted in its place."""
        own = folder_of(spec.workspace.pipeline_id)
        # Also for a service, which may not mount it: the tasks after it do.
        ids = {own: await own_folder(self._folders, spec.workspace)}
        for mount in mounts:
            if mount.folder not in ids:
                found = await self._folders.find(mount.folder)
                if found is None:
                    raise SessionRefused(
                        f"it mounts the folder {mount.folder!r} (`mounts`), which is not there or not for this key; make it "
                        "on the cluster, or name another"
                    )
                ids[mount.folder] = found
        paths = [mount.path for mount in mounts if mount.folder == own]
        try:
            await asyncio.gather(*(self._folders.make_directory(own, path) for path in paths))
        except Refused as error:
            self._folders.forget(own)  # it may have been deleted since it was last looked for
            await own_folder(self._folders, spec.workspace)
            if not isinstance(error, Missing):
                raise
            raise SessionBackendUnavailable(f"the folder {own} was deleted on the cluster; it is made again") from None
        return ids
