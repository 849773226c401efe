"""What was promised to clients holds, and only a release changes the promise."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from contracts.__main__ import Contract, main

ROOT = Path(__file__).parents[2]
TODAY = date(2027, 3, 1)


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    """A copy of what the contract is made of."""
    for name in ("schema.graphql", "docs/openapi.json", "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    made = Contract(tmp_path)
    made.take(None, date(2027, 1, 1))
    return made


def edit(contract: Contract, name: str, old: str, new: str) -> None:
    text = (contract.root / name).read_text()
    assert old in text
    (contract.root / name).write_text(text.replace(old, new))


def kept(contract: Contract) -> dict[str, str]:
    return {path.name: path.read_text() for path in (contract.root / "contracts").iterdir()}


def test_no_client_of_the_last_release_breaks() -> None:
    """If this fails: docs/how-to/change-the-api.md."""
    changes = Contract(ROOT).changes(datetime.now(UTC).date())
    assert [str(change) for change in changes if change.is_breaking] == []


def test_a_change_that_breaks_is_told_with_the_page_and_ends_with_an_error(
    contract: Contract, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(contract, "schema.graphql", "  pipelineName: String!\n", "  nameOfPipeline: String!\n")
    assert main([], contract, TODAY) == "1 changes would break a client: docs/how-to/change-the-api.md"
    assert capsys.readouterr().out == "GraphQL: Field Job.pipelineName was removed.\n"


def test_both_descriptions_are_looked_at(contract: Contract) -> None:
    described = json.loads((contract.root / "docs" / "openapi.json").read_text())
    del described["paths"]["/api/v1/jobs"]
    (contract.root / "docs" / "openapi.json").write_text(json.dumps(described))
    assert [str(change) for change in contract.changes(TODAY)] == ["GET /api/v1/jobs: it is gone"]


def test_what_is_only_added_is_taken_by_a_release_and_then_promised(contract: Contract) -> None:
    edit(contract, "schema.graphql", "  pipelineName: String!\n", "  pipelineName: String!\n\n  colour: String!\n")
    edit(contract, "CHANGELOG.md", "## 0.1.0 – not released", f"## 0.1.0 – {TODAY}")
    assert main(["release", "0.1.0"], contract, TODAY) is None
    assert contract.released == {"version": "0.1.0", "date": "2027-03-01"}
    edit(contract, "schema.graphql", "\n  colour: String!\n", "")
    assert [str(change) for change in contract.changes(TODAY)] == ["GraphQL: Field Job.colour was removed."]


def test_a_release_takes_nothing_that_breaks_and_nothing_that_the_change_log_does_not_have(contract: Contract) -> None:
    before = kept(contract)
    said = f"nothing was taken: CHANGELOG.md has no heading `## 0.1.0 – {TODAY}`"
    assert main(["release", "0.1.0"], contract, TODAY) == said
    edit(contract, "CHANGELOG.md", "## 0.1.0 – not released", f"## 0.1.0 – {TODAY}")
    edit(contract, "schema.graphql", "  pipelineName: String!\n", "  nameOfPipeline: String!\n")
    assert main(["release", "0.1.0"], contract, TODAY) == "nothing was taken: it would break clients"
    assert kept(contract) == before


def test_before_the_first_release_the_baseline_is_taken_anew_and_after_it_never(contract: Contract) -> None:
    edit(contract, "schema.graphql", "  pipelineName: String!\n", "  nameOfPipeline: String!\n")
    assert main(["baseline"], contract, TODAY) is None
    assert contract.changes(TODAY) == []
    contract.take("0.1.0", TODAY)
    before = kept(contract)
    edit(contract, "schema.graphql", "  nameOfPipeline: String!\n", "  pipelineName: String!\n")
    assert main(["baseline"], contract, TODAY) == "0.1.0 is released: what it promised holds"
    assert kept(contract) == before


@pytest.mark.parametrize("words", [["release"], ["release", "next"], ["take"]])
def test_a_command_that_there_is_not_says_which_there_are(contract: Contract, words: list[str]) -> None:
    before = kept(contract)
    assert "python -m contracts release VERSION" in (main(words, contract, TODAY) or "")
    assert kept(contract) == before
