"""What people say about pipelines besides their files: names, tags and descriptions, who a template is for, and what keeps them from running."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..errors import InvalidInput

MOST_TAGS = 20
LONGEST_TAG = 40
LONGEST_NAME = 64
LONGEST_DESCRIPTION = 2000


class TemplateScope(StrEnum):
    """Who a template is for."""

    PROJECT = "project"
    """Whoever may read its project."""
    DOMAIN = "domain"
    """Whoever may read a project of the same domain."""
    EVERYONE = "everyone"
    """Every account, whatever its projects."""


@dataclass(frozen=True, slots=True)
class FolderProblem:
    """Why a pipeline cannot use its folder on a cluster."""

    sentence: str
    """With the remedy; it goes on from "the pipeline starts nothing:"."""
    is_gone: bool
    """Whether it was deleted for good, with all that was in it; otherwise it can be restored."""


def checked_tags(tags: Sequence[str]) -> list[str]:
    """The tags, each once, sorted. :raises InvalidInput: there are too many, or one cannot be a tag."""
    for tag in tags[: MOST_TAGS + 1]:
        if not 0 < len(tag) <= LONGEST_TAG or tag != tag.strip() or not tag.isprintable() or "," in tag:
            raise InvalidInput(
                f"{tag[:60]!r} cannot be a tag: a tag has 1 to {LONGEST_TAG} characters in one line, without commas and "
                "without spaces at its ends"
            )
    if len(tags) > MOST_TAGS:
        raise InvalidInput(f"{len(tags)} tags; a pipeline has at most {MOST_TAGS}")
    return sorted(set(tags))


def checked_description(text: str) -> str:
    """The description. :raises InvalidInput: it is too long, or holds the character NUL."""
    if len(text) > LONGEST_DESCRIPTION or "\0" in text:
        raise InvalidInput(
            f"a description has at most {LONGEST_DESCRIPTION} characters and no NUL character; this one has {len(text)}"
        )
    return text


def stem_of(name: str) -> str:
    """The name without a number at its end: `train-2` and `train` have free names of one row."""
    return re.sub(r"-\d{1,6}\Z", "", name) or name


def free_name(name: str, taken: Collection[str]) -> str:
    """A name like this one that nobody has: itself, or `name-2`, `name-3` … within the length of names."""
    if name not in taken:
        return name
    stem, number = stem_of(name), 2
    while True:
        ending = f"-{number}"
        candidate = stem[: LONGEST_NAME - len(ending)].rstrip() + ending
        if candidate not in taken:
            return candidate
        number += 1
