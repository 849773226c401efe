"""Every file in examples/ is a pipeline without errors, and what is said about it in examples/README.md is true."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from fasttrack import spec
from fasttrack.errors import InvalidRun
from tests.engine import Engine

from .conftest import EXAMPLES

FILES = sorted(EXAMPLES.rglob("*.yaml"))
AS_EXPORTED = {
    "torchtune-25.6.yaml": "8c3c44e7ab3a4deb2d3568edb5141a5676daf89e6b7779c9195d27cadaad4e25",
    "docs-rag-26.4.yaml": "05d34fe914e4a96c1dcf3e6dc9852a6eefc0877e8ded17521326c54d6a9bb45a",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(EXAMPLES))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_an_example_validates_without_a_word(path: Path) -> None:
    _, compiled, warnings = spec.load_pipeline(path.read_text())
    assert warnings == ()
    assert compiled.tasks


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_an_example_survives_export(path: Path) -> None:
    document, _, _ = spec.load_pipeline(path.read_text())
    again, _, _ = spec.load_pipeline(spec.to_yaml(document))
    assert spec.canonical_hash(again) == spec.canonical_hash(document)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_table_names_every_example(path: Path) -> None:
    assert f"| [{name_of(path)}]({name_of(path)}) |" in (EXAMPLES / "README.md").read_text()


@pytest.mark.parametrize("file", AS_EXPORTED)
def test_a_real_file_is_kept_as_it_was(file: str) -> None:
    assert hashlib.sha256((EXAMPLES / file).read_bytes()).hexdigest() == AS_EXPORTED[file]


def test_the_notification_has_the_form_in_which_fasttrack_exports() -> None:
    text = (EXAMPLES / "notify" / "pipeline.yaml").read_text()
    document, _, _ = spec.load_pipeline(text)
    written, exported = yaml.safe_load(text), yaml.safe_load(spec.to_yaml(document))
    assert written == exported
    assert yaml.safe_dump(written, sort_keys=False) == yaml.safe_dump(exported, sort_keys=False), "keys in order"


def test_the_short_tuning_has_the_graph_of_the_real_one() -> None:
    real, short = (
        yaml.safe_load((EXAMPLES / file).read_text()) for file in ("torchtune-25.6.yaml", "torchtune-short.yaml")
    )
    for task in (*real["tasks"], *short["tasks"]):
        del task["command"]
    assert short == real | {"name": short["name"], "description": short["description"]}


async def test_a_pipeline_that_serves_is_refused_where_nothing_can_serve(engine: Engine) -> None:
    """One sentence with the names, and nothing is stored."""
    text = (EXAMPLES / "docs-rag-26.4.yaml").read_text()
    with pytest.raises(InvalidRun) as refused:
        await engine.submit(text)
    assert refused.value.message == (
        "this session backend cannot run serve-fastapi (service), serve-gradio (service); "
        "skip them with --skip, or run on a cluster that can"
    )
    async with engine.database.transaction() as db:
        assert await db.rows("SELECT 1 FROM job UNION ALL SELECT 1 FROM pipeline") == []
