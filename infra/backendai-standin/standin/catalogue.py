"""What there is by name and by id: images, projects and resource groups; ids are the same each time."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

IMAGE = "registry.test/stable/python:3.11-debian12"
IMAGES = (IMAGE, "python:3.11", "registry.test/stable/python:3.12")
PROJECT = "default"
PROJECT_ID = "e6fc5edc-7f0b-422e-8b4f-a03a17d0cca9"
DOMAIN = "default"


def id_of(kind: str, name: str) -> str:
    """The UUID of an image, a user or a resource group."""
    return str(uuid5(NAMESPACE_URL, f"standin/{kind}/{name}"))


IMAGES_BY_ID = {id_of("image", reference): reference for reference in IMAGES}


def image_row(reference: str) -> dict[str, Any]:
    """An image as GraphQL shows it."""
    registry, _, rest = reference.rpartition("/") if reference.count("/") < 2 else reference.partition("/")
    name, _, tag = rest.partition(":")
    return {
        "id": id_of("image", reference),
        "name": name,
        "humanized_name": name,
        "tag": tag,
        "registry": registry,
        "architecture": "x86_64",
        "digest": "sha256:" + "0" * 64 + " ",  # a trailing blank, as real ones have
        "labels": [{"key": "ai.backend.features", "value": "batch query uid-match"}],
        "aliases": [],
        "size_bytes": 119766390,
        "resource_limits": [
            {"key": "cpu", "min": "1", "max": "Infinity"},
            {"key": "mem", "min": "64m", "max": "Infinity"},
        ],
        "supported_accelerators": ["cuda", "atom", "warboy", "ipu"],
        "installed": True,
    }


def project_row() -> dict[str, Any]:
    """The one project as GraphQL shows it."""
    return {"id": PROJECT_ID, "name": PROJECT, "domain_name": DOMAIN, "is_active": True, "type": "GENERAL"}
