"""A file under another name stays as its author wrote it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttrack import spec
from fasttrack.errors import FastTrackError, InvalidInput, InvalidPipeline

TASKS = "tasks:\n  - {name: fit, type: custom, command: 'true'}  # one task\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("name: train", "name: other"),
        ("name:   train   # why", "name:   other   # why"),
        ("name: 'train'", "name: other"),
        ('"name": "train"', '"name": other'),
        ("# name: train\nversion: 26.4.0\nname: train", "# name: train\nversion: 26.4.0\nname: other"),
    ],
)
def test_only_the_name_changes(before: str, after: str) -> None:
    assert spec.renamed(f"{before}\n{TASKS}", "other") == f"{after}\n{TASKS}"


@pytest.mark.parametrize(
    "name", ["name: >-\n  train\n", '"na\\x6de": train\n', 'name: "tr\\x61in"\n', "? name\n: train\n"]
)
def test_a_name_that_is_written_in_an_odd_way_changes_all_the_same(name: str) -> None:
    assert spec.load(spec.renamed(name + TASKS, "other")).document.name == "other"


def test_a_file_that_has_the_name_already_is_left_alone() -> None:
    text = f"name:  other\r\n{TASKS}"
    assert spec.renamed(text, "other") == text


@pytest.mark.parametrize("name", ["", "a/b", " a", "a\nb", "x" * 65])
def test_a_name_that_no_pipeline_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a pipeline"):
        spec.renamed(f"name: train\n{TASKS}", name)


def test_what_is_no_file_is_refused_with_its_problems() -> None:
    with pytest.raises(InvalidPipeline, match="line 2"):
        spec.renamed("name: train\ntasks: 3\n", "other")


@given(st.text(max_size=70))
def test_every_name_that_is_taken_is_read_back_and_the_meaning_stays(name: str) -> None:
    try:
        text = spec.renamed(f"name: train\n{TASKS}", name)
    except FastTrackError:
        return
    document = spec.load(text).document
    assert document.name == name
    assert spec.document_json(document) | {"name": ""} == spec.document_json(
        spec.load(f"name: train\n{TASKS}").document
    ) | {"name": ""}
