"""The part of the contract about what is beside versions and jobs: the life of pipelines, templates, operations, resources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from fasttrack.domain.catalog import TemplateScope
from fasttrack.errors import InvalidInput, NotFound

from .values import Pipeline

if TYPE_CHECKING:
    from fasttrack.domain.usage import ResourceGroup

MOST_TEMPLATES = 1000
"""Among how many a name is looked for."""


@dataclass(frozen=True, slots=True)
class NewPipeline:
    """A pipeline to make: empty, or from one of `yaml` and `template`."""

    name: str | None = None
    """`None`: that of the file or template."""
    description: str | None = None
    tags: Sequence[str] | None = None
    yaml: str | None = None
    template: str | None = None
    """A template's name or id."""


@dataclass(frozen=True, slots=True)
class Template:
    """What pipelines can be made from."""

    id: UUID
    name: str
    description: str
    scope: TemplateScope
    is_shipped: bool
    shared_by: str | None
    """`None`, as the next two: it comes with FastTrack."""
    version: int | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class OperationText:
    """A text of GraphQL that is to be stored."""

    text: str
    name: str | None
    """`None`: as it is called in the text."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A text of GraphQL that callers may send the hash of."""

    sha256: str
    name: str
    text: str
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredOperation:
    """An operation that was stored, or was there already."""

    operation: Operation
    is_new: bool
    cost: int
    """Without variables, in objects."""


class Catalog(Protocol):
    """Pipelines of the project beside their versions, live or archived.

    Each is found by its name or id; by name an archived one when no live one has it. Every method that names one raises
    `NotFound` where there is none, and `InvalidInput` where several archived ones had the name. With `expect` another
    revision than that is a `Conflict`.
    """

    async def create(self, new: NewPipeline, *, key: str | None) -> Pipeline:
        """Make a pipeline; the same `key` makes one, however often.

        :raises InvalidPipeline: the file is not valid. :raises InvalidInput: a name, tag or description cannot be, or there
            is more than one thing to begin with. :raises Conflict: the name is taken, or the key stands for another request.
        """

    async def copy(self, text: str, *, name: str | None, version: int | None, project: str | None) -> Pipeline:
        """Make a pipeline of a version of this one, in this project if none is given. Errors as those of `create`."""

    async def update(
        self, text: str, *, name: str | None = None, description: str | None = None, expect: int | None
    ) -> Pipeline:
        """Rename or describe it. :raises Conflict: it is archived, or the name is taken."""

    async def tag(self, text: str, add: Sequence[str], remove: Sequence[str], *, expect: int | None) -> Pipeline:
        """Give it tags, and take some away. :raises Conflict: it is archived, or was changed in between."""

    async def archive(self, text: str, *, expect: int | None) -> Pipeline:
        """Have it start nothing and leave the lists. Idempotent. :raises Conflict: jobs of it are not over."""

    async def unarchive(self, text: str, *, expect: int | None) -> Pipeline:
        """Bring it back. Idempotent. :raises Conflict: another has its name by now."""

    async def remake_folder(self, text: str) -> Pipeline:
        """Have its next job begin with an empty folder, where its own was deleted on the cluster. Idempotent.

        :raises Conflict: it is in the trash of the cluster.
        """

    async def delete(self, text: str, *, confirm: str, expect: int | None) -> Pipeline:
        """Delete it with all that is its; as it was.

        :param confirm: its name. :raises InvalidInput: that is another one. :raises Conflict: jobs of it are not over.
        """


class Templates(Protocol):
    """What pipelines can be made from."""

    async def page(self, *, limit: int, search: str) -> list[Template]:
        """Templates, newest first and those that come with FastTrack last, with `search` in name or description."""

    async def read(self, text: str) -> tuple[Template, str]:
        """The template of that name or id with its file.

        :raises NotFound: there is none. :raises InvalidInput: several have the name.
        """

    async def share(
        self, pipeline: str, scope: TemplateScope, *, version: int | None, name: str | None, description: str | None
    ) -> Template:
        """Offer a version of a pipeline, the newest if not said, over what was offered of it before. Idempotent.

        :raises NotFound: no such pipeline or version. :raises Conflict: the pipeline is empty.
        """

    async def unshare(self, pipeline: str) -> None:
        """Offer nothing of a pipeline any more. Idempotent. :raises NotFound: no such pipeline."""


class Operations(Protocol):
    """Stored operations of the project, or with `everywhere` those for callers of every project."""

    async def add(self, texts: Sequence[OperationText], *, everywhere: bool) -> list[StoredOperation]:
        """Store all of them, or none. Idempotent.

        :raises InvalidInput: one is no operation of the schema, or larger than allowed. :raises Conflict: there are too many.
        """

    async def newest(self, limit: int, *, everywhere: bool) -> tuple[list[Operation], bool]:
        """At most so many, newest first, and whether there are more."""

    async def remove(self, sha256: str, *, everywhere: bool) -> Operation:
        """Forget one; as it was. :raises NotFound: there is none."""


class Resources(Protocol):
    """What there is to run on, at every site."""

    async def groups(self) -> list[ResourceGroup]:
        """The resource groups with what they have, and what is taken of it by whom."""


class CatalogStore(Protocol):
    """What these are found by."""

    @property
    def catalog(self) -> Catalog:
        """Pipelines beside their versions."""

    @property
    def templates(self) -> Templates:
        """Templates."""

    @property
    def operations(self) -> Operations:
        """Stored operations."""

    @property
    def resources(self) -> Resources:
        """Resource groups."""


def only_template(found: Sequence[Template], name: str) -> Template:
    """The one of that name. :raises NotFound: there is none. :raises InvalidInput: there are several."""
    named = [template for template in found if template.name == name]
    if not named:
        raise NotFound(f"there is no template {name}; `fasttrack templates` lists those there are")
    if len(named) > 1:
        ids = ", ".join(str(template.id) for template in named[:10])
        raise InvalidInput(f"several templates are named {name}; give the id of one: {ids}")
    return named[0]
